/**
 * What the books need of a database. A function reads or writes as part of the operation that calls
 * it; whoever implements them makes each operation whole or undone.
 * @module
 */
import type { Address, Hash } from "../../bytes.ts";
import type { Cost } from "../amounts.ts";
import type { BuyerChannel, BuyerRequest } from "../buyer.ts";
import type { PaidReceipt } from "../ports.ts";
import type { SellerChannel, SellerRequest } from "../seller.ts";
import type { KeptContent, Page, Purchase, Sale, SentRequest } from "../stores.ts";

/** A receipt that is acknowledged. */
export interface AcknowledgedReceipt {
  /** The request's hash. */
  readonly requestHash: Hash;
  /** The receipt's hash. */
  readonly responseHash: Hash;
  /** What it came to. */
  readonly cost: Cost;
}

/** What is looked for: an id that begins so, or a request hash from one to another. */
export interface PurchaseFilter {
  /** Begins the id. */
  readonly id: string;
  /** Absent if what is looked for cannot be a hash. */
  readonly hashes?: { readonly from: Hash; readonly to: Hash };
}

/** A client's tables. */
export interface BuyerTables {
  /** A channel. */
  channel(channelId: Hash): BuyerChannel | undefined;
  /** All, the newest first. */
  channels(): readonly BuyerChannel[];
  /** Adds or replaces a channel. */
  putChannel(channel: BuyerChannel): void;
  /** How many receipts the executor last said are acknowledged; 0 before. */
  acknowledged(channelId: Hash): number;
  /** Replaces that number. */
  putAcknowledged(channelId: Hash, count: number): void;
  /** Adds a request. */
  addPurchase(purchase: Purchase): void;
  /** The money of a request. */
  request(id: string): BuyerRequest | undefined;
  /** Replaces the money of a request. @param endedMs unix milliseconds, once it is over */
  putRequest(request: BuyerRequest, endedMs?: number): void;
  /** Adds what the client signed. */
  putSent(id: string, sent: SentRequest): void;
  /** Adds what the executor signed. */
  putReceipt(id: string, receipt: PaidReceipt): void;
  /** Requests under way whose deadline (unix milliseconds) is before a time. */
  overdue(nowMs: number): readonly BuyerRequest[];
  /** What requests under way can come to, on all channels of an asset. */
  reserved(asset: Address): Cost;
  /** Adds to what was spent in one minute since 1970. */
  addSpending(asset: Address, minute: number, cost: Cost): void;
  /** What was spent in a minute and all after it. */
  spentFrom(asset: Address, minute: number): Cost;
  /** A channel's receipts in their order, from an index on. */
  receipts(channelId: Hash, first: number): readonly AcknowledgedReceipt[];
  /** Adds or replaces what was said in a request. */
  putContent(id: string, content: KeptContent): void;
  /** What was said in a request. */
  content(id: string): KeptContent | undefined;
  /** Requests, the newest first. */
  history(page: Page): readonly Purchase[];
  /** Requests that pass, the newest first. */
  find(filter: PurchaseFilter, limit: number): readonly Purchase[];
}

/** A channel as its executor keeps it, and when it was last paid on. */
export interface SellerAccount {
  /** The channel. */
  readonly channel: SellerChannel;
  /** When its voucher came (unix milliseconds); absent without one. */
  readonly voucherMs?: number;
  /** Since when something can be redeemed (unix milliseconds); absent if nothing can. */
  readonly sinceMs?: number;
}

/** An executor's tables. */
export interface SellerTables {
  /** A channel. */
  account(channelId: Hash): SellerAccount | undefined;
  /** All, the newest first. */
  accounts(): readonly SellerAccount[];
  /** Those with something to redeem, the oldest claim first. */
  redeemable(): readonly (SellerAccount & { readonly sinceMs: number })[];
  /** Adds or replaces a channel. */
  putAccount(account: SellerAccount): void;
  /** Adds a request. */
  addSale(sale: Sale): void;
  /** The money of a request. */
  request(requestHash: Hash): SellerRequest | undefined;
  /** Replaces the money of a request. @param endedMs unix milliseconds, once it is over; the first counts */
  putRequest(request: SellerRequest, endedMs?: number): void;
  /** Forgets a request. */
  removeRequest(requestHash: Hash): void;
  /**
   * Forgets requests on closed channels that ended before a time (unix milliseconds), the oldest first.
   * @returns how many
   */
  prune(beforeMs: number, limit: number): number;
  /** Adds what the executor signed. */
  putReceipt(requestHash: Hash, receipt: PaidReceipt): void;
  /** Requests that are not over. */
  unfinished(): readonly SellerRequest[];
  /** Requests, the newest first. */
  sales(page: Page): readonly Sale[];
  /** Requests that ended since a time (unix milliseconds), in that order. */
  endedSince(sinceMs: number): Iterable<Sale>;
}
