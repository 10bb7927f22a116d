/** An executor's account on tables. @module */
import type { Hash } from "../../bytes.ts";
import { LloomError } from "../../errors.ts";
import type { Keccak256 } from "../../signing/encode.ts";
import type { Amount, Cost } from "../amounts.ts";
import type { ChannelView } from "../channel.ts";
import type { PaidReceipt } from "../ports.ts";
import * as seller from "../seller.ts";
import type {
  ChannelTakings,
  Earnings,
  ModelTakings,
  NewSale,
  Page,
  Sale,
  SellerStore,
  Takings,
} from "../stores.ts";
import type { Book } from "./operations.ts";
import type { SellerAccount, SellerTables } from "./tables.ts";

/** An executor's book on tables, which may hold one already. Misuse throws `TypeError`. */
export function createSellerBook(tables: SellerTables, keccak256: Keccak256): Book<SellerStore> {
  return new SellerBook(tables, keccak256);
}

/** Requests on a closed channel are kept so long, as evidence and for sums: 90 days, in milliseconds. */
export const KEPT_MS = 90 * 86_400_000;
/** Between two looks for older ones, in milliseconds. */
const PRUNE_EACH_MS = 3_600_000;
/** The most that are forgotten at once: what waits for the same commit must not wait long. */
const MAX_PRUNED = 1000;

class SellerBook implements Book<SellerStore> {
  readonly #tables: SellerTables;
  readonly #keccak256: Keccak256;
  /** When old requests were last looked for. */
  #prunedMs = 0;

  constructor(tables: SellerTables, keccak256: Keccak256) {
    this.#tables = tables;
    this.#keccak256 = keccak256;
  }

  recover(nowMs: number): void {
    // What had been delivered when the process ended is not known, so that nothing is written off.
    for (const { requestHash, paid } of this.#tables.unfinished()) {
      this.close(requestHash, paid, nowMs);
    }
  }

  channel(channelId: Hash): seller.SellerChannel | undefined {
    return this.#tables.account(channelId)?.channel;
  }

  channels(): readonly seller.SellerChannel[] {
    return this.#tables.accounts().map(({ channel }) => channel);
  }

  addChannel(channel: seller.SellerChannel): void {
    if (this.channel(channel.channelId) === undefined) this.#tables.putAccount({ channel });
  }

  viewChannel(channelId: Hash, view: ChannelView): seller.SellerChannel {
    const account = this.#account(channelId);
    const channel = seller.viewedBySeller(account.channel, view);
    this.#tables.putAccount(accountOf(account, channel, account.voucherMs));
    return channel;
  }

  admit(
    channelId: Hash,
    sale: NewSale,
    taken: seller.TakenVoucher,
    terms: seller.SellerTerms,
  ): { readonly paid: Cost; readonly acknowledged: number } {
    const { requestHash, request, client, maxCost, nowMs } = sale;
    if (this.#tables.request(requestHash) !== undefined) {
      throw new LloomError("request_replayed", "admit request: it was admitted before");
    }
    this.#prune(nowMs);
    const account = this.#account(channelId);
    const wanted = { requestHash, maxCost };
    const change = seller.admit(account.channel, wanted, taken, terms, this.#lookup(channelId));
    const [own, ...others] = change.requests;
    this.#tables.addSale({ ...own, client, startedMs: nowMs, request });
    this.#put(account, change.channel, others, nowMs);
    return { paid: own.paid, acknowledged: change.channel.acknowledged };
  }

  pay(requestHash: Hash, taken: seller.TakenVoucher, nowMs: number): Cost {
    const request = this.#request(requestHash);
    const account = this.#account(request.channelId);
    const lookup = this.#lookup(request.channelId);
    const change = seller.takeVoucher(account.channel, request, taken, lookup);
    const changed = change.requests.filter((each) => each !== request);
    this.#put(account, change.channel, changed, nowMs);
    return change.requests[0].paid;
  }

  settle(requestHash: Hash, receipt: PaidReceipt, nowMs: number): void {
    const request = this.#request(requestHash);
    const account = this.#account(request.channelId);
    const { responseHash, cost } = receipt;
    const change = seller.settleTab(account.channel, request, { responseHash, cost });
    this.#put(account, change.channel, [change.request], nowMs);
    this.#tables.putReceipt(requestHash, receipt);
  }

  close(requestHash: Hash, owed: Cost, nowMs: number): void {
    const request = this.#request(requestHash);
    const account = this.#account(request.channelId);
    const change = seller.closeTab(account.channel, request, owed);
    if (change.request === request) return;
    this.#put(account, change.channel, [change.request], nowMs);
  }

  consent(channelId: Hash): Amount {
    const account = this.#account(channelId);
    const { channel, finalAmount } = seller.consentToClose(account.channel);
    this.#tables.putAccount({ ...account, channel });
    return finalAmount;
  }

  redeemable(): readonly { readonly channel: seller.SellerChannel; readonly sinceMs: number }[] {
    return this.#tables.redeemable().map(({ channel, sinceMs }) => ({ channel, sinceMs }));
  }

  sales(page: Page): readonly Sale[] {
    return this.#tables.sales(page);
  }

  earnings(sinceMs: number): Earnings {
    const accounts = new Map(
      this.#tables.accounts().map(({ channel }) => [channel.channelId, channel]),
    );
    const models = new Map<string, ModelTakings>();
    const channels = new Map<Hash, ChannelTakings>();
    for (const sale of this.#tables.endedSince(sinceMs)) {
      const channel = accounts.get(sale.channelId)!;
      const { model } = sale.request.commitment;
      const { asset } = channel.terms;
      const key = `${asset} ${model}`;
      models.set(key, { model, asset, ...withSale(models.get(key) ?? NOTHING, sale) });
      const sum = withSale(channels.get(sale.channelId) ?? NOTHING, sale);
      channels.set(sale.channelId, { channel, redeemable: seller.redeemable(channel), ...sum });
    }
    return { models: [...models.values()], channels: [...channels.values()] };
  }

  #put(
    account: SellerAccount,
    channel: seller.SellerChannel,
    requests: readonly seller.SellerRequest[],
    nowMs: number,
  ): void {
    if (channel !== account.channel) {
      const isNew = channel.voucher !== account.channel.voucher;
      this.#tables.putAccount(accountOf(account, channel, isNew ? nowMs : account.voucherMs));
    }
    for (const request of requests) {
      const isOver = request.state !== "open" && request.state !== "settling";
      // Nothing is owed for it, and its nonce refuses it from now on: whoever asks costs no disk.
      if (request.state === "refused") this.#tables.removeRequest(request.requestHash);
      else this.#tables.putRequest(request, isOver ? nowMs : undefined);
    }
  }

  #prune(nowMs: number): void {
    if (nowMs - this.#prunedMs < PRUNE_EACH_MS) return;
    // While there are more, each admission forgets some.
    if (this.#tables.prune(nowMs - KEPT_MS, MAX_PRUNED) < MAX_PRUNED) this.#prunedMs = nowMs;
  }

  #lookup(channelId: Hash): seller.SellerLookup {
    return {
      keccak256: this.#keccak256,
      request: (requestHash) => {
        const found = this.#tables.request(requestHash);
        return found?.channelId === channelId ? found : undefined;
      },
    };
  }

  #account(channelId: Hash): SellerAccount {
    const account = this.#tables.account(channelId);
    if (account === undefined) throw new TypeError("use ledger: no such channel");
    return account;
  }

  #request(requestHash: Hash): seller.SellerRequest {
    const request = this.#tables.request(requestHash);
    if (request === undefined) throw new TypeError("use ledger: no such request");
    return request;
  }
}

/**
 * An account with its channel's new state. Once something was redeemed, what is left came with later
 * vouchers: their time is not known, but that of the last is.
 */
function accountOf(
  before: SellerAccount,
  channel: seller.SellerChannel,
  voucherMs: number | undefined,
): SellerAccount {
  const known = channel.settled === before.channel.settled ? before.sinceMs : undefined;
  const sinceMs = seller.redeemable(channel) === 0n ? undefined : known ?? voucherMs;
  return {
    channel,
    ...(voucherMs !== undefined && { voucherMs }),
    ...(sinceMs !== undefined && { sinceMs }),
  };
}

const NOTHING: Takings = {
  requests: 0,
  inboundTokens: 0,
  outboundTokens: 0,
  paid: 0n,
  unpaid: 0n,
};

/** Counts as its channel does: see `seller.closeTab`. */
function withSale(sum: Takings, { response, paid, cost, state }: Sale): Takings {
  const charged = state === "broken" || paid < cost ? paid : cost;
  return {
    requests: sum.requests + 1,
    inboundTokens: sum.inboundTokens + (response?.commitment.inboundTokens ?? 0),
    outboundTokens: sum.outboundTokens + (response?.commitment.outboundTokens ?? 0),
    paid: sum.paid + charged,
    unpaid: sum.unpaid + (cost > charged ? cost - charged : 0n),
  };
}
