/** One row of a batch: asked, and what came of it. @module */
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { formatCost } from "@lloom/core/payments";
import type { JsonObject } from "@lloom/core/protocol";
import { EXIT, type ExitCode, exitCodeOf } from "@lloom/host";
import { readLines } from "./answer_lines.ts";
import type { BatchRow } from "./batch_input.ts";
import type { OutputRow } from "./batch_output.ts";
import type { CompleteOptions, LloomClient } from "./client.ts";
import type { Completion } from "./completion.ts";
import { ByIndex, MergedChoice } from "./gateway/merged_choice.ts";
import type { Funds } from "./wallet.ts";

/** What stops a batch: the rows after it would fail in the same way, or it is wanted so. */
const STOPPING: ReadonlySet<ExitCode> = new Set<ExitCode>([
  EXIT.unexpected,
  EXIT.configuration,
  EXIT.money,
  EXIT.interrupted,
]);

/**
 * Asks one row; that it fails is an answer too.
 * @throws {LloomError} what concerns all rows: money, the configuration, an interrupt, a fault of ours
 */
export async function askRow(
  client: LloomClient,
  { index, customId, digest, request }: BatchRow,
  options: CompleteOptions,
): Promise<OutputRow> {
  const named = { index, ...(customId !== undefined && { custom_id: customId }) };
  try {
    const completion = client.complete(request, options);
    const body = await wholeChat(completion, request);
    const lloom = { row: digest, ...originOf(completion, client.wallet?.funds) };
    const response = { status_code: 200, request_id: String(body["id"]), body };
    return { ...named, response, error: null, lloom };
  } catch (thrown) {
    const { code, message } = LloomError.wrap(thrown);
    if (options.signal?.aborted || STOPPING.has(exitCodeOf(thrown))) throw thrown;
    return { ...named, response: null, error: { code, message }, lloom: { row: digest } };
  }
}

/** Reads an answer as OpenAI's API returns it where it is not streamed. */
async function wholeChat(completion: Completion, { model }: JsonObject): Promise<JsonObject> {
  const created = Math.floor(Date.now() / 1000);
  const choices = new ByIndex(() => new MergedChoice());
  for await (const lines of completion.lines()) {
    for (const { value } of readLines(lines)) choices.add(value["choices"]);
  }
  const { requestHash } = await completion.receipt;
  const { promptTokens, completionTokens } = completion.usage();
  return {
    id: `chatcmpl-${requestHash.slice(2)}`,
    object: "chat.completion",
    created,
    model,
    choices: choices.inOrder().map(([index, choice]) => choice.result(index)),
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    },
  };
}

/** Who answered, by which signed requests, and what all of it cost. */
function originOf(completion: Completion, funds: Funds | undefined): JsonObject {
  const requests = completion.parts.filter(({ delivers }) => delivers).map((part) => ({
    peerId: part.candidate.announcement.peerId,
    address: toChecksumAddress(part.candidate.announcement.executor),
    requestHash: part.requestHash,
    ...(part.continues !== undefined && { continues: part.continues }),
  }));
  const { cost } = completion.usage();
  return {
    executor: requests.at(-1)?.peerId ?? null,
    requests,
    ...(cost > 0n && funds && { cost: formatCost(cost, funds.asset) }),
  };
}
