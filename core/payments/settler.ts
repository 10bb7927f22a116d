/** Redeems an executor's vouchers. @module */
import { getLogger } from "@logtape/logtape";
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { SignedVoucher } from "../ports.ts";
import type { ChannelTerms } from "../signing/typed_data.ts";
import type { Amount } from "./amounts.ts";
import { ChannelWatch, type ChannelWatchComponents } from "./channel_watch.ts";
import { planRedemptions, type RedemptionPolicy } from "./redemptions.ts";
import { coveredBy, redeemable, type SellerChannel } from "./seller.ts";

const log = getLogger(["lloom", "payments"]);

/** A voucher with its channel's terms, as the contract takes it. */
export interface Redemption {
  /** The channel's terms. */
  readonly terms: ChannelTerms;
  /** The voucher. */
  readonly signed: SignedVoucher;
}

/**
 * Sends redemptions. Each resolves with a key once it is on disk and will be sent for certain; the
 * same ones again are the same transaction.
 */
export interface Redeemer {
  /** Redeems vouchers in one transaction, in which those that pay nothing are skipped. */
  redeem(items: readonly Redemption[]): Promise<string>;
  /** Redeems a channel's last voucher and closes it. */
  redeemAndClose(item: Redemption): Promise<string>;
  /** Resolves when a transaction is final. @throws {LloomError} `transaction_failed`, `insufficient_funds`, or as the signal says */
  confirmed(key: string, signal?: AbortSignal): Promise<unknown>;
}

/** When a {@linkcode Settler} redeems. */
export interface SettlerOptions extends RedemptionPolicy {
  /** Between two looks at what is to be redeemed, in milliseconds. @default 15000 */
  readonly checkMs?: number;
}

/** What a {@linkcode Settler} works with. */
export interface SettlerComponents extends ChannelWatchComponents {
  /** Sends transactions. */
  readonly redeemer: Redeemer;
}

/** What was redeemed. */
export interface Settlement {
  /** Channels. */
  readonly channels: number;
  /** Base units, of all channels together. */
  readonly amount: Amount;
}

/**
 * Channels with something to redeem are read so often, events or not: one may have begun to close just
 * before it was known here, and a client gets its deposit back in three times that at the earliest.
 */
const READ_AGAIN_MS = 300_000;
/** Longest pause after redemptions that failed. */
const MAX_RETRY_MS = 600_000;

/** A redemption that failed, and when it is tried again. */
interface Retry {
  readonly delayMs: number;
  readonly atMs: number;
}

/**
 * Redeems by threshold, by age, when a client begins to close, and when it is stopped. What is to be
 * redeemed is asked of the store each time and nothing is kept in memory, but what is under way.
 */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #checkMs: number;
  readonly #components: SettlerComponents;
  readonly #stopping = new AbortController();
  /** What is being redeemed of each channel. */
  readonly #underWay = new Map<Hash, Amount>();
  readonly #finishing = new Set<Promise<void>>();
  readonly #retries = new Map<Hash, Retry>();
  readonly #watch: ChannelWatch;
  /** When all channels with something to redeem were last read. */
  #readMs = 0;
  #disarm: (() => void) | undefined;
  #watching: Promise<void> | undefined;
  #checking: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** One that does nothing until it is started, or told to settle. */
  constructor(options: SettlerOptions, components: SettlerComponents) {
    this.#options = options;
    this.#checkMs = options.checkMs ?? 15_000;
    this.#components = components;
    this.#watch = new ChannelWatch(this.#checkMs, components);
  }

  /** {@linkcode ChannelWatch.watchedMs} */
  watchedMs(viewedMs: number): number {
    return this.#watch.watchedMs(viewedMs);
  }

  /** Begins to watch the chain, and to redeem. */
  start(): void {
    this.#watching = this.#watch.run(() => this.#check(), this.#stopping.signal);
    this.#tick();
  }

  /**
   * Redeems everything, however little, and waits until that is final.
   * @throws {LloomError} `chain_unavailable`, `transaction_failed`, `insufficient_funds`
   */
  async settle(signal?: AbortSignal): Promise<Settlement> {
    const open = await this.#components.store.redeemable();
    await this.#watch.read(open.map(({ channel }) => channel.channelId));
    const { begun, failure } = await this.#begin(true, 0n);
    const finished = await Promise.allSettled(begun.map((one) => this.#finish(one, signal)));
    const unfinished = finished.find((one) => one.status === "rejected");
    if (failure !== undefined) throw failure;
    if (unfinished !== undefined) throw unfinished.reason;
    const channels = begun.flatMap((one) => one.channels);
    return {
      channels: channels.length,
      amount: channels.reduce((sum, channel) => sum + redeemable(channel), 0n),
    };
  }

  /**
   * Stops watching, and has everything redeemed that is worth it: resolves once that is on disk, to be
   * sent for certain, or after `graceMs`.
   */
  async stop(graceMs: number): Promise<void> {
    this.#disarm?.();
    this.#stopping.abort();
    await Promise.allSettled(this.#finishing);
    const late = Promise.withResolvers<void>();
    const disarm = this.#components.clock.setTimer(graceMs, late.resolve);
    await Promise.race([late.promise, this.#beginLast()]);
    disarm();
    await this.#watching;
  }

  async #beginLast(): Promise<void> {
    try {
      await this.#checking;
      const { failure } = await this.#begin(true);
      if (failure !== undefined) throw failure;
    } catch (thrown) {
      const { code } = LloomError.wrap(thrown);
      log.warn("not everything was redeemed, which the next start makes up for: {code}", { code });
    }
  }

  #tick(): void {
    this.#disarm = this.#components.clock.setTimer(this.#checkMs, () => {
      this.#tick();
      this.#check();
    });
  }

  /** Looks at what is stale and due: one look at a time, and one at most that waits. */
  #check(): Promise<void> {
    this.#next ??= this.#checking.then(() => {
      this.#checking = this.#next!;
      this.#next = undefined;
      return this.#checkOnce();
    });
    return this.#next;
  }

  async #checkOnce(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    try {
      await this.#read();
      const { begun, failure } = await this.#begin(false);
      for (const one of begun) this.#finishLater(one);
      if (failure !== undefined) throw failure;
    } catch (thrown) {
      warn("vouchers could not be redeemed", thrown);
    }
  }

  async #read(): Promise<void> {
    const { store, clock } = this.#components;
    const nowMs = clock.now();
    if (nowMs - this.#readMs < READ_AGAIN_MS) return await this.#watch.read();
    const open = await store.redeemable();
    await this.#watch.read(open.map(({ channel }) => channel.channelId));
    this.#readMs = nowMs;
  }

  /** Has all that is due sent. */
  async #begin(
    everything: boolean,
    minimum = this.#options.minimum ?? 0n,
  ): Promise<{ readonly begun: readonly Begun[]; readonly failure?: unknown }> {
    const { store, redeemer, clock } = this.#components;
    const nowMs = clock.now();
    const policy = { ...this.#options, minimum };
    const open = (await store.redeemable()).filter(({ channel }) => {
      const underWay = this.#underWay.get(channel.channelId);
      if (everything) return underWay === undefined || coveredBy(channel) > underWay;
      return underWay === undefined && (this.#retries.get(channel.channelId)?.atMs ?? 0) <= nowMs;
    });
    const { batches, closings } = planRedemptions(open, policy, nowMs, everything);
    const sent = await Promise.allSettled([
      ...closings.map((one) => this.#close(one)),
      ...batches.map((batch) => this.#send(batch, (items) => redeemer.redeem(items))),
    ]);
    const begun = sent.filter((one) => one.status === "fulfilled").map(({ value }) => value);
    const failed = sent.find((one) => one.status === "rejected");
    return failed === undefined ? { begun } : { begun, failure: failed.reason };
  }

  /**
   * Ends service, and then the channel: a request admitted while the transaction is on its way would
   * be paid by vouchers that come too late. One that came before has the channel redeemed for now.
   */
  async #close({ channelId }: SellerChannel): Promise<Begun> {
    const { store, redeemer } = this.#components;
    const isOver = await store.consent(channelId).then(() => true, (thrown) => {
      if (LloomError.wrap(thrown).code === "overloaded") return false;
      throw thrown;
    });
    const last = await store.channel(channelId);
    if (last === undefined) throw new TypeError("close channel: it is gone");
    return await this.#send(
      [last],
      (items) => isOver ? redeemer.redeemAndClose(items[0]!) : redeemer.redeem(items),
    );
  }

  async #send(
    channels: readonly SellerChannel[],
    send: (items: readonly Redemption[]) => Promise<string>,
  ): Promise<Begun> {
    for (const channel of channels) this.#underWay.set(channel.channelId, coveredBy(channel));
    try {
      return { channels, key: await send(channels.map(redemptionOf)) };
    } catch (thrown) {
      this.#retryLater(channels);
      throw thrown;
    }
  }

  /** A redemption goes on by itself, however long it takes to be final. */
  #finishLater(begun: Begun): void {
    const finishing = this.#finish(begun, this.#stopping.signal)
      .catch((thrown) => {
        if (!this.#stopping.signal.aborted) warn("vouchers could not be redeemed", thrown);
      })
      .finally(() => this.#finishing.delete(finishing));
    this.#finishing.add(finishing);
  }

  /** Waits until a redemption is final, and takes note of what came of it. */
  async #finish({ channels, key }: Begun, signal: AbortSignal | undefined): Promise<void> {
    const ids = channels.map(({ channelId }) => channelId);
    try {
      await this.#components.redeemer.confirmed(key, signal);
    } catch (thrown) {
      // Who waits no longer does not stop it.
      if (!signal?.aborted) this.#retryLater(channels);
      throw thrown;
    }
    log.info("vouchers of {count} channels are redeemed", { count: ids.length });
    for (const id of ids) this.#retries.delete(id);
    try {
      await this.#watch.read(ids);
    } finally {
      // Not before: what is redeemed already would seem to be due. If it could not be read, it is
      // before anything is redeemed again.
      for (const id of ids) this.#underWay.delete(id);
    }
  }

  #retryLater(channels: readonly SellerChannel[]): void {
    const nowMs = this.#components.clock.now();
    for (const { channelId } of channels) {
      const before = this.#retries.get(channelId)?.delayMs ?? this.#checkMs / 2;
      const delayMs = Math.min(2 * before, MAX_RETRY_MS);
      this.#retries.set(channelId, { delayMs, atMs: nowMs + delayMs });
      this.#underWay.delete(channelId);
    }
  }
}

/** Channels whose redemption is on disk. */
interface Begun {
  readonly channels: readonly SellerChannel[];
  readonly key: string;
}

function redemptionOf({ terms, voucher }: SellerChannel): Redemption {
  if (voucher === undefined) throw new TypeError("redeem voucher: there is none");
  return { terms, signed: voucher };
}

function warn(what: string, thrown: unknown): void {
  const { code, message } = LloomError.wrap(thrown);
  log.warn("{what}: {code}, {message}", { what, code, message });
}
