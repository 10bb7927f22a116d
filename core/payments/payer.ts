/** The client's money: finds a channel with room for each request, or makes some. @module */
import { getLogger } from "@logtape/logtape";
import { type Address, type Hash, toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Clock, Signer } from "../ports.ts";
import { type Amount, type Cost, MAX_AMOUNT, toAmount, toCost } from "./amounts.ts";
import { type BuyerChannel, unusableReason } from "./buyer.ts";
import { type ChannelView, hasRoom, roomOf } from "./channel.ts";
import { planChannel } from "./plan_channel.ts";
import type { OpenPayment, Payer, PaymentRequest } from "./ports.ts";
import { ReservedPayment, type ReservedPaymentComponents } from "./reserved_payment.ts";
import type { Budgets, BuyerStore } from "./stores.ts";
import { suits, usableChannels, type WantedChannel } from "./usable_channels.ts";

const log = getLogger(["lloom", "payments"]);

/** A channel by its name. */
export type NamedChannel = Pick<BuyerChannel, "channelId" | "terms">;

/** Puts money into channels. Both acts are idempotent: the same one again, after a crash too, pays once. */
export interface ChannelOpener {
  /** The channel as confirmed. @throws {LloomError} `chain_unavailable` */
  view(channelId: Hash): Promise<ChannelView>;
  /**
   * Opens a channel. An opening begun before is gone on with, at the amount that it was begun with.
   * @returns the channel once it is confirmed
   * @throws {LloomError} `transaction_failed` or `insufficient_funds` if nothing was deposited, so that
   * the same call tries anew; `chain_unavailable` if that is not known
   */
  open(channel: NamedChannel, amount: Amount): Promise<ChannelView>;
  /**
   * Adds to a channel that is open. One that was begun at the same deposit is gone on with.
   * @returns the channel once it is confirmed
   * @throws {LloomError} as {@linkcode ChannelOpener.open}
   */
  topUp(channel: NamedChannel & { readonly deposit: Amount }, amount: Amount): Promise<ChannelView>;
}

/** How a client pays. */
export interface PayerOptions {
  /** The chain's number. */
  readonly chainId: bigint;
  /** The payment contract there. */
  readonly contract: Address;
  /** What is paid with; zero for the chain's native coin. */
  readonly asset: Address;
  /** What is put into a channel at once, unless requests need more. */
  readonly channelDeposit: Amount;
  /** Whether channels are opened and topped up when a request needs it. */
  readonly autoOpen: boolean;
  /** Seconds that a channel takes to close, unless its executor wants more. */
  readonly closeDelay: number;
  /** The most of that: money is not locked for longer. */
  readonly maxCloseDelay: number;
  /**
   * The most that requests may cost. Where none is set for one request, that is `channelDeposit`:
   * otherwise an executor's price alone would say how much of a wallet is put at stake.
   */
  readonly budgets: Budgets;
}

/** What a payer works with. */
export interface PayerComponents extends Omit<ReservedPaymentComponents, "onRefused"> {
  /** The client's account with this asset's contract, and no other's. */
  readonly store: BuyerStore;
  /** Whose channels they are. */
  readonly signer: Pick<Signer, "address" | "signVoucher">;
  /** Opens channels. */
  readonly chain: ChannelOpener;
  /** Names requests, and salts channels. */
  readonly random?: (bytes: number) => Uint8Array;
  /** Times requests. */
  readonly clock: Pick<Clock, "now">;
}

/** A payer over channels. */
export interface ChannelPayer extends Payer {
  /**
   * Looks at all channels on the chain that are not closed: for one that was about to be opened when
   * its process ended, or that was changed elsewhere. @throws {LloomError} `chain_unavailable`
   */
  refresh(): Promise<void>;
}

/** A payer whose channels are in a ledger. */
export function createPayer(options: PayerOptions, components: PayerComponents): ChannelPayer {
  return new LedgerPayer(options, components);
}

/** Others may take the room of a channel just when it was made; after some tries they have won. */
const MAX_TRIES = 4;
/** A channel is looked at no more often because executors refuse it. */
const LOOK_AGAIN_MS = 5_000;

/** Those who wait for room on a channel to one executor. */
interface Flight {
  /** What they need together. */
  wanted: Cost;
  promise?: Promise<BuyerChannel>;
}

class LedgerPayer implements ChannelPayer {
  readonly #options: PayerOptions;
  readonly #budgets: Budgets;
  readonly #components: PayerComponents;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #flights = new Map<Address, Flight>();
  /** Where the last request to each executor found room, so that the next one need not search. */
  readonly #current = new Map<Address, NamedChannel>();
  readonly #lookedAt = new Map<Hash, number>();

  constructor(options: PayerOptions, components: PayerComponents) {
    this.#options = options;
    this.#budgets = { request: options.channelDeposit, ...options.budgets };
    this.#components = components;
    this.#random = components.random ??
      ((bytes) => crypto.getRandomValues(new Uint8Array(bytes)));
  }

  async begin(request: PaymentRequest, signal?: AbortSignal): Promise<OpenPayment> {
    this.#assertPayable(request);
    const { executor, model, maxCost, prepay } = request;
    const { store, clock } = this.#components;
    const id = toHex(this.#random(16)).slice(2);
    for (let tries = 1;; tries++) {
      if (signal?.aborted) throw LloomError.wrap(signal.reason, "aborted", "pay request");
      const current = this.#current.get(executor);
      const channel = current !== undefined && suits(current.terms, this.#wanted(request))
        ? current
        : await this.#provide(request, signal);
      const deadlineMs = request.deadlineMs();
      const purchase = { id, model, maxCost, prepay, deadlineMs, nowMs: clock.now() };
      try {
        const payment = await store.reserve(channel.channelId, purchase, this.#budgets);
        this.#current.set(executor, channel);
        return new ReservedPayment(id, channel, payment, {
          ...this.#components,
          onRefused: (channelId) => this.#lookAgain(channelId),
        });
      } catch (thrown) {
        const { code } = LloomError.wrap(thrown);
        const isFull = code === "insufficient_funds" || code === "channel_unusable";
        if (!isFull || tries === MAX_TRIES) throw thrown;
        this.#current.delete(executor);
      }
    }
  }

  async refresh(): Promise<void> {
    for (const channel of await this.#components.store.channels()) {
      if (channel.status !== "closed") await this.#view(channel.channelId);
    }
  }

  /** What can be told before anything is opened for it. */
  #assertPayable({ payment, maxCost }: PaymentRequest): void {
    const { chainId, contract, asset, maxCloseDelay } = this.#options;
    const wrong = payment.chainId !== chainId || payment.contract !== contract
      ? "on another chain, or by another contract"
      : payment.asset !== asset
      ? "in another asset"
      : payment.closeDelay > maxCloseDelay
      ? `from channels that take over ${maxCloseDelay} seconds to close`
      : undefined;
    if (wrong !== undefined) {
      throw new LloomError("payment_required", `pay request: the executor is paid ${wrong}`);
    }
    const most = toAmount(maxCost);
    const { request, hour, day } = this.#budgets;
    const over = request !== undefined && most > request
      ? "the most allowed for one request: max_price (--max-price), or else channel_deposit"
      : hour !== undefined && most > hour
      ? "the budget of an hour: budget_hour"
      : day !== undefined && most > day
      ? "the budget of a day: budget_day"
      : undefined;
    if (over !== undefined) {
      throw new LloomError("budget_exceeded", `pay request: it can cost more than ${over}`);
    }
    if (most > MAX_AMOUNT) {
      throw new LloomError(
        "insufficient_funds",
        "pay request: no channel can hold what it can cost",
      );
    }
  }

  #wanted({ executor, payment: { closeDelay } }: PaymentRequest): WantedChannel {
    const { asset } = this.#options;
    return { executor, asset, signer: this.#components.signer.address, closeDelay };
  }

  /** A channel with room for all who wait: found, or made once for them. */
  #provide(request: PaymentRequest, signal: AbortSignal | undefined): Promise<BuyerChannel> {
    const { executor, maxCost } = request;
    let flight = this.#flights.get(executor);
    if (flight === undefined) {
      flight = { wanted: 0n };
      this.#flights.set(executor, flight);
      flight.promise = this.#withRoom(request, flight)
        .finally(() => this.#flights.delete(executor));
    }
    flight.wanted += maxCost;
    return unlessAborted(flight.promise!, signal);
  }

  async #withRoom(request: PaymentRequest, flight: Flight): Promise<BuyerChannel> {
    const all = await this.#components.store.channels();
    const usable = usableChannels(all, this.#wanted(request));
    const [best] = usable;
    if (best !== undefined && hasRoom(best, request.maxCost)) return best;
    if (!this.#options.autoOpen) {
      throw best?.status !== "open"
        ? new LloomError("payment_required", "pay request: no channel to this executor is open")
        : new LloomError("insufficient_funds", "pay request: the channel's deposit is too small");
    }
    // One may have been opened, closed or topped up from elsewhere, or just when a process ended.
    for (const known of usable) {
      const channel = await this.#view(known.channelId);
      if (channel.status === "none") return await this.#open(channel, flight.wanted);
      if (channel.status !== "open" || unusableReason(channel) !== undefined) continue;
      return hasRoom(channel, flight.wanted) ? channel : await this.#topUp(channel, flight.wanted);
    }
    return await this.#open(await this.#add(request), flight.wanted);
  }

  /** A new channel, in the ledger. */
  async #add({ executor, payment }: PaymentRequest): Promise<BuyerChannel> {
    const { store, signer: { address } } = this.#components;
    const { asset, closeDelay } = this.#options;
    const channel = planChannel({
      ...{ client: address, executor, asset, signer: address },
      closeDelay: Math.max(closeDelay, payment.closeDelay),
    }, this.#random);
    await store.addChannel(channel);
    return channel;
  }

  async #open(channel: BuyerChannel, wanted: Cost): Promise<BuyerChannel> {
    const { store, chain } = this.#components;
    const { channelId, terms } = channel;
    log.info("opening a channel to {executor}", { executor: terms.executor });
    const view = await chain.open(channel, this.#deposit(wanted));
    return await store.viewChannel(channelId, view);
  }

  async #topUp(channel: BuyerChannel, wanted: Cost): Promise<BuyerChannel> {
    const { store, chain } = this.#components;
    log.info("topping up the channel to {executor}", { executor: channel.terms.executor });
    const view = await chain.topUp(channel, this.#deposit(wanted - roomOf(channel)));
    return await store.viewChannel(channel.channelId, view);
  }

  #deposit(wanted: Cost): Amount {
    const { channelDeposit } = this.#options;
    return toCost(channelDeposit) >= wanted ? channelDeposit : toAmount(wanted);
  }

  async #view(channelId: Hash): Promise<BuyerChannel> {
    const { store, chain } = this.#components;
    return await store.viewChannel(channelId, await chain.view(channelId));
  }

  /** Looks, behind the back of whoever was refused, how a channel stands. */
  #lookAgain(channelId: Hash): void {
    const now = this.#components.clock.now();
    const last = this.#lookedAt.get(channelId);
    if (last !== undefined && now - last < LOOK_AGAIN_MS) return;
    this.#lookedAt.set(channelId, now);
    this.#view(channelId).catch((error) =>
      log.info("a channel could not be looked at: {code}", { code: LloomError.wrap(error).code })
    );
  }
}

/** Waits for what goes on for others too, which an abort does not stop. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void =>
    aborted.reject(LloomError.wrap(signal.reason, "aborted", "pay request"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
