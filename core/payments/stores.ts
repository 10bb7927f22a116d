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

/** The most that requests may cost, counted with what those under way can come to. */
export interface Budgets {
  /** For one request; a payer takes `channelDeposit` where it is absent. */
  readonly request?: Amount;
  /** For all requests of the last 60 minutes; absent for no limit. */
  readonly hour?: Amount;
  /** For all requests of the last 24 hours; absent for no limit. */
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
  /** {@linkcode BuyerChannel.refusals} */
  readonly refusals: number;
}

/** A request that is to be paid for. */
export interface NewPurchase {
  /** The client's own name for it: random. */
  readonly id: string;
  /** The model asked for. */
  readonly model: string;
  /** What it can cost at most. */
  readonly maxCost: Cost;
  /** What is paid in advance. */
  readonly prepay: Cost;
  /** Unix milliseconds after which it cannot be under way. */
  readonly deadlineMs: number;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** A request as its client signed it. */
export interface SentRequest extends SignedRequest {
  /** Its hashStruct. */
  readonly requestHash: Hash;
  /** What its prompt was hashed with: 32 bytes. */
  readonly salt: Uint8Array;
}

/** A request with what both sides signed for it. */
export interface Purchase extends BuyerRequest {
  /** Who was asked. */
  readonly executor: Address;
  /** The model asked for. */
  readonly model: string;
  /** Unix milliseconds. */
  readonly startedMs: number;
  /** Unix milliseconds; absent while it is under way. */
  readonly endedMs?: number;
  /** What the client signed; absent if it ended before. */
  readonly request?: SentRequest;
  /** What the executor signed; absent without a receipt. */
  readonly response?: SignedResponse;
  /** hashStruct of `response`; absent without a receipt. */
  readonly responseHash?: Hash;
}

/** A free request that is over: only kept for the client's memory. */
export interface FreePurchase {
  /** The client's own name for it: random. */
  readonly id: string;
  /** Unix milliseconds. */
  readonly startedMs: number;
  /** Unix milliseconds. */
  readonly endedMs: number;
  /** What the client signed. */
  readonly request: SentRequest;
  /** What the executor signed; absent without a receipt. */
  readonly receipt?: Pick<PaidReceipt, "response" | "responseHash">;
}

/** What was said in a request. */
export interface KeptContent {
  /** The exact request body; absent if it was too large to be kept. */
  readonly body?: Uint8Array;
  /** All delivered bytes, in order; absent if they were too many to be kept. */
  readonly content?: Uint8Array;
}

/** Part of a list, the newest first. */
export interface Page {
  /** Entries at most. */
  readonly limit: number;
  /** Only what is older than this entry: the last one of the page before. */
  readonly before?: string;
}

/** That a receipt is among those that a voucher acknowledges. */
export interface ReceiptProof {
  /** The newest voucher of the channel. */
  readonly voucher: Voucher;
  /** The receipt's leaf in the tree: `leafOf`. */
  readonly leaf: Hash;
  /** The leaf's place. */
  readonly index: number;
  /** From the leaf to the voucher's root: `rootOfProof`, where the size is the voucher's `requests`. */
  readonly path: readonly Hash[];
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
   * Sets aside and pays in advance: `buyer.reserve`. Requests whose deadline passed minutes ago while
   * nobody saw to them, as their process had ended, are abandoned first.
   * @throws {LloomError} `budget_exceeded`, and what `reserve` throws
   */
  reserve(channelId: Hash, purchase: NewPurchase, budgets: Budgets): Promise<BuyerPayment>;
  /** Adds what was signed. Waits a little for another change to share its commit. */
  sent(id: string, request: SentRequest): Promise<void>;
  /** `buyer.pay` */
  pay(id: string, total: Cost): Promise<BuyerPayment>;
  /** `buyer.settle` @returns undefined if everything was paid before */
  settle(id: string, receipt: PaidReceipt, nowMs: number): Promise<BuyerPayment | undefined>;
  /** `buyer.dispute`, with the receipt as evidence */
  dispute(id: string, receipt: PaidReceipt, nowMs: number): Promise<void>;
  /** `buyer.abandon`; nothing if another process has given the request up, as its time was over */
  abandon(id: string, owed: boolean, nowMs: number): Promise<void>;
  /** `buyer.disown`; nothing, as `abandon` */
  disown(id: string, refusals: number, nowMs: number): Promise<void>;
  /** Takes a channel out of use: its client wants it closed. */
  retire(channelId: Hash): Promise<void>;
  /** How many receipts the executor says are acknowledged. Waits a little, as `sent`. */
  acknowledged(channelId: Hash, count: number): Promise<void>;
  /** Adds a free request that is over. Waits a little, as `sent`. */
  recordFree(purchase: FreePurchase): Promise<void>;
  /** Adds what was said in a request, each part up to {@linkcode MAX_KEPT_BYTES}. Waits a little, as `sent`. */
  keep(id: string, content: KeptContent): Promise<void>;
  /** Requests, free ones too, the newest first. `before` is an id. */
  history(page: Page): Promise<readonly Purchase[]>;
  /** The few newest requests whose id or request hash begins so. */
  find(prefix: string): Promise<readonly Purchase[]>;
  /** What was said in a request; undefined if nothing was kept. */
  content(id: string): Promise<KeptContent | undefined>;
  /** That a request's receipt is acknowledged; undefined if it is not. */
  proof(id: string): Promise<ReceiptProof | undefined>;
  /** What requests on channels of an asset came to since a time (unix milliseconds, exact to a minute). */
  spentSince(asset: Address, sinceMs: number): Promise<Cost>;
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

/** A request as its executor keeps it, with what both sides signed. */
export interface Sale extends SellerRequest {
  /** Who asked. */
  readonly client: Address;
  /** Unix milliseconds. */
  readonly startedMs: number;
  /** Unix milliseconds; absent while it is under way. */
  readonly endedMs?: number;
  /** What the client signed. */
  readonly request: SignedRequest;
  /** What this executor signed; absent without a receipt. */
  readonly response?: SignedResponse;
}

/** What requests that are over have come to. */
export interface Takings {
  /** How many. */
  readonly requests: number;
  /** Tokens of prompt, by their receipts. */
  readonly inboundTokens: number;
  /** Tokens of answer, by their receipts. */
  readonly outboundTokens: number;
  /** What was paid. */
  readonly paid: Cost;
  /** What was delivered and not paid. */
  readonly unpaid: Cost;
}

/** What one model has earned in one asset. */
export interface ModelTakings extends Takings {
  /** The model. */
  readonly model: string;
  /** What was paid with: the token's address; zero for the chain's native coin. */
  readonly asset: Address;
}

/** What one channel has earned. */
export interface ChannelTakings extends Takings {
  /** The channel, with what was redeemed of it so far: `settled`. */
  readonly channel: SellerChannel;
  /** What can be redeemed now: `seller.redeemable`. */
  readonly redeemable: Amount;
}

/** What an executor has earned. */
export interface Earnings {
  /** Of each model and asset. */
  readonly models: readonly ModelTakings[];
  /** Of each channel that was used. */
  readonly channels: readonly ChannelTakings[];
}

/** An executor's account. Who serves from it calls `recover` first. */
export interface SellerStore {
  /** Closes requests found under way: their process has ended. */
  recover(nowMs: number): Promise<void>;
  /** A channel; undefined if none of its requests was ever admitted. */
  channel(channelId: Hash): Promise<SellerChannel | undefined>;
  /** All channels, the newest first. */
  channels(): Promise<readonly SellerChannel[]>;
  /** Adds a channel, unless it is there. */
  addChannel(channel: SellerChannel): Promise<void>;
  /** Takes note of what the chain says. */
  viewChannel(channelId: Hash, view: ChannelView): Promise<SellerChannel>;
  /** `seller.admit` @throws {LloomError} `request_replayed`, and what `admit` throws */
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
  /** Requests, the newest first. `before` is a request hash. */
  sales(page: Page): Promise<readonly Sale[]>;
  /** What requests that ended since a time (unix milliseconds) came to. */
  earnings(sinceMs: number): Promise<Earnings>;
}
