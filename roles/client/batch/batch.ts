/** `--batch`: asks all that a file asks, several at once, and goes on where an earlier run ended. @module */
import {
  type CommandContext,
  type OutputFormat,
  print,
  printableJson,
  printError,
  readTextInput,
} from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import { routingOptions } from "../asking/routing_options.ts";
import { postCallback } from "../callback.ts";
import { say } from "../commands/context.ts";
import type { Flags } from "../flags.ts";
import { ownersTerms } from "../gateway/ask_options.ts";
import { NetworkEngine } from "../gateway/network_engine.ts";
import { type NetworkContext, withNetwork } from "../network.ts";
import { progressBar, showProgress } from "../progress.ts";
import { type BatchRow, MAX_BATCH_BYTES, readBatch } from "./batch_input.ts";
import { BatchOutput } from "./batch_output.ts";
import { askRow } from "./batch_row.ts";
import { inOrder } from "./in_order.ts";

/** Requests at once, where the command line does not say. */
const CONCURRENCY = 4;
/**
 * Rows that may be answered before the first one that is missing, for each request at once. A crash
 * loses the answers of so many: rows are written in order.
 */
const AHEAD = 4;

/** What a whole batch came to. */
interface BatchSummary {
  readonly rows: number;
  readonly answered: number;
  readonly failed: number;
  /** Of these, how many were there before this run. */
  readonly earlier: number;
  /** Where the answers are; absent for standard output. */
  readonly output?: string;
}

/**
 * Asks a batch.
 * @throws {UsageError} if batch or output cannot be used; {LloomError} with the code of the first row
 * that failed, or for what stopped it all
 */
export async function runBatch(
  flags: Flags,
  context: CommandContext<ClientConfig>,
  signal: AbortSignal,
): Promise<void> {
  const { batch = "-", output: path, callbackUrl } = flags;
  const rows = readBatch(
    await readTextInput(batch, MAX_BATCH_BYTES),
    context.config.client.defaults,
  );
  using output = new BatchOutput(path, rows);
  const left = rows.filter((row) => !output.has(row));
  const summary = (): BatchSummary => {
    const { answered, failed } = output.tally;
    const earlier = rows.length - left.length;
    return {
      rows: rows.length,
      answered,
      failed,
      earlier,
      ...(path !== undefined && { output: path }),
    };
  };
  if (left.length > 0) {
    try {
      await withNetwork(context, signal, (network) => askAll(left, output, flags, network));
    } catch (error) {
      say(context.format, unfinished(summary()));
      throw error;
    }
  }
  printSummary(summary(), context.format);
  if (callbackUrl !== undefined) await postCallback(callbackUrl, summary(), signal);
  const { failure } = output.tally;
  if (failure !== undefined) throw failure;
}

async function askAll(
  rows: readonly BatchRow[],
  output: BatchOutput,
  { concurrency = CONCURRENCY, priority, output: path }: Flags,
  { client, wallet, config, signal }: NetworkContext,
): Promise<void> {
  const { tally } = output;
  const engine = new NetworkEngine({
    terms: ownersTerms(routingOptions(config, priority), wallet),
    aliases: {},
    defaultModel: undefined,
    maxConcurrent: Infinity, // as many at once as it is asked
  }, { client, onFailures: () => {} });
  let done = 0;
  // Where the rows themselves go to the terminal, they show how far it is.
  const isSeen = path === undefined && Deno.stdout.isTerminal();
  const hide = isSeen
    ? () => {}
    : showProgress(() =>
      `${progressBar(done, rows.length)} rows, ${tally.failed} failed, ${client.peers} peers`
    );
  try {
    const ask = (row: BatchRow, left: AbortSignal) =>
      askRow(engine, row, AbortSignal.any([signal, left]));
    const pace = { concurrency, ahead: AHEAD * concurrency };
    for await (const row of inOrder(rows, ask, pace)) {
      output.add(row);
      done++;
    }
  } finally {
    hide();
  }
}

function printSummary(summary: BatchSummary, format: OutputFormat): void {
  const { rows, answered, failed, earlier, output } = summary;
  if (format === "json") {
    // Standard output holds the rows, unless a file does.
    if (output !== undefined) print(`${printableJson(summary)}\n`);
    return;
  }
  const before = earlier === 0 ? "" : `; ${earlier} of them were there before`;
  const where = output === undefined ? "" : ` in ${output}`;
  printError(`${rows} rows${where}: ${answered} answered, ${failed} failed${before}\n`);
}

/** What there is of a batch that was stopped, and how it is gone on with. */
function unfinished({ rows, answered, failed, output }: BatchSummary): string {
  const done = `${answered + failed} of ${rows} rows are answered`;
  return output === undefined
    ? `${done}; with --output, the same command could go on from there`
    : `${done} in ${output}; the same command goes on from there`;
}
