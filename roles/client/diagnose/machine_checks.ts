/** Checks of other programs on this machine: model servers, and the gateway. @module */
import { isJsonObject, parseJson } from "@lloom/core/protocol";
import { callGateway, gatewayUrl, hostInUrl } from "../gateway_http.ts";
import { failed, ok, type Outcome, skipped, warning } from "./check.ts";
import { findModelServers, MODEL_SERVERS } from "./model_servers.ts";

const HEALTH_TIMEOUT_MS = 2_000;
const MAX_HEALTH_BYTES = 1 << 16;

/** Model servers that an executor on this machine could offer. A client needs none. */
export async function checkModelServers(
  signal: AbortSignal,
): Promise<Outcome | readonly Outcome[]> {
  const found = await findModelServers(signal);
  if (found.length > 0) {
    return found.map(({ name, endpoint, models }) =>
      ok(`${name} at ${endpoint} has ${models.length} models, which an executor can offer`)
    );
  }
  const ports = MODEL_SERVERS.map(({ port }) => `:${port}`).join(", ");
  return skipped(`none on ${ports}; only executors need one`);
}

/** Whether the gateway runs, or could: its port is free. */
export async function checkGateway(
  { host, port }: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Outcome> {
  const place = `${hostInUrl(host)}:${port}`;
  if (isFree(host, port)) return ok(`it does not run, and ${place} is free for it`);
  const url = gatewayUrl(host, port);
  const status = await healthOf(url, signal);
  if (status === undefined) {
    return failed(
      "in_use",
      `${place} is taken by another program`,
      "end that program, or choose another port for `gateway` with --port",
    );
  }
  return status === "ok"
    ? ok(`it runs at ${url}`)
    : warning(`it runs at ${url}, and says: ${status}`, `see ${url}/health`);
}

function isFree(hostname: string, port: number): boolean {
  try {
    Deno.listen({ hostname, port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** What a gateway of ours says of its health; undefined if it is none. */
async function healthOf(url: string, signal: AbortSignal): Promise<string | undefined> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]);
  try {
    const { body } = await callGateway(`${url}/health`, {}, MAX_HEALTH_BYTES, within);
    const health = parseJson(body, MAX_HEALTH_BYTES);
    return isJsonObject(health) && typeof health.status === "string" ? health.status : undefined;
  } catch {
    // Another program may answer in any way: whatever it is, it is no gateway.
    signal.throwIfAborted();
    return undefined;
  }
}
