/** One row of a batch: asked, and what came of it. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject } from "@lloom/core/protocol";
import { EXIT, type ExitCode, exitCodeOf } from "@lloom/host";
import type { Engine } from "../gateway/answer.ts";
import { CHAT_NAMES } from "../gateway/chunk_stream.ts";
import { MergedChoice } from "../gateway/merged_choice.ts";
import { WholeChoices } from "../gateway/whole_answer.ts";
import { readWishes } from "../gateway/wishes.ts";
import type { BatchRow } from "./batch_input.ts";
import type { OutputRow } from "./batch_output.ts";

/** What stops a batch: the rows after it would fail in the same way, or it is wanted so. */
const STOPPING: ReadonlySet<ExitCode> = new Set<ExitCode>([
  EXIT.unexpected,
  EXIT.configuration,
  EXIT.money,
  EXIT.interrupted,
]);

/**
 * Asks one row, as the gateway would; that it fails is an answer too.
 * @throws {LloomError} what concerns all rows: money, the configuration, an interrupt, a fault of ours
 */
export async function askRow(
  engine: Engine,
  { index, customId, digest, request }: BatchRow,
  signal: AbortSignal,
): Promise<OutputRow> {
  const named = { index, ...(customId !== undefined && { custom_id: customId }) };
  try {
    const { provider, stream: _stream, stream_options: _streamOptions, ...chat } = request;
    const wishes = readWishes(new Headers(), provider);
    const answer = await engine.ask({ api: "chat", request: chat, wishes, signal });
    const whole = new WholeChoices(answer, CHAT_NAMES, () => new MergedChoice());
    for await (const piece of answer.pieces()) whole.piece(piece);
    const { lloom, ...body } = whole.result();
    const origin = isJsonObject(lloom) ? lloom : {};
    const response = { status_code: 200, request_id: answer.id, body };
    return { ...named, response, error: null, lloom: { row: digest, ...origin } };
  } catch (thrown) {
    if (signal.aborted || STOPPING.has(exitCodeOf(thrown))) throw thrown;
    const { code, message } = LloomError.wrap(thrown);
    return { ...named, response: null, error: { code, message }, lloom: { row: digest } };
  }
}
