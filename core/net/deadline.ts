/** Time limits on what the network is asked for. @module */
import { LloomError } from "../errors.ts";
import { DIAL_TIMEOUT_MS } from "../protocol/limits.ts";

/**
 * Runs something that dials, for at most `DIAL_TIMEOUT_MS`.
 * @throws {LloomError} `aborted` or `timeout` as `signal` says; `overloaded` with too many streams
 * open; all else as `peer_unreachable`
 */
export async function withDeadline<T>(
  signal: AbortSignal | undefined,
  action: string,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  // Not AbortSignal.timeout: its timer would outlive the work, and keep a process from ending.
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), DIAL_TIMEOUT_MS);
  const abort = (): void => deadline.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await run(deadline.signal);
  } catch (thrown) {
    if (signal?.aborted) throw LloomError.wrap(signal.reason, "aborted", action);
    if (thrown instanceof LloomError) throw thrown;
    const name = thrown instanceof Error ? thrown.name : "";
    const code = name === "TooManyOutboundProtocolStreamsError" ? "overloaded" : "peer_unreachable";
    throw new LloomError(code, `${action}: ${name || "failed"}`, { cause: thrown });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
