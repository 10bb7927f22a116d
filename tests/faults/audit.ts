/** Holds both sides' ledgers, what clients saw, and the chain against each other. @module */
import { type Address, type Hash, toHex, ZERO_ADDRESS } from "@lloom/core/bytes";
import {
  type Amount,
  type BuyerChannel,
  type BuyerStore,
  type Cost,
  costOf,
  type Prices,
  type Purchase,
  type Sale,
  type SellerChannel,
  type SellerStore,
  toAmount,
} from "@lloom/core/payments";
import type { ChainReader } from "@lloom/core/payments/chain";
import assert from "node:assert/strict";
import type { FaultyChain } from "./chain.ts";

/** What a client said of one request. */
export interface Note {
  /** Length of the request's body. */
  bytes: number;
  /** What the text that came was worth, as far as the client could tell. */
  text: Cost;
  /** Whether it ended in an error; neither that nor `done` if its client was killed. */
  failed?: boolean;
  /** What its receipt is, once the client had it. */
  done?: { readonly requestHash: Hash; readonly cost: Cost };
}

/** A client's side, with its process stopped. */
export interface Buyer {
  readonly address: Address;
  readonly store: BuyerStore;
  /** By tag. */
  readonly notes: ReadonlyMap<number, Note>;
}

/** An executor's side, with its process stopped. */
export interface Seller {
  readonly address: Address;
  readonly store: SellerStore;
}

/** What is known of the market besides. */
export interface Terms extends Prices {
  /** What an executor delivers before it waits. */
  readonly step: Cost;
  /** Requests that one client has under way at once. */
  readonly concurrency: number;
  /** What the model has said in a request was worth. */
  readonly said: (tag: number) => Cost;
  /** The largest body. */
  readonly maxBodyBytes: number;
  /** What all accounts had in the beginning. */
  readonly funded: Amount;
  /** Whether every channel is closed: else some, of which all was redeemed before, wait for their delay. */
  readonly forGood: boolean;
}

/** What was found, all of it right. */
export interface Findings {
  readonly channels: number;
  /** Requests that were sent, or about to be. */
  readonly requests: number;
  /** Those with a receipt. */
  readonly done: number;
  /** Those that were paid for, without one. */
  readonly broken: number;
  /** Base units that executors got. */
  readonly settled: Amount;
  /** Base units in channels that wait for their delay. */
  readonly locked: Amount;
  /** The most that one broken request cost beyond the text that came, in millionths of a base unit. */
  readonly worstLoss: Cost;
}

const PAGE = 1000;

/**
 * Everything is redeemed and closed: checks that every channel, request and account is as it must be.
 * @throws {assert.AssertionError} that says what is not
 */
export async function audit(
  chain: FaultyChain,
  reader: ChainReader,
  buyers: readonly Buyer[],
  sellers: readonly Seller[],
  terms: Terms,
): Promise<Findings> {
  const sold = new Map<Hash, SellerChannel>();
  const sales = new Map<Hash, Sale>();
  for (const { store } of sellers) {
    for (const channel of await store.channels()) sold.set(channel.channelId, channel);
    for await (const sale of all((page) => store.sales(page), (sale) => sale.requestHash)) {
      sales.set(sale.requestHash, sale);
    }
  }
  const found = {
    channels: 0,
    requests: 0,
    done: 0,
    broken: 0,
    settled: 0n,
    locked: 0n,
    worstLoss: 0n,
  };
  const earned = new Map<Address, Amount>();
  for (const { store, notes } of buyers) {
    const purchases: Purchase[] = [];
    for await (const one of all((page) => store.history(page), ({ id }) => id)) purchases.push(one);
    for (const channel of await store.channels()) {
      const { channelId, terms: { executor } } = channel;
      const { deposit, settled, status } = await reader.channel(channelId, "latest");
      if (status === "none") continue;
      const own = purchases.filter((purchase) => purchase.channelId === channelId);
      if (terms.forGood || status !== "closing") assert.equal(status, "closed", channelId);
      found.locked += deposit - settled;
      checkChannel(channel, own, sold.get(channelId), settled, terms);
      earned.set(executor, (earned.get(executor) ?? 0n) + settled);
      found.channels++;
      found.settled += settled;
    }
    const told = new Map(notes);
    for (const purchase of purchases) {
      const loss = checkPurchase(purchase, told, sales, terms);
      // The newest is first, and the one that text came from: those before it said nothing.
      const tag = purchase.request?.commitment.maxTokens;
      const note = tag && notes.get(tag);
      if (note) told.set(tag, { ...note, text: 0n, failed: true });
      found.requests++;
      if (purchase.state === "done") found.done++;
      if (purchase.state === "done" || purchase.state === "refused") continue;
      found.broken++;
      if (loss > found.worstLoss) found.worstLoss = loss;
    }
    checkNotes(notes, purchases);
  }
  const credits = [...buyers, ...sellers].map(({ address }) =>
    reader.credit(ZERO_ADDRESS, address)
  );
  const owed = sum(await Promise.all(credits)) + found.locked;
  assert.equal(await chain.held, owed, "the contract holds what it owes");
  await checkMoney(chain, reader, buyers, sellers, earned, terms.funded - found.locked);
  return found;
}

/** A channel's promise is what the chain paid, and what its client owed. */
function checkChannel(
  bought: BuyerChannel,
  purchases: readonly Purchase[],
  sold: SellerChannel | undefined,
  settled: Amount,
  terms: Terms,
): void {
  const { channelId: id, signed, spent, inFlight } = bought;
  const held = sold?.voucher?.voucher.cumulativeAmount ?? 0n;
  assert.equal(settled, held, `${id}: the executor got what it holds a voucher for`);
  assert.ok(held <= signed, `${id}: the client knows all that it signed`);
  const ended = purchases.filter(({ state }) => state !== "open");
  const open = purchases.filter(({ state }) => state === "open");
  assert.equal(sum(ended.map(({ cost }) => cost)), spent, `${id}: the client's requests are spent`);
  assert.equal(sum(open.map(({ paid }) => paid)), inFlight, `${id}: the others are in flight`);
  assert.ok(signed >= toAmount(spent + inFlight), `${id}: all that is owed is signed`);
  // What was paid in advance and not used is for the next request; after the last it stays.
  const surplus = toAmount(BigInt(terms.concurrency) * (maxPrepay(terms) + terms.step));
  assert.ok(signed <= toAmount(spent + inFlight) + surplus, `${id}: hardly more is signed`);
  if (sold === undefined) return;
  assert.equal(sold.reserved, 0n, `${id}: the executor serves nothing on it`);
  assert.equal(sold.inFlight, 0n);
  assert.ok(toAmount(sold.spent) <= held, `${id}: what the executor counts as paid is covered`);
}

/** @returns what a request without a receipt cost beyond the text that came, and the prompt */
function checkPurchase(
  purchase: Purchase,
  notes: ReadonlyMap<number, Note>,
  sales: ReadonlyMap<Hash, Sale>,
  terms: Terms,
): Cost {
  const { state, request, response, responseHash, paid, cost } = purchase;
  if (state === "refused") return 0n;
  if (state === "done") {
    const sale = sales.get(request!.requestHash);
    assert.ok(sale?.response !== undefined, "the executor has the request, and its own receipt");
    assert.equal(toHex(sale.response.signature), toHex(response!.signature), "the only receipt");
    assert.equal(sale.responseHash, responseHash);
    assert.equal(sale.cost, cost);
    return 0n;
  }
  assert.notEqual(state, "disputed", "an honest executor's receipt is disputed");
  // What is not on disk was sent with nothing but its prompt paid.
  const note = request && notes.get(request.commitment.maxTokens);
  const prepay = note === undefined ? maxPrepay(terms) : prepayOf(terms, note.bytes);
  const wasKilled = note !== undefined && !note.failed && note.done === undefined;
  // A client that was killed had no time to tell all.
  const text = wasKilled ? terms.said(request!.commitment.maxTokens) : note?.text ?? 0n;
  const loss = paid - prepay - text;
  assert.ok(loss <= terms.step, `a broken request cost ${loss} beyond its prompt and its text`);
  return loss;
}

/** Nothing that a client was told to be over is missing in its ledger. */
function checkNotes(notes: ReadonlyMap<number, Note>, purchases: readonly Purchase[]): void {
  const done = new Map(
    purchases.flatMap((one) =>
      one.state === "done" && one.request ? [[one.request.requestHash, one]] : []
    ),
  );
  for (const [tag, note] of notes) {
    if (note.done === undefined) continue;
    const { requestHash, cost } = note.done;
    const purchase = done.get(requestHash);
    assert.ok(purchase !== undefined, `request ${tag} was over, and the ledger lost it`);
    assert.equal(purchase.cost, cost);
  }
}

/** All money is somewhere, to the unit, and each executor has what its channels paid. */
async function checkMoney(
  chain: FaultyChain,
  reader: ChainReader,
  buyers: readonly Buyer[],
  sellers: readonly Seller[],
  earned: ReadonlyMap<Address, Amount>,
  /** What is in no channel. */
  free: Amount,
): Promise<void> {
  const credit = (account: Address) => reader.credit(ZERO_ADDRESS, account);
  for (const { address } of sellers) {
    assert.equal(await credit(address), earned.get(address) ?? 0n, "the executor's earnings");
  }
  const accounts = [...buyers, ...sellers].map(({ address }) => address);
  const credits = await Promise.all(accounts.map(credit));
  const balances = await Promise.all(accounts.map((account) => chain.balance(account)));
  const fees = await chain.fees(accounts);
  assert.equal(sum(balances) + sum(credits) + fees, free, "money was made or lost");
}

function prepayOf(prices: Prices, bytes: number): Cost {
  return costOf(prices, Math.ceil(bytes / 4), 0);
}

function maxPrepay(terms: Terms): Cost {
  return prepayOf(terms, terms.maxBodyBytes);
}

function sum(numbers: readonly bigint[]): bigint {
  return numbers.reduce((a, b) => a + b, 0n);
}

/** All entries of a list that comes in pages. */
async function* all<T>(
  read: (page: { limit: number; before?: string }) => Promise<readonly T[]>,
  nameOf: (entry: T) => string,
): AsyncGenerator<T> {
  let before: string | undefined;
  for (;;) {
    const entries = await read({ limit: PAGE, ...(before !== undefined && { before }) });
    yield* entries;
    if (entries.length < PAGE) return;
    before = nameOf(entries.at(-1)!);
  }
}
