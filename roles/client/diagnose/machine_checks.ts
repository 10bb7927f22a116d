/** Checks of other programs on this machine: model servers, and the gateway. @module */
import { isJsonObject, parseJson } from "@lloom/core/protocol";
import { once } from "node:events";
import { get } from "node:http";
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
  const place = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (isFree(host, port)) return ok(`it does not run, and ${place} is free for it`);
  // What listens everywhere is asked at home.
  const at = host === "0.0.0.0" || host === "::" ? `127.0.0.1:${port}` : place;
  const status = await healthOf(`http://${at}`, signal);
  if (status === undefined) {
    return failed(
      "in_use",
      `${place} is taken by another program`,
      "end that program, or choose another port for `gateway` with --port",
    );
  }
  return status === "ok"
    ? ok(`it runs at http://${at}`)
    : warning(`it runs at http://${at}, and says: ${status}`, `see http://${at}/health`);
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
async function healthOf(origin: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const health = parseJson(await read(`${origin}/health`, signal), MAX_HEALTH_BYTES);
    return isJsonObject(health) && typeof health.status === "string" ? health.status : undefined;
  } catch {
    // Another program may answer in any way: whatever it is, it is no gateway.
    signal.throwIfAborted();
    return undefined;
  }
}

/**
 * The beginning of what a URL answers with. Not by `fetch`, which obeys `HTTP_PROXY` for this machine
 * too, and speaks to a server that it is told to take for a proxy in a form that ours refuses.
 */
async function read(url: string, signal: AbortSignal): Promise<Uint8Array> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]);
  const [answer] = await once(get(url, { signal: within }), "response");
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const part of answer as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    parts.push(part);
    size += part.length;
    if (size > MAX_HEALTH_BYTES) break;
  }
  return await new Blob(parts).bytes();
}
