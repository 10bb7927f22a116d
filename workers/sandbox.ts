/** What a worker may do. @module */
import { getLogger } from "@logtape/logtape";

let warned = false;

/**
 * Options for `new Worker` that take its permissions away. Deno ends the process when they are used
 * without `"unstable": ["worker-options"]` in the root configuration, and there is no way to ask
 * whether it is set: only an entrypoint that knows may pass `sandbox`.
 */
export function workerOptions(
  name: string,
  sandbox: boolean,
  permissions: Deno.PermissionOptions,
): WorkerOptions {
  if (sandbox) return { type: "module", name, deno: { permissions } };
  if (!warned) {
    warned = true;
    getLogger(["lloom", "workers"]).info("workers run with all permissions of this process");
  }
  return { type: "module", name };
}
