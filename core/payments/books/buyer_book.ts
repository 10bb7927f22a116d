/** A client's account on tables. @module */
import { type Address, type Hash, ZERO_HASH } from "../../bytes.ts";
import { LloomError } from "../../errors.ts";
import { MAX_ACKNOWLEDGED_RECEIPTS } from "../../protocol/limits.ts";
import type { Keccak256 } from "../../signing/encode.ts";
import { type Cost, toCost } from "../amounts.ts";
import * as buyer from "../buyer.ts";
import type { ChannelView } from "../channel.ts";
import { inclusionProof, leafOf } from "../merkle.ts";
import type { PaidReceipt } from "../ports.ts";
import type {
  Budgets,
  BuyerPayment,
  BuyerStore,
  FreePurchase,
  KeptContent,
  NewPurchase,
  Page,
  Purchase,
  ReceiptProof,
  SentRequest,
} from "../stores.ts";
import type { Book } from "./operations.ts";
import type { BuyerTables, PurchaseFilter } from "./tables.ts";

/** Largest prompt, and largest answer, that a client's ledger keeps. */
export const MAX_KEPT_BYTES: number = 1 << 20;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/**
 * After its deadline, a request may still be ended by who made it: the model stops at that moment, and
 * the receipt for a part, and its payment, take time.
 */
const OVERDUE_MS = 5 * MINUTE_MS;
/** Requests shown for a prefix that several have. */
const FOUND_AT_MOST = 10;

/** A client's book on tables, which may hold one already. Misuse throws `TypeError`. */
export function createBuyerBook(tables: BuyerTables, keccak256: Keccak256): Book<BuyerStore> {
  return new BuyerBook(tables, keccak256);
}

class BuyerBook implements Book<BuyerStore> {
  readonly #tables: BuyerTables;
  readonly #keccak256: Keccak256;

  constructor(tables: BuyerTables, keccak256: Keccak256) {
    this.#tables = tables;
    this.#keccak256 = keccak256;
  }

  channels(): readonly buyer.BuyerChannel[] {
    return this.#tables.channels();
  }

  addChannel(channel: buyer.BuyerChannel): void {
    if (this.#tables.channel(channel.channelId) === undefined) this.#tables.putChannel(channel);
  }

  viewChannel(channelId: Hash, view: ChannelView): buyer.BuyerChannel {
    const channel = buyer.viewedByBuyer(this.#channel(channelId), view);
    this.#tables.putChannel(channel);
    return channel;
  }

  reserve(channelId: Hash, purchase: NewPurchase, budgets: Budgets): BuyerPayment {
    const { id, model, nowMs } = purchase;
    for (const { id } of this.#tables.overdue(nowMs - OVERDUE_MS)) this.abandon(id, true, nowMs);
    const before = this.#channel(channelId);
    this.#checkBudgets(before.terms.asset, purchase, budgets);
    const { channel, request } = buyer.reserve(before, purchase);
    if (this.#tables.request(id) !== undefined) throw new TypeError("pay request: it is there");
    this.#tables.putChannel(channel);
    const { executor } = channel.terms;
    this.#tables.addPurchase({ ...request, executor, model, startedMs: nowMs });
    return this.#payment(channel, request);
  }

  sent(id: string, request: SentRequest): void {
    this.#request(id);
    this.#tables.putSent(id, request);
  }

  pay(id: string, total: Cost): BuyerPayment {
    const request = this.#request(id);
    const change = buyer.pay(this.#channel(request.channelId), request, total);
    if (change.request !== request) {
      this.#tables.putChannel(change.channel);
      this.#tables.putRequest(change.request);
    }
    return this.#payment(change.channel, change.request);
  }

  settle(id: string, receipt: PaidReceipt, nowMs: number): BuyerPayment | undefined {
    const request = this.#request(id);
    const { response: { commitment: response }, responseHash, cost } = receipt;
    const channel = this.#channel(request.channelId);
    const settled = { response, responseHash, cost };
    const change = buyer.settle(this.#keccak256, channel, request, settled);
    this.#end(change, nowMs);
    this.#tables.putReceipt(id, receipt);
    return cost > request.paid ? this.#payment(change.channel, change.request) : undefined;
  }

  dispute(id: string, receipt: PaidReceipt, nowMs: number): void {
    const request = this.#request(id);
    this.#end(buyer.dispute(this.#channel(request.channelId), request), nowMs);
    this.#tables.putReceipt(id, receipt);
  }

  abandon(id: string, owed: boolean, nowMs: number): void {
    this.#giveUp(id, nowMs, (channel, request) => buyer.abandon(channel, request, owed));
  }

  disown(id: string, refusals: number, nowMs: number): void {
    this.#giveUp(id, nowMs, (channel, request) => buyer.disown(channel, request, refusals));
  }

  retire(channelId: Hash): void {
    this.#tables.putChannel({ ...this.#channel(channelId), retired: true });
  }

  acknowledged(channelId: Hash, count: number): void {
    // The executor may have come back with less than it knew before; with more, it is wrong.
    const channel = this.#channel(channelId);
    this.#tables.putAcknowledged(channelId, Math.min(count, channel.requests));
    if (channel.refusals > 0) this.#tables.putChannel(buyer.heard(channel));
  }

  recordFree(purchase: FreePurchase): void {
    const { id, startedMs, endedMs, request, receipt } = purchase;
    const { executor, model } = request.commitment;
    if (this.#tables.request(id) !== undefined) throw new TypeError("record request: it is there");
    this.#tables.addPurchase({
      ...{ id, executor, model, startedMs, endedMs, request },
      ...{ channelId: ZERO_HASH, maxCost: 0n, paid: 0n, cost: 0n, deadlineMs: endedMs },
      ...(receipt === undefined
        ? { state: "abandoned" }
        : { state: "done", response: receipt.response, responseHash: receipt.responseHash }),
    });
  }

  keep(id: string, { body, content }: KeptContent): void {
    this.#request(id);
    this.#tables.putContent(id, {
      ...(body !== undefined && body.length <= MAX_KEPT_BYTES && { body }),
      ...(content !== undefined && content.length <= MAX_KEPT_BYTES && { content }),
    });
  }

  history(page: Page): readonly Purchase[] {
    return this.#tables.history(page);
  }

  find(prefix: string): readonly Purchase[] {
    return this.#tables.find(filterOf(prefix), FOUND_AT_MOST);
  }

  content(id: string): KeptContent | undefined {
    return this.#tables.content(id);
  }

  proof(id: string): ReceiptProof | undefined {
    const { channelId, leafIndex: index } = this.#request(id);
    if (index === undefined) return undefined;
    const voucher = buyer.voucherOf(this.#channel(channelId))!;
    const leaves = this.#tables.receipts(channelId, 0).map(({ requestHash, responseHash, cost }) =>
      leafOf(this.#keccak256, requestHash, responseHash, cost)
    );
    const path = inclusionProof(this.#keccak256, leaves, index);
    return { voucher, leaf: leaves[index]!, index, path };
  }

  spentSince(asset: Address, sinceMs: number): Cost {
    return this.#tables.spentFrom(asset, Math.floor(sinceMs / MINUTE_MS));
  }

  #checkBudgets(asset: Address, { maxCost, nowMs }: NewPurchase, budgets: Budgets): void {
    const { request, hour, day } = budgets;
    if (request !== undefined && maxCost > toCost(request)) throw exceeded("for one request");
    if (hour === undefined && day === undefined) return;
    const planned = this.#tables.reserved(asset) + maxCost;
    const isOver = (limit: bigint | undefined, windowMs: number): boolean =>
      limit !== undefined && this.spentSince(asset, nowMs - windowMs) + planned > toCost(limit);
    if (isOver(hour, HOUR_MS)) throw exceeded("for an hour");
    if (isOver(day, DAY_MS)) throw exceeded("for a day");
  }

  #payment(channel: buyer.BuyerChannel, { paid }: buyer.BuyerRequest): BuyerPayment {
    const { channelId, requests, refusals } = channel;
    const known = this.#tables.acknowledged(channelId);
    const first = Math.max(known, requests - MAX_ACKNOWLEDGED_RECEIPTS);
    const receipts = first === requests ? [] : this.#tables.receipts(channelId, first);
    const voucher = buyer.voucherOf(channel);
    return {
      ...(voucher && { voucher }),
      paid,
      first,
      receipts: receipts.map(({ requestHash }) => requestHash),
      refusals,
    };
  }

  /** Ends a request without a receipt, unless another process did so when its time was over. */
  #giveUp(
    id: string,
    nowMs: number,
    apply: (channel: buyer.BuyerChannel, request: buyer.BuyerRequest) => buyer.BuyerChange,
  ): void {
    const request = this.#request(id);
    if (request.state === "abandoned") return;
    this.#end(apply(this.#channel(request.channelId), request), nowMs);
  }

  #end({ channel, request }: buyer.BuyerChange, nowMs: number): void {
    this.#tables.putChannel(channel);
    this.#tables.putRequest(request, nowMs);
    if (request.cost === 0n) return;
    this.#tables.addSpending(channel.terms.asset, Math.floor(nowMs / MINUTE_MS), request.cost);
  }

  #channel(channelId: Hash): buyer.BuyerChannel {
    const channel = this.#tables.channel(channelId);
    if (channel === undefined) throw new TypeError("use ledger: no such channel");
    return channel;
  }

  #request(id: string): buyer.BuyerRequest {
    const request = this.#tables.request(id);
    if (request === undefined) throw new TypeError("use ledger: no such request");
    return request;
  }
}

/** What people may write for a request: its id, or its hash, or how one of them begins. */
function filterOf(prefix: string): PurchaseFilter {
  const digits = /^(?:0x)?([0-9a-f]{1,64})$/i.exec(prefix)?.[1]?.toLowerCase();
  if (digits === undefined) return { id: prefix };
  const from: Hash = `0x${digits.padEnd(64, "0")}`;
  return { id: prefix, hashes: { from, to: `0x${digits.padEnd(64, "f")}` } };
}

function exceeded(what: string): LloomError {
  return new LloomError("budget_exceeded", `pay request: more than the budget ${what}`);
}
