/** One question on a stream, and its answer. @module */
import { LloomError } from "./errors.ts";
import type { MessageStream } from "./ports.ts";

/**
 * Sends a message and awaits the next one; the stream can be used again after it. An abort breaks the
 * stream.
 * @param action names it in errors
 * @throws {LloomError} `stream_broken`, `aborted` or `timeout`
 */
export async function exchange(
  stream: MessageStream,
  message: Uint8Array,
  signal: AbortSignal,
  action: string,
): Promise<Uint8Array> {
  const aborted = (): LloomError => LloomError.wrap(signal.reason, "aborted", action);
  const onAbort = (): void => stream.abort(aborted());
  if (signal.aborted) throw aborted();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (!stream.send(message)) await stream.drained(signal);
    const answer = await stream.next();
    if (answer !== undefined) return answer;
    throw new LloomError("stream_broken", `${action}: ended without an answer`);
  } catch (thrown) {
    throw signal.aborted ? aborted() : LloomError.wrap(thrown, "stream_broken");
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
