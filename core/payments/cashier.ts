/** The executor's money: admits requests on channels that the chain confirms, and takes vouchers. @module */
import type { Address, Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Clock, Verifier } from "../ports.ts";
import { CHANNEL_RATE, MAX_CHANNEL_READS, STRANGE_CHANNEL_RATE } from "../protocol/limits.ts";
import { QueryRates } from "../registry/query_rates.ts";
import type { ChannelTerms } from "../signing/typed_data.ts";
import type { Amount, Cost } from "./amounts.ts";
import { type ChannelView, hasRoom } from "./channel.ts";
import { channelIdOf } from "./channel_id.ts";
import type {
  Cashier,
  PaidReceipt,
  PaymentTerms,
  PricedRequest,
  Tab,
  VoucherMessage,
} from "./ports.ts";
import { newSellerChannel, type SellerChannel, type TakenVoucher } from "./seller.ts";
import type { SellerStore } from "./stores.ts";

/** Reads channels from the chain. */
export interface ChannelViews {
  /** A channel as the contract has it. @throws {LloomError} `chain_unavailable`, `chain_mismatch` */
  channel(channelId: Hash): Promise<ChannelView>;
}

/** How an executor is paid. */
export interface CashierOptions {
  /** What it announces. */
  readonly terms: PaymentTerms;
  /** Who is paid. */
  readonly executor: Address;
  /** The smallest deposit of a channel that is served, in base units of the asset. */
  readonly minDeposit: Amount;
}

/** What a cashier works with. */
export interface CashierComponents {
  /** The executor's account with this asset's contract, and no other's. */
  readonly store: SellerStore;
  /** Says what is confirmed. */
  readonly chain: ChannelViews;
  /** Checks vouchers. */
  readonly verifier: Pick<Verifier, "verifyVoucher">;
  /** Times what is known. */
  readonly clock: Pick<Clock, "now">;
  /**
   * Unix milliseconds up to which somebody else (the settler) keeps a channel as the chain has it
   * that was read at `viewedMs`. @default nobody does
   */
  readonly watchedMs?: (viewedMs: number) => number;
}

/** A cashier over channels. */
export interface ChannelCashier extends Cashier {
  /**
   * Agrees to close a channel, which is served no more from then on; on disk when this resolves.
   * @param asker who asks for it: the channel's client, or its signer
   * @returns the channel, and what the executor gets in all
   * @throws {LloomError} `channel_unusable` if it is another's channel, or unknown to the chain;
   * `overloaded` while requests are under way on it
   */
  consent(
    terms: ChannelTerms,
    asker: Address,
  ): Promise<{ readonly channelId: Hash; readonly finalAmount: Amount }>;
}

/** A cashier whose channels are in a ledger. */
export function createCashier(
  options: CashierOptions,
  components: CashierComponents,
): ChannelCashier {
  return new LedgerCashier(options, components);
}

/**
 * How long a view of a channel counts where nobody keeps it true: a third of the shortest time in
 * which a client can get its deposit back.
 */
const MAX_VIEW_AGE_MS = 300_000;
/** A channel that seems too small is read again, as it may have been topped up; but no more often. */
const READ_AGAIN_MS = 3_000;
/** Channels whose last view is remembered; the oldest are forgotten, and read again. */
const MAX_VIEWS = 16_384;
/** Whose rate it is that all clients share. */
const EVERYBODY = "*";

class LedgerCashier implements ChannelCashier {
  readonly terms: PaymentTerms;
  readonly #options: CashierOptions;
  readonly #components: CashierComponents;
  readonly #rates: QueryRates;
  /** Of all clients together: a key costs nothing. */
  readonly #strangers: QueryRates;
  /** When each channel was last read from the chain, the oldest first. */
  readonly #viewedMs = new Map<Hash, number>();
  readonly #reading = new Map<Hash, Promise<void>>();

  constructor(options: CashierOptions, components: CashierComponents) {
    this.terms = options.terms;
    this.#options = options;
    this.#components = components;
    this.#rates = new QueryRates(CHANNEL_RATE, components);
    this.#strangers = new QueryRates(STRANGE_CHANNEL_RATE, components);
  }

  async admit(priced: PricedRequest): Promise<Tab> {
    const { request: { commitment: { channelId } }, payment: { terms }, client, maxCost } = priced;
    await this.#beSure(channelId, terms, client);
    try {
      return await this.#admit(priced);
    } catch (thrown) {
      if (!await this.#mayHaveGrown(channelId, maxCost, thrown)) throw thrown;
      await this.#read(channelId, terms, client);
      return await this.#admit(priced);
    }
  }

  async consent(
    terms: ChannelTerms,
    asker: Address,
  ): Promise<{ readonly channelId: Hash; readonly finalAmount: Amount }> {
    // Anyone can read a channel's terms on the chain; whoever got a consent would stop its service.
    if (asker !== terms.client && asker !== terms.signer) throw unusable("it is another's");
    if (terms.executor !== this.#options.executor) throw unusable("it pays another executor");
    if (terms.asset !== this.terms.asset) throw unusable("it pays in another asset");
    const channelId = channelIdOf(terms);
    await this.#beSure(channelId, terms, asker);
    return { channelId, finalAmount: await this.#components.store.consent(channelId) };
  }

  async #admit(priced: PricedRequest): Promise<Tab> {
    const { request, requestHash, client, payment, prepay, maxCost, step } = priced;
    const { store, clock } = this.#components;
    const { voucher, paid, first, receipts } = payment;
    const taken: TakenVoucher = { ...(voucher && { signed: voucher }), paid, first, receipts };
    const { channelId } = request.commitment;
    const admitted = await store.admit(
      channelId,
      { requestHash, request, client, maxCost, nowMs: clock.now() },
      taken,
      { prepay, step },
    );
    return new LedgerTab(requestHash, payment.terms.signer, admitted, this.#components);
  }

  /** Whether a channel that was refused had too little in it, and may have more now. */
  async #mayHaveGrown(channelId: Hash, maxCost: Cost, thrown: unknown): Promise<boolean> {
    const { code } = LloomError.wrap(thrown);
    if (code !== "payment_required" && code !== "channel_unusable") return false;
    const viewedMs = this.#viewedMs.get(channelId) ?? 0;
    if (this.#components.clock.now() - viewedMs < READ_AGAIN_MS) return false;
    const channel = await this.#components.store.channel(channelId);
    if (channel === undefined || channel.consented) return false;
    return channel.status !== "open" || !hasRoom(channel, maxCost);
  }

  /** Has the channel in the store as the chain has it, or lately had it. */
  async #beSure(channelId: Hash, terms: ChannelTerms, client: Address): Promise<void> {
    const viewedMs = this.#viewedMs.get(channelId);
    if (viewedMs !== undefined) {
      const sureMs = Math.max(viewedMs, this.#components.watchedMs?.(viewedMs) ?? 0);
      if (this.#components.clock.now() - sureMs <= MAX_VIEW_AGE_MS) return;
    }
    await this.#read(channelId, terms, client);
  }

  /** Reads a channel once for all who ask, and not for everyone who makes up terms. */
  async #read(channelId: Hash, terms: ChannelTerms, client: Address): Promise<void> {
    let reading = this.#reading.get(channelId);
    if (reading === undefined) {
      this.#rates.take(client, 1, "read channel");
      if (this.#reading.size >= MAX_CHANNEL_READS) {
        throw new LloomError("overloaded", "read channel: too many are being read", {
          retryAfterMs: 1000,
        });
      }
      reading = this.#view(channelId, terms).finally(() => this.#reading.delete(channelId));
      this.#reading.set(channelId, reading);
    }
    await reading;
  }

  async #view(channelId: Hash, terms: ChannelTerms): Promise<void> {
    const { store, chain, clock } = this.#components;
    let known = await store.channel(channelId);
    if (known === undefined) this.#strangers.take(EVERYBODY, 1, "read channel");
    const view = await chain.channel(channelId);
    known = await store.channel(channelId);
    if (known === undefined) await store.addChannel(this.#accepted(channelId, terms, view));
    else await store.viewChannel(channelId, notOpenedAgain(known, view));
    this.#viewedMs.delete(channelId);
    this.#viewedMs.set(channelId, clock.now());
    if (this.#viewedMs.size > MAX_VIEWS) {
      this.#viewedMs.delete(this.#viewedMs.keys().next().value!);
    }
  }

  /** A channel that is new here. Those that cannot be used are not kept: they cost nothing to name. */
  #accepted(channelId: Hash, terms: ChannelTerms, view: ChannelView): SellerChannel {
    if (view.status === "none") throw unusable("the chain has not confirmed it");
    if (view.status !== "open") throw unusable(`it is ${view.status}`);
    if (view.deposit < this.#options.minDeposit) throw unusable("its deposit is too small");
    return newSellerChannel(channelId, terms, view);
  }
}

/** A request that was admitted. */
class LedgerTab implements Tab {
  readonly acknowledged: number;
  #paid: Cost;
  /** What its receipt came to; absent before. */
  #cost: Cost | undefined;
  readonly #requestHash: Hash;
  readonly #signer: Address;
  readonly #components: CashierComponents;

  constructor(
    requestHash: Hash,
    signer: Address,
    admitted: { readonly paid: Cost; readonly acknowledged: number },
    components: CashierComponents,
  ) {
    this.#requestHash = requestHash;
    this.#signer = signer;
    this.#paid = admitted.paid;
    this.acknowledged = admitted.acknowledged;
    this.#components = components;
  }

  get paid(): Cost {
    return this.#paid;
  }

  async pay(message: VoucherMessage): Promise<Cost> {
    const { store, clock } = this.#components;
    await this.#verify(message);
    this.#paid = await store.pay(this.#requestHash, message, clock.now());
    return this.#paid;
  }

  async settle(receipt: PaidReceipt): Promise<void> {
    const { store, clock } = this.#components;
    await store.settle(this.#requestHash, receipt, clock.now());
    this.#cost = receipt.cost;
  }

  async close(owed: Cost): Promise<void> {
    // Whichever came last, the receipt or the payment, has ended it: there is nothing left to store.
    if (this.#cost !== undefined && this.#paid >= this.#cost) return;
    const { store, clock } = this.#components;
    await store.close(this.#requestHash, owed, clock.now());
  }

  async #verify({ signed }: VoucherMessage): Promise<void> {
    let signer: Address;
    try {
      ({ signer } = await this.#components.verifier.verifyVoucher(signed));
    } catch (thrown) {
      const error = LloomError.wrap(thrown);
      if (error.code !== "signature_invalid") throw error;
      throw new LloomError("voucher_invalid", "take voucher: not a signature", { cause: error });
    }
    if (signer !== this.#signer) {
      throw new LloomError("voucher_invalid", "take voucher: not signed by its channel's signer");
    }
  }
}

/** Who watches the chain hears that a channel closes before that is confirmed, and takes it back alone. */
function notOpenedAgain({ status, closesAt }: SellerChannel, view: ChannelView): ChannelView {
  return status === "closing" && view.status === "open" ? { ...view, status, closesAt } : view;
}

function unusable(why: string): LloomError {
  return new LloomError("channel_unusable", `use channel: ${why}`);
}
