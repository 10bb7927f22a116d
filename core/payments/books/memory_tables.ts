/** Tables in memory, for tests and simulation. @module */
import type { Address, Hash } from "../../bytes.ts";
import type { Cost } from "../amounts.ts";
import type { BuyerChannel, BuyerRequest } from "../buyer.ts";
import type { PaidReceipt } from "../ports.ts";
import type { SellerRequest } from "../seller.ts";
import type { KeptContent, Page, Purchase, Sale, SentRequest } from "../stores.ts";
import type { Journal } from "./journal.ts";
import type {
  AcknowledgedReceipt,
  BuyerTables,
  PurchaseFilter,
  SellerAccount,
  SellerTables,
} from "./tables.ts";

/** A client's tables in memory. */
export function memoryBuyerTables(journal: Journal): BuyerTables {
  const channels = journal.map<Hash, BuyerChannel>();
  const acknowledged = journal.map<Hash, number>();
  const purchases = journal.map<string, Purchase>();
  const spending = journal.map<string, { asset: Address; minute: number; cost: Cost }>();
  const contents = journal.map<string, KeptContent>();
  return {
    channel: (id) => channels.get(id),
    channels: () => channels.newest(),
    putChannel: (channel) => channels.set(channel.channelId, channel),
    acknowledged: (id) => acknowledged.get(id) ?? 0,
    putAcknowledged: (id, count) => acknowledged.set(id, count),
    addPurchase: (purchase) => add(purchases, purchase.id, purchase),
    request(id): BuyerRequest | undefined {
      const found = purchases.get(id);
      if (found === undefined) return undefined;
      const { channelId, state, maxCost, paid, cost, deadlineMs, leafIndex } = found;
      const money = { id, channelId, state, maxCost, paid, cost, deadlineMs };
      return leafIndex === undefined ? money : { ...money, leafIndex };
    },
    putRequest: (request, endedMs) => purchases.update(request.id, ended(request, endedMs)),
    putSent: (id, request: SentRequest) => purchases.update(id, (one) => ({ ...one, request })),
    putReceipt: (id, receipt) => purchases.update(id, withReceipt(receipt)),
    overdue: (nowMs) =>
      purchases.values().filter(({ state, deadlineMs }) => state === "open" && deadlineMs < nowMs),
    reserved: (asset) =>
      sum(channels.values().filter(({ terms }) => terms.asset === asset), (one) => one.reserved),
    addSpending(asset, minute, cost): void {
      const key = `${asset} ${minute}`;
      const before = spending.get(key)?.cost ?? 0n;
      spending.set(key, { asset, minute, cost: before + cost });
    },
    spentFrom: (asset, minute) =>
      sum(
        spending.values().filter((one) => one.asset === asset && one.minute >= minute),
        ({ cost }) => cost,
      ),
    receipts: (channelId, first) =>
      purchases.values().filter((one) =>
        one.channelId === channelId && one.leafIndex !== undefined && one.leafIndex >= first
      ).sort((a, b) => a.leafIndex! - b.leafIndex!).map(receiptOf),
    putContent: (id, content) => contents.set(id, content),
    content: (id) => contents.get(id),
    history: (page) => pageOf(purchases.newest(), page, ({ id }) => id),
    find: (filter, limit) =>
      purchases.newest().filter((one) => passes(one, filter)).slice(0, limit),
  };
}

/** An executor's tables in memory. */
export function memorySellerTables(journal: Journal): SellerTables {
  const accounts = journal.map<Hash, SellerAccount>();
  const sales = journal.map<Hash, Sale>();
  return {
    account: (id) => accounts.get(id),
    accounts: () => accounts.newest(),
    redeemable: () =>
      accounts.values().filter((account) => account.sinceMs !== undefined)
        .map((account) => ({ ...account, sinceMs: account.sinceMs! }))
        .sort((a, b) => a.sinceMs - b.sinceMs),
    putAccount: (account) => accounts.set(account.channel.channelId, account),
    addSale: (sale) => add(sales, sale.requestHash, sale),
    request(requestHash): SellerRequest | undefined {
      const found = sales.get(requestHash);
      if (found === undefined) return undefined;
      const { channelId, state, maxCost, paid, cost, responseHash, leafIndex } = found;
      return {
        ...{ requestHash, channelId, state, maxCost, paid, cost },
        ...(responseHash !== undefined && { responseHash }),
        ...(leafIndex !== undefined && { leafIndex }),
      };
    },
    putRequest: (request, endedMs) =>
      sales.update(request.requestHash, (sale) => ended(request, sale.endedMs ?? endedMs)(sale)),
    removeRequest: (requestHash) => sales.delete(requestHash),
    prune(beforeMs, limit): number {
      const old = sales.values().filter(({ channelId, endedMs }) =>
        accounts.get(channelId)?.channel.status === "closed" && (endedMs ?? beforeMs) < beforeMs
      ).sort((a, b) => a.endedMs! - b.endedMs!).slice(0, limit);
      for (const { requestHash } of old) sales.delete(requestHash);
      return old.length;
    },
    putReceipt: (hash, receipt) => sales.update(hash, withReceipt(receipt)),
    unfinished: () =>
      sales.values().filter(({ state }) => state === "open" || state === "settling"),
    sales: (page) => pageOf(sales.newest(), page, ({ requestHash }) => requestHash),
    endedSince: (sinceMs) =>
      sales.values().filter(({ endedMs }) => endedMs !== undefined && endedMs >= sinceMs)
        .sort((a, b) => a.endedMs! - b.endedMs!),
  };
}

function add<K, V>(
  map: { get(key: K): V | undefined; set(key: K, value: V): void },
  key: K,
  value: V,
): void {
  if (map.get(key) !== undefined) throw new TypeError("add entry: it is there");
  map.set(key, value);
}

function sum<T>(list: readonly T[], cost: (one: T) => Cost): Cost {
  return list.reduce((total, one) => total + cost(one), 0n);
}

function pageOf<T>(newest: readonly T[], { limit, before }: Page, key: (one: T) => string): T[] {
  const from = before === undefined ? 0 : newest.findIndex((one) => key(one) === before) + 1;
  if (before !== undefined && from === 0) return [];
  return newest.slice(from, from + limit);
}

function passes({ id, request }: Purchase, { id: prefix, hashes }: PurchaseFilter): boolean {
  if (id.startsWith(prefix)) return true;
  const hash = request?.requestHash;
  return hash !== undefined && hashes !== undefined && hash >= hashes.from && hash <= hashes.to;
}

function receiptOf({ response, responseHash, cost }: Purchase): AcknowledgedReceipt {
  const { requestHash } = response!.commitment;
  return { requestHash, responseHash: responseHash!, cost };
}

const ended = <M>(request: M, endedMs: number | undefined) => <T>(before: T): T & M => ({
  ...before,
  ...request,
  ...(endedMs !== undefined && { endedMs }),
});

const withReceipt = ({ response, responseHash }: PaidReceipt) => <T>(before: T): T => ({
  ...before,
  response,
  responseHash,
});
