/** Tells somebody that a response is over, by a POST to an address of theirs. @module */
import { LloomError } from "@lloom/core/errors";
import { getLogger } from "@logtape/logtape";
import { setTimeout as wait } from "node:timers/promises";
import { CALLBACK_TIMEOUT_MS, MAX_CALLBACK_URL_CHARS } from "../limits.ts";

const log = getLogger(["lloom", "gateway"]);

/** How a callback is sent. */
export interface CallbackOptions {
  /** Sends it. */
  readonly fetch: typeof fetch;
  /** Waits before each further attempt, in milliseconds. */
  readonly retriesMs: readonly number[];
  /** Gives up. */
  readonly signal: AbortSignal;
}

/**
 * The address to tell, by the header `X-Lloom-Callback-Url`; undefined if there is none.
 * @throws {LloomError} `request_invalid` for what is no address of HTTP, or carries a password
 */
export function readCallbackUrl(headers: Headers): string | undefined {
  const text = headers.get("x-lloom-callback-url")?.trim();
  if (text === undefined || text === "") return undefined;
  const url = text.length <= MAX_CALLBACK_URL_CHARS ? URL.parse(text) : null;
  const fits = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === "";
  if (fits) return url.href;
  throw new LloomError(
    "request_invalid",
    "read request: header X-Lloom-Callback-Url must be an address of http or https",
  );
}

/**
 * Sends a response until it is taken, and gives up after the last attempt, which the log says.
 * Redirects are not followed: whoever may ask here named one address.
 * @throws if the signal aborts
 */
export async function tell(url: string, body: string, options: CallbackOptions): Promise<void> {
  const { fetch, retriesMs, signal } = options;
  for (let attempt = 0;; attempt++) {
    const problem = await send(url, body, fetch, signal);
    if (problem === undefined) return;
    const waitMs = retriesMs[attempt];
    const { origin } = new URL(url);
    if (waitMs === undefined) {
      log.warn("tell {origin} of a response: {problem}; given up", { origin, problem });
      return;
    }
    log.info("tell {origin} of a response: {problem}; again soon", { origin, problem });
    await wait(waitMs, undefined, { signal });
  }
}

/** What went wrong; undefined if it was taken. */
async function send(
  url: string,
  body: string,
  fetch: CallbackOptions["fetch"],
  stop: AbortSignal,
): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      redirect: "manual",
      signal: AbortSignal.any([stop, AbortSignal.timeout(CALLBACK_TIMEOUT_MS)]),
    });
    await response.body?.cancel();
    return response.ok ? undefined : `HTTP status ${response.status}`;
  } catch (error) {
    stop.throwIfAborted();
    return LloomError.wrap(error, "peer_unreachable").message;
  }
}
