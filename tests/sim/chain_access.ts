/** The chain as one node sees it: slowly, late, and at times not at all. @module */
import { type Address, type Hash, type Hex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { Amount, Asset, ChannelView } from "@lloom/core/payments";
import type {
  Attempt,
  Call,
  ChainHead,
  ChainReader,
  ChannelEvent,
  Depth,
  EventSource,
  Observation,
  Outbox,
  TransactionChannel,
  TransactionDraft,
  TransactionSigner,
} from "@lloom/core/payments/chain";
import type { Clock } from "@lloom/core/ports";
import { watchEvents } from "../../core/payments/chain/watch.ts";
import type { ModelBlock, ModelChain } from "./model_chain.ts";
import { DELAYS, type Life, type Scheduler } from "./scheduler.ts";
import type { World } from "./world.ts";

/** How well a node's endpoint works. */
export interface Weather {
  /** Of questions, how many are not answered. */
  failures: number;
  /** Blocks that an answer may be late. */
  lag: bigint;
  /** Unix milliseconds until which it answers nothing. */
  deadUntilMs: number;
}

/** Blocks after which something counts as final. */
export const CONFIRMATIONS = 3;
const POLL_MS = 8_000;
const GAS_WITH_MARGIN = 125_000n;
const PRIORITY_FEE = 1n;

/** One process' way to the chain. */
export class ChainAccess implements ChainReader, TransactionChannel, EventSource {
  readonly confirmations: number = CONFIRMATIONS;
  readonly pollMs: number = POLL_MS;
  readonly #chain: ModelChain;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #life: Life;
  readonly #weather: Weather;
  readonly #world: World;

  constructor(world: World, life: Life, weather: Weather) {
    this.#world = world;
    this.#chain = world.chain;
    this.#scheduler = world.scheduler;
    this.#clock = world.scheduler.clock(life);
    this.#life = life;
    this.#weather = weather;
  }

  head(): Promise<ChainHead> {
    return this.#ask("head", ({ number, timestamp }) => ({ number, timestamp }));
  }

  channel(id: Hash, at: Depth = "confirmed"): Promise<ChannelView> {
    return this.#ask("channel", (newest) => {
      const { state } = at === "latest" ? newest : this.#finalOf(newest);
      const { deposit, settled, status, closesAt } = state.contract.channels.get(id) ??
        { deposit: 0n, settled: 0n, status: "none", closesAt: 0 };
      return { deposit, settled, status, closesAt };
    });
  }

  credit(_asset: Address, account: Address): Promise<Amount> {
    return this.#ask("credit", ({ state }) => state.contract.credits.get(account) ?? 0n);
  }

  balance(_asset: Address, account: Address): Promise<Amount> {
    return this.#ask("balance", ({ state }) => state.coinsOf(account));
  }

  allowance(): Promise<Amount> {
    return this.#ask("allowance", () => 0n);
  }

  asset(): Promise<Asset> {
    return Promise.resolve({ address: ZERO_ADDRESS, symbol: "SIM", decimals: 18 });
  }

  gasCost(): Promise<Amount> {
    return this.#ask("gas cost", ({ baseFee }) => GAS_WITH_MARGIN * baseFee);
  }

  watch(
    fromBlock: bigint,
    onEvents: (events: readonly ChannelEvent[], upTo: bigint) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const pause = (ms: number) => new Promise<void>((resolve) => this.#clock.setTimer(ms, resolve));
    return watchEvents(this, fromBlock, onEvents, signal, pause);
  }

  events(
    from: bigint,
    to: bigint,
  ): Promise<{ readonly events: readonly ChannelEvent[]; readonly head: bigint }> {
    return this.#ask("events", ({ number: head }) => {
      const blocks = this.#chain.blocks(from, to < head ? to : head);
      return { events: blocks.flatMap(({ events }) => events), head };
    });
  }

  observe(account: Address, transactions: readonly Hash[]): Promise<Observation> {
    return this.#ask("observe", (newest) => {
      const executed = new Map<Hash, { blockNumber: bigint; success: boolean }>();
      for (const block of this.#chain.blocks(1n, newest.number)) {
        for (const hash of transactions) {
          const success = block.executed.get(hash);
          if (success !== undefined) executed.set(hash, { blockNumber: block.number, success });
        }
      }
      return {
        head: newest.number,
        baseFee: newest.baseFee,
        priorityFee: PRIORITY_FEE,
        nonce: newest.state.nonceOf(account),
        finalNonce: this.#finalOf(newest).state.nonceOf(account),
        executed,
      };
    });
  }

  async estimateGas(call: Call, from: Address): Promise<bigint> {
    // Like the real one: of an endpoint that is up to date.
    return await this.#ask("estimate gas", () => {
      const newest = this.#chain.block();
      if (!this.#chain.succeeds(call, from, newest)) {
        throw new LloomError("transaction_failed", "estimate gas: it would be reverted");
      }
      const needed = call.value + GAS_WITH_MARGIN * (newest.baseFee + PRIORITY_FEE);
      if (newest.state.coinsOf(from) < needed) {
        throw new LloomError("insufficient_funds", "estimate gas: less coin than it needs");
      }
      return GAS_WITH_MARGIN;
    });
  }

  async broadcast(raw: Hex): Promise<void> {
    await this.#scheduler.wait(this.#life, DELAYS.rpc, "rpc: broadcast");
    const { random } = this.#scheduler;
    const { failures } = this.#weather;
    this.#world.oracle.check(
      this.#chain.isOnlyOneOfItsNonce(raw),
      "no nonce is used for two wishes",
      () => `${this.#life.name}: ${raw}`,
    );
    // What it says and what it does are two things.
    if (!this.#isDead && !random.chance(failures)) this.#chain.offer(raw);
    if (this.#isDead || random.chance(failures)) throw unavailable();
  }

  get #isDead(): boolean {
    return this.#weather.deadUntilMs > this.#scheduler.nowMs;
  }

  async #ask<T>(question: string, read: (newest: ModelBlock) => T): Promise<T> {
    await this.#scheduler.wait(this.#life, DELAYS.rpc, `rpc: ${question}`);
    const { random } = this.#scheduler;
    const { failures, lag } = this.#weather;
    if (this.#isDead || random.chance(failures)) throw unavailable();
    const newest = this.#chain.block();
    const late = lag > 0n && random.chance(0.3) ? BigInt(random.whole(0, Number(lag))) : 0n;
    return read(this.#chain.block(newest.number > late ? newest.number - late : 1n));
  }

  #finalOf({ number }: ModelBlock): ModelBlock {
    const depth = BigInt(CONFIRMATIONS) - 1n;
    return this.#chain.block(number > depth ? number - depth : 1n);
  }
}

/** An outbox, held against the chain: what it says is final must be. */
export function watchOutbox({ chain, oracle }: World, outbox: Outbox): Outbox {
  return {
    account: outbox.account,
    submit: (intent) => outbox.submit(intent),
    async confirmed(key, signal) {
      const confirmation = await outbox.confirmed(key, signal);
      const depth = chain.depthOf(confirmation.transactionHash);
      oracle.check(depth >= CONFIRMATIONS, "what is said to be final is", () => `${key}: ${depth}`);
      return confirmation;
    },
    status: (key) => outbox.status(key),
    stop: () => outbox.stop(),
  };
}

/** Signs transactions of a node for the model. */
export function createModelSigner(chain: ModelChain, account: Address): TransactionSigner {
  return {
    account,
    sign: (draft: TransactionDraft): Attempt => {
      const { to, data, value, nonce, gas, maxFeePerGas, maxPriorityFeePerGas } = draft;
      const fees = { maxFeePerGas, maxPriorityFeePerGas };
      return chain.signed({ from: account, to, data, value, nonce, gas, ...fees });
    },
  };
}

function unavailable(): LloomError {
  return new LloomError("chain_unavailable", "ask chain: no endpoint answers");
}
