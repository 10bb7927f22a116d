/**
 * Where both sides keep their accounts. Each operation applies one transition of `buyer.ts` or
 * `seller.ts` to what is stored, whole or not at all, and resolves once that is on disk. Operations
 * take effect in the order in which they are called.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import type { SignedRequest, SignedResponse } from "../ports.ts";
import type { Voucher } from "../signing/typed_data.ts";
import type { Amount, Cost } from "./amounts.ts";
import type { BuyerChannel, BuyerRequest } from "./buyer.ts";
import type { ChannelView } from "./channel.ts";
import type { PaidReceipt } from "./ports.ts";
import type { SellerChannel, SellerRequest, SellerTerms, TakenVoucher } from "./seller.ts";

/** The most that requests may cost, counted with what those under way can come to; absent for no limit. */
export interface Budgets {
  /** For one request. */
  readonly request?: Amount;
  /** For all requests of the last 60 minutes. */
  readonly hour?: Amount;
  /** For all requests of the last 24 hours. */
  readonly day?: Amount;
}

/** What is to be signed and sent after a change. */
export interface BuyerPayment {
  /** The channel's voucher; absent if nothing was ever paid on it. */
  readonly voucher?: Voucher;
  /** What is paid of the request. */
  readonly paid: Cost;
  /** Index of the first of `receipts`: as many as the executor knows, or later. */
  readonly first: number;
  /** Request hashes of the receipts acknowledged from there on. */
  readonly receipts: readonly Hash[];
}

/** A request that is to be paid for. */
export interface NewPurchase {
  /** The client's own name for it: random. */
  readonly id: string;
  /** What it can cost at most. */
  readonly maxCost: Cost;
  /** What is paid in advance. */
  readonly prepay: Cost;
  /** Unix milliseconds after which it cannot be under way. */
  readonly deadlineMs: number;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** A client's account. */
export interface BuyerStore {
  /** All channels, closed ones too, the newest first. */
  channels(): Promise<readonly BuyerChannel[]>;
  /** Adds a channel, unless it is there. */
  addChannel(channel: BuyerChannel): Promise<void>;
  /** Takes note of what the chain says. */
  viewChannel(channelId: Hash, view: ChannelView): Promise<BuyerChannel>;
  /**
   * Sets aside and pays in advance: `buyer.reserve`. Requests whose deadline passed while nobody saw
   * to them, as their process had ended, are abandoned first.
   * @throws {LloomError} `budget_exceeded`, and what `reserve` throws
   */
  reserve(channelId: Hash, purchase: NewPurchase, budgets: Budgets): Promise<BuyerPayment>;
  /** Adds what was signed. */
  sent(id: string, request: SignedRequest, requestHash: Hash, salt: Uint8Array): Promise<void>;
  /** `buyer.pay` */
  pay(id: string, total: Cost): Promise<BuyerPayment>;
  /** `buyer.settle` @returns undefined if everything was paid before */
  settle(id: string, receipt: PaidReceipt, nowMs: number): Promise<BuyerPayment | undefined>;
  /** `buyer.dispute`, with the receipt as evidence */
  dispute(id: string, receipt: PaidReceipt, nowMs: number): Promise<void>;
  /** `buyer.abandon` */
  abandon(id: string, owed: boolean, nowMs: number): Promise<void>;
  /** How many receipts the executor says are acknowledged; need not be on disk. */
  acknowledged(channelId: Hash, count: number): Promise<void>;
}

/** A request with what both sides signed for it. */
export interface Purchase extends BuyerRequest {
  /** Unix milliseconds. */
  readonly startedMs: number;
  /** Unix milliseconds; absent while it is under way. */
  readonly endedMs?: number;
  /** What the client signed; absent if it ended before. */
  readonly request?: SignedRequest & { readonly requestHash: Hash; readonly salt: Uint8Array };
  /** What the executor signed; absent without a receipt. */
  readonly response?: SignedResponse;
}

/** A request that an executor serves. */
export interface NewSale {
  /** hashStruct of the request. */
  readonly requestHash: Hash;
  /** What the client signed. */
  readonly request: SignedRequest;
  /** Who signed it. */
  readonly client: Address;
  /** What it can come to at most. */
  readonly maxCost: Cost;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** An executor's account. Requests found under way when it is opened are closed: their process has ended. */
export interface SellerStore {
  /** A channel; undefined if none of its requests was ever admitted. */
  channel(channelId: Hash): Promise<SellerChannel | undefined>;
  /** Adds a channel, unless it is there. */
  addChannel(channel: SellerChannel): Promise<void>;
  /** Takes note of what the chain says. */
  viewChannel(channelId: Hash, view: ChannelView): Promise<SellerChannel>;
  /** `seller.admit` */
  admit(
    channelId: Hash,
    sale: NewSale,
    taken: TakenVoucher,
    terms: SellerTerms,
  ): Promise<{ readonly paid: Cost; readonly acknowledged: number }>;
  /** `seller.takeVoucher` @returns what is paid of the request */
  pay(requestHash: Hash, taken: TakenVoucher, nowMs: number): Promise<Cost>;
  /** `seller.settleTab` */
  settle(requestHash: Hash, receipt: PaidReceipt, nowMs: number): Promise<void>;
  /** `seller.closeTab` */
  close(requestHash: Hash, owed: Cost, nowMs: number): Promise<void>;
  /** `seller.consentToClose` @returns what the executor gets in all */
  consent(channelId: Hash): Promise<Amount>;
  /** Channels with something to redeem, and since when (unix milliseconds). */
  redeemable(): Promise<readonly { readonly channel: SellerChannel; readonly sinceMs: number }[]>;
}

/** A request as its executor keeps it, with what both sides signed. */
export interface Sale extends SellerRequest {
  /** Who asked. */
  readonly client: Address;
  /** Unix milliseconds. */
  readonly startedMs: number;
  /** What the client signed. */
  readonly request: SignedRequest;
  /** What this executor signed; absent without a receipt. */
  readonly response?: SignedResponse;
}
