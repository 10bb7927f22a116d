/** `--callback-url`: tells a program of the user's that the work is done. @module */
import { LloomError } from "@lloom/core/errors";
import { printableJson } from "@lloom/host";
import { getLogger } from "@logtape/logtape";
import { setTimeout } from "node:timers/promises";

const log = getLogger(["lloom", "callback"]);

/** For one attempt. */
const TIMEOUT_MS = 10_000;
/** Before the second and the third attempt: a service that is started anew is back by then. */
const DELAYS_MS: readonly number[] = [1000, 5000];

/**
 * POSTs a result as JSON, and again if the other side fails.
 * @param delaysMs before each further attempt
 * @throws {LloomError} `peer_unreachable` if none succeeds; `aborted`
 */
export async function postCallback(
  url: string,
  result: unknown,
  signal: AbortSignal,
  delaysMs: readonly number[] = DELAYS_MS,
): Promise<void> {
  const body = printableJson(result);
  let problem = "";
  for (const delayMs of [0, ...delaysMs]) {
    if (problem !== "") log.warn("post callback: {problem}; trying again", { problem });
    try {
      await setTimeout(delayMs, undefined, { signal });
      const { status, isFinal } = await post(url, body, signal);
      if (status >= 200 && status < 300) return;
      problem = `the answer was HTTP ${status}`;
      if (isFinal) break;
    } catch (error) {
      if (signal.aborted) throw LloomError.wrap(signal.reason, "aborted");
      problem = LloomError.wrap(error).code === "timeout" ? "no answer in time" : "unreachable";
    }
  }
  throw new LloomError("peer_unreachable", `post callback: ${problem}`);
}

async function post(
  url: string,
  body: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly isFinal: boolean }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    redirect: "manual",
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  await response.body?.cancel();
  const { status } = response;
  // It was understood, and refused: the same again is refused again.
  return { status, isFinal: status < 500 && status !== 408 && status !== 429 };
}
