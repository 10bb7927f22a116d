/** The chain, read through its endpoints. @module */
import { type Address, type Hash, type Hex, ZERO_ADDRESS } from "../../bytes.ts";
import { LloomError } from "../../errors.ts";
import type { Clock } from "../../ports.ts";
import type { Amount, Asset } from "../amounts.ts";
import type { ChannelView } from "../channel.ts";
import {
  allowanceQuery,
  channelQuery,
  creditQuery,
  decimalsQuery,
  failureOf,
  type Query,
  symbolQuery,
  tokenBalanceQuery,
} from "./calls.ts";
import { Endpoints, readHead, Unanswered } from "./endpoints.ts";
import { CHANNEL_TOPICS, readEvent } from "./events.ts";
import type { TransactionChannel } from "./outbox.ts";
import type { Observation } from "./outbox_events.ts";
import type { Call, ChainHead, ChainOptions, ChainReader, ChannelEvent, Depth } from "./ports.ts";
import { type Rpc, RpcError } from "./rpc.ts";
import {
  readCount,
  readHash,
  readHex,
  readQuantity,
  readRecord,
  toQuantity,
} from "./rpc_values.ts";
import { type EventSource, watchEvents } from "./watch.ts";

/** What proposers get on chains whose endpoints do not say what they expect: 1 gwei. */
const DEFAULT_PRIORITY_FEE = 1_000_000_000n;
/** Events that one answer may hold. */
const MAX_EVENTS = 50_000;
/** What tokens may be called; others are refused rather than shown. */
const SYMBOL = /^[\p{L}\p{N}.$₮-]{1,16}$/u;

interface Block extends ChainHead {
  readonly baseFee: bigint;
}

/** A chain through its endpoints: {@linkcode ChainReader}, and what an outbox and a watcher need. */
export class Chain implements ChainReader, TransactionChannel, EventSource {
  readonly confirmations: number;
  readonly pollMs: number;
  readonly #contract: Address;
  readonly #coin: string;
  readonly #clock: Clock;
  readonly #endpoints: Endpoints;

  /** A chain; nothing is asked yet. @throws {TypeError} if there is no URL, or one is none */
  constructor(options: ChainOptions, components: { readonly clock: Clock }) {
    this.confirmations = options.confirmations ?? 1;
    this.pollMs = options.pollMs ?? 1000;
    this.#contract = options.contract;
    this.#coin = options.coin ?? "ETH";
    this.#clock = components.clock;
    this.#endpoints = new Endpoints(options, components);
  }

  /** Lets go of all connections. */
  close(): void {
    this.#endpoints.close();
  }

  head(): Promise<ChainHead> {
    return this.#endpoints.use(async (rpc) => {
      const { number, timestamp } = await this.#newest(rpc);
      return { number, timestamp };
    });
  }

  channel(id: Hash, at: Depth = "confirmed"): Promise<ChannelView> {
    return this.#endpoints.use(async (rpc) => {
      const { number } = await this.#newest(rpc);
      const block = at === "latest" ? number : this.#final(number);
      return await ask(rpc, this.#contract, channelQuery(id), block);
    });
  }

  credit(asset: Address, account: Address): Promise<Amount> {
    return this.#endpoints.use(async (rpc) => {
      const { number } = await this.#newest(rpc);
      return await ask(rpc, this.#contract, creditQuery(asset, account), number);
    });
  }

  balance(asset: Address, account: Address): Promise<Amount> {
    if (asset !== ZERO_ADDRESS) return this.#askToken(asset, tokenBalanceQuery(account));
    return this.#endpoints.use(async (rpc) => {
      const { number } = await this.#newest(rpc);
      return readQuantity(await rpc("eth_getBalance", [account, toQuantity(number)]));
    });
  }

  allowance(asset: Address, account: Address): Promise<Amount> {
    return this.#askToken(asset, allowanceQuery(account, this.#contract));
  }

  asset(address: Address): Promise<Asset> {
    if (address === ZERO_ADDRESS) {
      return Promise.resolve({ address, symbol: this.#coin, decimals: 18 });
    }
    return this.#endpoints.use(async (rpc) => {
      const { number } = await this.#newest(rpc);
      const symbol = await askToken(rpc, address, symbolQuery, number);
      const decimals = await askToken(rpc, address, decimalsQuery, number);
      if (!SYMBOL.test(symbol)) throw notToken(address, "its symbol is not fit to be shown");
      if (decimals > 36) throw notToken(address, "it has more than 36 decimals");
      return { address, symbol, decimals };
    });
  }

  gasCost(call: Call, from: Address): Promise<Amount> {
    return this.#endpoints.use(async (rpc) => {
      const { number, baseFee } = await this.#newest(rpc);
      const gas = await estimate(rpc, call, from, number);
      return gas * (baseFee + await priorityFee(rpc));
    });
  }

  watch(
    fromBlock: bigint,
    onEvents: (events: readonly ChannelEvent[], upTo: bigint) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const pause = (ms: number) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        const disarm = this.#clock.setTimer(ms, () => {
          signal.removeEventListener("abort", end);
          resolve();
        });
        const end = () => {
          disarm();
          resolve();
        };
        signal.addEventListener("abort", end, { once: true });
      });
    return watchEvents(this, fromBlock, onEvents, signal, pause);
  }

  /** See {@linkcode EventSource.events}. */
  events(
    from: bigint,
    to: bigint,
  ): Promise<{ readonly events: readonly ChannelEvent[]; readonly head: bigint }> {
    return this.#endpoints.use(async (rpc) => {
      const { number: head } = await this.#newest(rpc);
      const last = to < head ? to : head;
      if (last < from) return { events: [], head };
      const logs = await rpc("eth_getLogs", [{
        address: this.#contract,
        fromBlock: toQuantity(from),
        toBlock: toQuantity(last),
        topics: [CHANNEL_TOPICS],
      }]).catch((error) => {
        // Not the endpoint's fault: it would refuse the same again, and so would the next one.
        if (!(error instanceof RpcError) || last === from) throw error;
        throw new LloomError(
          "chain_unavailable",
          `read events: ${last - from + 1n} blocks refused`,
          {
            cause: error,
          },
        );
      });
      if (!Array.isArray(logs) || logs.length > MAX_EVENTS) {
        throw new TypeError(`read events: no list, or more than ${MAX_EVENTS}`);
      }
      const events = logs.map((each) => readEvent(each, this.#contract));
      if (events.some(({ blockNumber }) => blockNumber < from || blockNumber > last)) {
        throw new TypeError("read events: of other blocks");
      }
      return { events, head };
    });
  }

  /** See {@linkcode TransactionChannel.observe}. */
  observe(account: Address, transactions: readonly Hash[], turn = 0): Promise<Observation> {
    return this.#endpoints.use(async (rpc) => {
      const { number: head, baseFee } = await this.#newest(rpc);
      const nonceAt = async (block: bigint) =>
        readCount(await rpc("eth_getTransactionCount", [account, toQuantity(block)]));
      const executed = new Map<Hash, { blockNumber: bigint; success: boolean }>();
      const [nonce, finalNonce, priority] = await Promise.all([
        nonceAt(head),
        nonceAt(this.#final(head)),
        priorityFee(rpc),
        ...transactions.map(async (hash) => {
          const found = await rpc("eth_getTransactionReceipt", [hash]);
          if (found === null) return;
          const receipt = readRecord(found);
          if (readHash(receipt["transactionHash"]) !== hash) {
            throw new TypeError("read receipt: another transaction's");
          }
          const blockNumber = readQuantity(receipt["blockNumber"]);
          // Newer than the rest of this look: it counts with the next one.
          if (blockNumber > head) return;
          executed.set(hash, { blockNumber, success: readQuantity(receipt["status"]) === 1n });
        }),
      ]);
      return { head, baseFee, priorityFee: priority, nonce, finalNonce, executed };
    }, turn);
  }

  /** See {@linkcode TransactionChannel.estimateGas}. */
  estimateGas(call: Call, from: Address): Promise<bigint> {
    return this.#endpoints.use(async (rpc) => {
      const { number, baseFee } = await this.#newest(rpc);
      if (!this.#endpoints.isNewest(rpc)) {
        // It may not know yet what this call builds on, and what fails here is not sent.
        throw new LloomError("chain_unavailable", "estimate gas: the endpoint is not up to date");
      }
      const gas = await estimate(rpc, call, from, number);
      const balance = readQuantity(await rpc("eth_getBalance", [from, toQuantity(number)]));
      if (balance < call.value + gas * (baseFee + await priorityFee(rpc))) {
        throw new LloomError(
          "insufficient_funds",
          "send transaction: the account has less coin than it needs, gas included",
        );
      }
      return gas;
    });
  }

  /** See {@linkcode TransactionChannel.broadcast}. */
  async broadcast(raw: Hex): Promise<void> {
    const answers = await this.#endpoints.useAll((rpc) => rpc("eth_sendRawTransaction", [raw]));
    const taken = answers.some((answer) => answer.status === "fulfilled" || isKnown(answer.reason));
    if (taken) return;
    const cause: unknown = answers.find((answer) => answer.status === "rejected")?.reason;
    throw failureOf(cause) ??
      new LloomError("chain_unavailable", "broadcast transaction: no endpoint took it", { cause });
  }

  #askToken<T>(token: Address, query: Query<T>): Promise<T> {
    return this.#endpoints.use(async (rpc) =>
      await askToken(rpc, token, query, (await this.#newest(rpc)).number)
    );
  }

  #final(head: bigint): bigint {
    const depth = BigInt(this.confirmations) - 1n;
    return head > depth ? head - depth : 0n;
  }

  /** The newest block of an endpoint, unless it lags behind what others have. */
  async #newest(rpc: Rpc): Promise<Block> {
    const block = readRecord(await rpc("eth_getBlockByNumber", ["latest", false]));
    const head = readHead(block);
    if (!this.#endpoints.saw(rpc, head)) throw new Unanswered("it lags behind the others, or lies");
    return { ...head, baseFee: readQuantity(block["baseFeePerGas"]) };
  }
}

async function ask<T>(rpc: Rpc, to: Address, query: Query<T>, block: bigint): Promise<T> {
  const result = await rpc("eth_call", [{ to, data: query.data }, toQuantity(block)]);
  return query.read(readHex(result));
}

/** Asks what may be no token at all, which is not its endpoint's fault. */
async function askToken<T>(rpc: Rpc, token: Address, query: Query<T>, block: bigint): Promise<T> {
  const question = rpc("eth_call", [{ to: token, data: query.data }, toQuantity(block)]);
  const result = await question.then(readHex).catch((error: unknown) => {
    throw failureOf(error) === undefined ? error : notToken(token, "it refuses to answer as one");
  });
  try {
    return query.read(result);
  } catch (cause) {
    throw new LloomError("config_invalid", `read asset ${token}: it does not answer as a token`, {
      cause,
    });
  }
}

/** Gas with a margin of a quarter, for what changes until it is executed. */
async function estimate(rpc: Rpc, call: Call, from: Address, block: bigint): Promise<bigint> {
  const { to, data, value } = call;
  const transaction = { from, to, data, value: toQuantity(value) };
  try {
    const gas = readQuantity(await rpc("eth_estimateGas", [transaction, toQuantity(block)]));
    return gas + gas / 4n;
  } catch (error) {
    throw failureOf(error) ?? error;
  }
}

async function priorityFee(rpc: Rpc): Promise<bigint> {
  try {
    return readQuantity(await rpc("eth_maxPriorityFeePerGas", []));
  } catch (error) {
    if (error instanceof RpcError && error.code === -32601) return DEFAULT_PRIORITY_FEE;
    throw error;
  }
}

/** Whether a node refused a transaction because it has it, or has executed it, or one in its place. */
function isKnown(error: unknown): boolean {
  return error instanceof RpcError &&
    /already known|already imported|known transaction|nonce too low|underpriced/i.test(
      error.message,
    );
}

function notToken(address: Address, why: string): LloomError {
  return new LloomError("config_invalid", `read asset ${address}: ${why}`);
}
