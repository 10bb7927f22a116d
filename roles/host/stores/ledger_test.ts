import { ZERO_ADDRESS } from "@lloom/core/bytes";
import {
  type BuyerStore,
  createMemoryBuyerStore,
  createMemorySellerStore,
  type SellerStore,
  toCost,
} from "@lloom/core/payments";
import { describe } from "@lloom/workers/serve";
import fc from "fast-check";
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  buyerChannel,
  channelId,
  hashOf,
  keccak256,
  purchase,
  receipt,
  sale,
  sellerChannel,
  sentRequest,
  START_MS,
  taken,
  view,
} from "../../../tests/support/ledger_fixtures.ts";
import { type Ledger, type LedgerKind, openLedger, type Order, type Outcome } from "./ledger.ts";

async function inFolder(run: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Opens a fresh ledger in memory for as long as `run` takes. */
async function withLedger(kind: LedgerKind, run: (ledger: Ledger) => Promise<void>): Promise<void> {
  const ledger = openLedger(kind, ":memory:", keccak256);
  try {
    await run(ledger);
  } finally {
    ledger.close();
  }
}

type Names<S> = keyof S & string;
type OrderOf<S> = {
  [K in Names<S>]: S[K] extends (...args: infer A) => unknown ? readonly [K, A] : never;
}[Names<S>];

/** What a store in memory makes of an order. */
async function outcomeOf<S>(store: S, [name, args]: Order): Promise<Outcome> {
  try {
    const operation = store[name as keyof S] as (...args: readonly unknown[]) => Promise<unknown>;
    return { result: await operation(...args) };
  } catch (error) {
    return { thrown: describe(error) };
  }
}

/** Compares what a group of orders comes to on disk and in memory. */
async function compare<S>(
  ledger: Ledger,
  store: S,
  orders: readonly OrderOf<S>[],
): Promise<readonly Outcome[]> {
  const onDisk = ledger.run(orders);
  const inMemory: Outcome[] = [];
  for (const order of orders) inMemory.push(await outcomeOf(store, order));
  assert.deepEqual(onDisk, inMemory);
  return onDisk;
}

const name = fc.constantFrom("a", "b");
const id = fc.integer({ min: 0, max: 7 }).map((n) => `r${n}`);
const units = fc.bigInt(0n, 120n);
const money = fc.bigInt(0n, 120_000_000n);
const nowMs = fc.integer({ min: 0, max: 200 }).map((minutes) => START_MS + 60_000 * minutes);
const limit = fc.option(fc.bigInt(0n, 400n), { nil: undefined });
const budgets = fc.record({ request: limit, hour: limit, day: limit }, { requiredKeys: [] })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, one]) => one !== undefined)));
const channelView = fc.record({
  deposit: fc.bigInt(300n, 600n),
  settled: fc.bigInt(0n, 60n),
  status: fc.constantFrom("open" as const, "open" as const, "open" as const, "closing" as const),
  closesAt: fc.nat(9),
});

const order = (...one: OrderOf<BuyerStore>): OrderOf<BuyerStore> => one;

const buyerOrder: fc.Arbitrary<OrderOf<BuyerStore>> = fc.oneof(
  fc.tuple(name, id, units, money, nowMs, budgets).map(
    ([channel, id, most, prepay, nowMs, budgets]) => {
      const fields = { nowMs, deadlineMs: nowMs + 3_600_000, prepay: prepay % (toCost(most) + 1n) };
      return order("reserve", [channelId(channel), purchase(id, most, fields), budgets]);
    },
  ),
  id.map((id) => order("sent", [id, sentRequest(id, channelId("a"))])),
  fc.tuple(id, money).map((args) => order("pay", args)),
  fc.tuple(id, money, nowMs).map(([id, cost, ms]) => order("settle", [id, receipt(id, cost), ms])),
  fc.tuple(id, money, nowMs).map(([id, cost, ms]) => order("dispute", [id, receipt(id, cost), ms])),
  fc.tuple(id, fc.boolean(), nowMs).map((args) => order("abandon", args)),
  fc.tuple(id, fc.nat(2), nowMs).map((args) => order("disown", args)),
  fc.tuple(name, fc.nat(9)).map(([channel, n]) => order("acknowledged", [channelId(channel), n])),
  fc.tuple(name, channelView).map(([channel, one]) =>
    order("viewChannel", [channelId(channel), one])
  ),
  id.map((id) => {
    const times = { startedMs: START_MS, endedMs: START_MS };
    return order("recordFree", [{ id, ...times, request: sentRequest(id) }]);
  }),
  id.map((id) => order("keep", [id, { body: new Uint8Array([1]) }])),
  id.map((id) => order("find", [id])),
  id.map((id) => order("proof", [id])),
  nowMs.map((ms) => order("spentSince", [ZERO_ADDRESS, ms])),
);

Deno.test("a client's ledger does on disk what it does in memory, in groups of any size", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(buyerOrder, { minLength: 1, maxLength: 8 }), { maxLength: 12 }),
      (groups) =>
        withLedger("buyer", async (ledger) => {
          const store = createMemoryBuyerStore(keccak256);
          await compare<BuyerStore>(ledger, store, [
            ["addChannel", [buyerChannel("a", 300n)]],
            ["addChannel", [buyerChannel("b", 500n)]],
          ]);
          for (const group of groups) {
            await compare<BuyerStore>(ledger, store, group);
            await compare<BuyerStore>(ledger, store, [
              ["channels", []],
              ["history", [{ limit: 100 }]],
            ]);
          }
        }),
    ),
    { numRuns: 60 },
  ));

const sellerStep = fc.record({
  kind: fc.constantFrom(
    ...[
      "admit",
      "admit",
      "admit",
      "pay",
      "settle",
      "settle",
      "acknowledge",
      "acknowledge",
    ] as const,
    ...["close", "recover", "view", "consent"] as const,
  ),
  channel: name,
  id,
  amount: money,
  nowMs,
  view: channelView,
});

Deno.test("an executor's ledger does on disk what it does in memory, paid by a client", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(sellerStep, { maxLength: 50, size: "max" }),
      (steps) =>
        withLedger("seller", async (ledger) => {
          const store = createMemorySellerStore(keccak256);
          const client = createMemoryBuyerStore(keccak256);
          for (const name of ["a", "b"]) {
            await client.addChannel(buyerChannel(name, 400n));
            await compare<SellerStore>(ledger, store, [["addChannel", [
              sellerChannel(name, 400n),
            ]]]);
          }
          for (const step of steps) {
            const orders = await sellerOrders(client, step);
            await compare<SellerStore>(ledger, store, orders);
            await compare<SellerStore>(ledger, store, [
              ["channels", []],
              ["sales", [{ limit: 100 }]],
              ["redeemable", []],
              ["earnings", [step.nowMs]],
            ]);
          }
        }),
    ),
    { numRuns: 60 },
  ));

type SellerStep = typeof sellerStep extends fc.Arbitrary<infer T> ? T : never;

/** What an executor is to do in a step, once its client has done its part, if it can. */
async function sellerOrders(
  client: BuyerStore,
  { kind, channel, id, amount, nowMs, view }: SellerStep,
): Promise<readonly OrderOf<SellerStore>[]> {
  const deadlineMs = Number.MAX_SAFE_INTEGER;
  const prepay = amount / 4n;
  switch (kind) {
    case "admit": {
      const fields = { prepay, maxCost: amount, nowMs, deadlineMs };
      const wanted = purchase(id, 0n, fields);
      const paid = await outcomeOf(client, ["reserve", [channelId(channel), wanted, {}]]);
      const opening = "result" in paid
        ? taken(paid.result as Parameters<typeof taken>[0])
        : { paid: prepay, first: 0, receipts: [] };
      const order = sale(id, 0n, { maxCost: amount, nowMs });
      return [["admit", [channelId(channel), order, opening, { prepay, step: toCost(20n) }]]];
    }
    case "pay":
    case "acknowledge": {
      const order: Order = kind === "pay"
        ? ["pay", [id, amount]]
        : ["settle", [id, receipt(id, amount), nowMs]];
      const paid = await outcomeOf(client, order);
      if (!("result" in paid) || paid.result === undefined) return [];
      return [["pay", [hashOf(id), taken(paid.result as Parameters<typeof taken>[0]), nowMs]]];
    }
    case "settle":
      return [["settle", [hashOf(id), receipt(id, amount), nowMs]]];
    case "close":
      return [["close", [hashOf(id), amount % 3n * amount, nowMs]]];
    case "recover":
      return [["recover", [nowMs]]];
    case "view":
      return [["viewChannel", [channelId(channel), view]]];
    case "consent":
      return [["consent", [channelId(channel)]]];
  }
}

Deno.test("a ledger is reopened as it was left, and one of a newer program is refused", () =>
  inFolder((folder) => {
    const path = join(folder, "payments.db");
    const first = openLedger("buyer", path, keccak256);
    first.run([["addChannel", [buyerChannel("a", 9n)]]]);
    const found = first.run([["channels", []]]);
    first.close();
    const second = openLedger("buyer", path, keccak256);
    assert.deepEqual(second.run([["channels", []]]), found);
    second.close();
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 99");
    database.close();
    assert.throws(() => openLedger("buyer", path, keccak256), {
      code: "config_invalid",
      message: /version 99/,
    });
  }));

Deno.test("an operation that fails halfway leaves nothing of itself, and the others whole", () =>
  inFolder((folder) => {
    const ledger = openLedger("buyer", join(folder, "payments.db"), keccak256);
    const outcomes = ledger.run([
      ["addChannel", [buyerChannel("a", 100n)]],
      // What no row can hold shows only when it is written, after the channel was.
      ["reserve", [channelId("a"), purchase("one", 10n, { nowMs: Number.NaN }), {}]],
      ["reserve", [channelId("a"), purchase("two", 10n), {}]],
      ["nonsense", []],
    ]);
    assert.deepEqual(outcomes.map((one) => "thrown" in one), [false, true, false, true]);
    const [{ result }] = ledger.run([["channels", []]]) as [{ result: { reserved: bigint }[] }];
    assert.deepEqual(result.map(({ reserved }) => reserved), [toCost(10n)]);
    ledger.close();
  }));

Deno.test("who only reads is not hindered by a writer; who writes waits for it, not for ever", () =>
  inFolder((folder) => {
    const path = join(folder, "payments.db");
    const ledger = openLedger("buyer", path, keccak256, 50);
    ledger.run([["addChannel", [buyerChannel("a", 100n)]]]);
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    assert.equal(ledger.run([["channels", []]]).length, 1);
    assert.throws(() => ledger.run([["viewChannel", [channelId("a"), view(5n)]]]), {
      code: "overloaded",
    });
    other.exec("ROLLBACK");
    assert.ok("result" in ledger.run([["viewChannel", [channelId("a"), view(5n)]]])[0]!);
    other.close();
    ledger.close();
  }));
