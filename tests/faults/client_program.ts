/**
 * A client that asks and pays all the time, and prints, a line each, what happens:
 *
 * - `asked TAG BYTES`: with a body so long
 * - `text TAG COST`: what the text that came so far is worth, in millionths of a base unit
 * - `done TAG REQUEST_HASH COST`: its receipt is acknowledged and paid
 * - `failed TAG CODE MESSAGE`
 *
 * A request's tag is the number of tokens that it commits to, by which every ledger tells it from
 * others. Once standard input ends, the client asks no more, ends when its answers have, and closes
 * its channels if it was told to: `closed COUNT`.
 * @module
 */
import { LloomClient, saysSomething, textOf, Wallet } from "@lloom/client";
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { type Address, fromHex, type Hex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { Identity } from "@lloom/core/identity";
import type { BlockchainConfig, ClientPaymentsConfig } from "@lloom/host/config";
import { Random } from "../sim/random.ts";

/** What a client is told when it starts. */
export interface ClientTask {
  readonly seed: number;
  readonly key: Hex;
  readonly dataDir: string;
  /** Where executors listen. */
  readonly bootstrapNodes: readonly string[];
  readonly rpcUrl: string;
  readonly confirmations: number;
  /** The first tag; the following ones count up. */
  readonly firstTag: number;
  /** Requests at once. */
  readonly concurrency: number;
  /** Base units per 1,000,000 tokens of answer. */
  readonly outboundPrice: string;
}

/** What any test of money without a human in it needs of the chain. */
export function blockchainOf(rpcUrl: string, confirmations: number): BlockchainConfig {
  return {
    rpcUrls: [rpcUrl],
    chainId: 31337,
    contractAddress: LLOOM_CHANNELS_ADDRESS.toLowerCase() as Address,
    asset: ZERO_ADDRESS,
    coin: "ETH",
    confirmations,
    pollMs: 50,
    maxFeePerGas: 500,
  };
}

/** Channels of 2,000,000 wei, so that they are topped up now and then. */
export const PAYMENTS: ClientPaymentsConfig = {
  channelDeposit: "0.000000000002",
  autoOpen: true,
  closeDelay: 3600,
  maxCloseDelay: 86_400,
  maxPrice: undefined,
  budgetHour: undefined,
  budgetDay: undefined,
  keepContent: false,
};

const MODEL = "mock-model";
/** No body is longer than this, for the longest prompt and tag. */
export const MAX_BODY_BYTES = 320;
/** How long a request may take; what a killed client reserved is free again some time after it. */
const TIMEOUT_MS = 8_000;
/** After a failure, most of which are refusals: an executor is away. */
const PAUSE_MS = 40;

const encoder = new TextEncoder();

/** At once, so that what is printed is printed however the process ends. */
function tell(...words: readonly (string | number | bigint)[]): void {
  const line = encoder.encode(`${words.join(" ")}\n`);
  for (let from = 0; from < line.length;) from += Deno.stdout.writeSync(line.subarray(from));
}

class Traffic {
  readonly #client: LloomClient;
  readonly #random: Random;
  readonly #outboundPrice: bigint;
  #tag: number;
  #stopping = false;

  constructor(client: LloomClient, { seed, firstTag, outboundPrice }: ClientTask) {
    this.#client = client;
    this.#random = new Random(seed);
    this.#tag = firstTag;
    this.#outboundPrice = BigInt(outboundPrice);
  }

  stop(): void {
    this.#stopping = true;
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      const tag = this.#tag++;
      try {
        await this.#ask(tag);
      } catch (error) {
        const { code, message } = LloomError.wrap(error);
        tell("failed", tag, code, message);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  async #ask(tag: number): Promise<void> {
    const cancelAfter = this.#random.chance(0.2) ? this.#random.whole(0, 30) : Infinity;
    const content = "word ".repeat(this.#random.whole(1, 30));
    const request = { model: MODEL, messages: [{ role: "user", content }], max_tokens: tag };
    const body = encoder.encode(JSON.stringify(request));
    tell("asked", tag, body.length);
    const cancel = new AbortController();
    const options = { timeoutMs: TIMEOUT_MS, signal: cancel.signal };
    const completion = this.#client.complete(body, options);
    let chunks = 0;
    let tokens = 0;
    try {
      for await (const chunk of completion) {
        if (!saysSomething(chunk)) continue;
        // As executors reckon while an answer goes on.
        tokens += Math.max(1, Math.ceil(encoder.encode(textOf(chunk)).length / 4));
        tell("text", tag, BigInt(tokens) * this.#outboundPrice);
        if (++chunks >= cancelAfter) cancel.abort();
      }
    } catch (error) {
      // A cancelled answer has a receipt for its part.
      if (!cancel.signal.aborted) throw error;
    }
    const { requestHash, payment } = await completion.receipt;
    tell("done", tag, requestHash, payment!.cost);
  }
}

async function main(task: ClientTask): Promise<void> {
  const wallet = await Wallet.open({
    identity: new Identity(fromHex(task.key)),
    blockchain: blockchainOf(task.rpcUrl, task.confirmations),
    payments: PAYMENTS,
    dataDir: task.dataDir,
  });
  const { bootstrapNodes } = task;
  const client = await LloomClient.connect({ bootstrapNodes, wallet, searchTimeoutMs: 2_000 });
  const traffic = new Traffic(client, task);
  const running = Array.from({ length: task.concurrency }, () => traffic.run());
  for await (const _ of Deno.stdin.readable);
  traffic.stop();
  await Promise.all(running);
  await client.close();
  await wallet.close();
}

if (import.meta.main) {
  await main(JSON.parse(Deno.args[0]!));
  Deno.exit(0);
}
