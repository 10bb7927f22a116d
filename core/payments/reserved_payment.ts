/** One request being paid for by its client: ledger first, then signature. @module */
import { getLogger } from "@logtape/logtape";
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Clock, SignedRequest, Signer } from "../ports.ts";
import type { ChannelTerms } from "../signing/typed_data.ts";
import type { Cost } from "./amounts.ts";
import type { OpenPayment, PaidReceipt, VoucherMessage } from "./ports.ts";
import type { BuyerPayment, BuyerStore } from "./stores.ts";

const log = getLogger(["lloom", "payments"]);

/** What a {@linkcode ReservedPayment} works with. */
export interface ReservedPaymentComponents {
  /** The client's account. */
  readonly store: BuyerStore;
  /** Signs vouchers. */
  readonly signer: Pick<Signer, "signVoucher">;
  /** Dates what is stored. */
  readonly clock: Pick<Clock, "now">;
  /** Told when the executor refused the request: it may know better how the channel stands. */
  readonly onRefused: (channelId: Hash) => void;
}

/** A request for which money is set aside. */
export class ReservedPayment implements OpenPayment {
  readonly channelId: Hash;
  readonly opening: OpenPayment["opening"];
  readonly #id: string;
  readonly #refusals: number;
  readonly #components: ReservedPaymentComponents;
  /** What need not be on disk before the next change; its failure is that change's. */
  #recorded: Promise<void> = Promise.resolve();

  /** @param id the request's name in the ledger @param payment what was reserved there */
  constructor(
    id: string,
    channel: { readonly channelId: Hash; readonly terms: ChannelTerms },
    payment: BuyerPayment,
    components: ReservedPaymentComponents,
  ) {
    this.#id = id;
    this.#components = components;
    this.channelId = channel.channelId;
    const { refusals, ...opening } = payment;
    this.#refusals = refusals;
    this.opening = { terms: channel.terms, ...opening };
  }

  sent(request: SignedRequest, requestHash: Hash, salt: Uint8Array): void {
    const { commitment, signature } = request;
    this.#record(
      this.#components.store.sent(this.#id, { commitment, signature, requestHash, salt }),
    );
  }

  accepted(acknowledged: number): void {
    this.#record(this.#components.store.acknowledged(this.channelId, acknowledged));
  }

  async pay(total: Cost): Promise<VoucherMessage> {
    const payment = await this.#change((store) => store.pay(this.#id, total));
    return await this.#signed(payment);
  }

  async settle(receipt: PaidReceipt): Promise<VoucherMessage | undefined> {
    const payment = await this.#change((store, nowMs) => store.settle(this.#id, receipt, nowMs));
    return payment && await this.#signed(payment);
  }

  async dispute(receipt: PaidReceipt): Promise<void> {
    await this.#change((store, nowMs) => store.dispute(this.#id, receipt, nowMs));
  }

  async abandon(owed: boolean): Promise<void> {
    await this.#change((store, nowMs) => store.abandon(this.#id, owed, nowMs));
    if (!owed) this.#components.onRefused(this.channelId);
  }

  async disown(): Promise<void> {
    await this.#change((store, nowMs) => store.disown(this.#id, this.#refusals, nowMs));
    this.#components.onRefused(this.channelId);
  }

  async #signed({ voucher, paid, first, receipts }: BuyerPayment): Promise<VoucherMessage> {
    if (voucher === undefined) throw new TypeError("sign voucher: nothing was ever paid");
    return { signed: await this.#components.signer.signVoucher(voucher), paid, first, receipts };
  }

  /** Calls take effect in order, so that a change comes after what was recorded without awaiting it. */
  async #change<T>(apply: (store: BuyerStore, nowMs: number) => Promise<T>): Promise<T> {
    const recorded = this.#recorded;
    const changed = apply(this.#components.store, this.#components.clock.now());
    await Promise.all([recorded, changed]);
    return await changed;
  }

  #record(stored: Promise<void>): void {
    this.#recorded = Promise.all([this.#recorded, stored]).then(() => {});
    // The next change fails with it; where there is none, it was in vain anyhow.
    this.#recorded.catch((error) =>
      log.warn("a request could not be recorded: {code}", { code: LloomError.wrap(error).code })
    );
  }
}
