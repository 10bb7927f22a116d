/** Keeps an executor's account of its channels as the chain has them. @module */
import { getLogger } from "@logtape/logtape";
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import type { ChainReader, ChannelEvent } from "./chain/ports.ts";
import type { ChannelView } from "./channel.ts";
import type { SellerStore } from "./stores.ts";

const log = getLogger(["lloom", "payments"]);

/** What a {@linkcode ChannelWatch} works with. */
export interface ChannelWatchComponents {
  /** The executor's account. */
  readonly store: SellerStore;
  /** The chain that it is settled on. */
  readonly chain: Pick<ChainReader, "confirmations" | "head" | "channel" | "watch">;
  /** Times attempts. */
  readonly clock: Clock;
}

/** Channels that are read at once. */
const MAX_READS = 8;

/**
 * Reads again what an event is about. No block is remembered across restarts: what happened before is
 * asked of the channels themselves, of those with something to redeem at once, of the others when
 * they are used (`cashier.ts`). A watch that is cut off goes on where it was.
 */
export class ChannelWatch {
  readonly #components: ChannelWatchComponents;
  readonly #pauseMs: number;
  /** Channels that must be read. */
  readonly #stale = new Set<Hash>();
  /** Channels that are read once more when a block is final: until then, it may be undone. */
  readonly #recent = new Map<Hash, bigint>();
  #final = -1n;
  /** The next block whose events are to be heard of. */
  #next: bigint | undefined;
  /** Since when no event was missed, and until when. */
  #sinceMs = Infinity;
  #watchedMs = 0;
  #reading: Promise<void> = Promise.resolve();

  /** One that knows nothing yet. @param pauseMs between two attempts to reach the chain */
  constructor(pauseMs: number, components: ChannelWatchComponents) {
    this.#pauseMs = pauseMs;
    this.#components = components;
  }

  /**
   * Unix milliseconds up to which the store has a channel as the chain has it that was read at
   * `viewedMs`; 0 if that is not known.
   */
  watchedMs(viewedMs: number): number {
    return this.#stale.size === 0 && viewedMs >= this.#sinceMs ? this.#watchedMs : 0;
  }

  /**
   * Follows the chain until aborted; never rejects.
   * @param onChange called, and awaited, whenever channels are to be read with {@linkcode ChannelWatch.read}
   */
  async run(onChange: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { chain, store, clock } = this.#components;
    while (!signal.aborted) {
      try {
        const { number } = await chain.head();
        if (this.#next === undefined || this.#next > number + 1n) {
          // What lies between is not known, or what was told before was false.
          this.#next = undefined;
          this.#sinceMs = Infinity;
          const sinceMs = clock.now();
          await this.read((await store.redeemable()).map(({ channel }) => channel.channelId));
          this.#next = number;
          this.#sinceMs = this.#watchedMs = sinceMs;
        }
        await onChange();
        await chain.watch(this.#next, async (events, upTo) => {
          await this.#note(events, upTo);
          if (this.#stale.size > 0) await onChange();
        }, signal);
      } catch (thrown) {
        const { code, message } = LloomError.wrap(thrown);
        log.warn("channels are not watched: {code}, {message}", { code, message });
        await this.#pause(signal);
      }
    }
  }

  /**
   * Reads channels, and all others that are to be read. One reading follows another, so that the last
   * one counts.
   * @throws {LloomError} `chain_unavailable`; what could not be read is tried again the next time
   */
  read(ids: Iterable<Hash> = []): Promise<void> {
    for (const id of ids) this.#stale.add(id);
    for (const [id, block] of this.#recent) {
      if (block > this.#final) continue;
      this.#recent.delete(id);
      this.#stale.add(id);
    }
    const reading = this.#reading.then(async () => {
      const stale = [...this.#stale];
      for (let at = 0; at < stale.length; at += MAX_READS) {
        await Promise.all(stale.slice(at, at + MAX_READS).map((id) => this.#view(id)));
      }
    });
    // Its failure is for who asked for it.
    this.#reading = reading.then(() => {}, () => {});
    return reading;
  }

  async #note(events: readonly ChannelEvent[], upTo: bigint): Promise<void> {
    const { store, clock } = this.#components;
    for (const { channelId, blockNumber } of events) {
      if (await store.channel(channelId) === undefined) continue;
      this.#stale.add(channelId);
      this.#recent.set(channelId, blockNumber);
    }
    this.#final = upTo;
    this.#next = upTo + 1n;
    this.#watchedMs = clock.now();
  }

  async #view(channelId: Hash): Promise<void> {
    // An event that comes while it is read has it read again.
    this.#stale.delete(channelId);
    try {
      await this.#components.store.viewChannel(channelId, await this.#viewOf(channelId));
    } catch (thrown) {
      this.#stale.add(channelId);
      throw thrown;
    }
  }

  /** Money counts once it is confirmed; that a client begins to take it back counts at once. */
  async #viewOf(channelId: Hash): Promise<ChannelView> {
    const { chain } = this.#components;
    const confirmed = await chain.channel(channelId, "confirmed");
    if (chain.confirmations <= 1 || confirmed.status !== "open") return confirmed;
    const { status, closesAt } = await chain.channel(channelId, "latest");
    return status === "closing" || status === "closed"
      ? { ...confirmed, status, closesAt }
      : confirmed;
  }

  #pause(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const disarm = this.#components.clock.setTimer(this.#pauseMs, resolve);
      signal.addEventListener("abort", () => {
        disarm();
        resolve();
      }, { once: true });
    });
  }
}
