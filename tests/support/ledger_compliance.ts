/** What every implementation of the ports `BuyerStore` and `SellerStore` must do. @module */
import { ZERO_HASH } from "@lloom/core/bytes";
import {
  type BuyerStore,
  KEPT_MS,
  MAX_KEPT_BYTES,
  rootOfProof,
  type SellerStore,
  toCost,
} from "@lloom/core/payments";
import assert from "node:assert/strict";
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
} from "./ledger_fixtures.ts";

/** Makes an empty store, and what ends it. */
export type OpenStore<S> = () => Promise<{ store: S; close(): Promise<void> }>;

const ID = channelId("a");
const OTHER_ASSET = `0x${"aa".repeat(20)}` as const;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const TERMS = { prepay: 0n, step: toCost(10n) };

function testWith<S>(open: OpenStore<S>): (name: string, run: (store: S) => Promise<void>) => void {
  return (name, run) =>
    Deno.test(name, async () => {
      const { store, close } = await open();
      try {
        await run(store);
      } finally {
        await close();
      }
    });
}

/** Buys one thing from beginning to end. */
async function buy(store: BuyerStore, id: string, cost: bigint, nowMs = START_MS): Promise<void> {
  await store.reserve(ID, purchase(id, 100n, { nowMs, deadlineMs: nowMs + MINUTE_MS }), {});
  await store.sent(id, sentRequest(id, ID));
  await store.settle(id, receipt(id, cost), nowMs);
}

/** Registers the tests of a client's account. */
export function testBuyerStore(name: string, open: OpenStore<BuyerStore>): void {
  const test = testWith(open);

  test(`${name}: what is paid, settled and kept is there to be read, whole`, async (store) => {
    await store.addChannel(buyerChannel("a", 1000n));
    await store.addChannel(buyerChannel("a", 5n)); // it is there
    const first = await store.reserve(ID, purchase("one", 100n, { prepay: toCost(5n) }), {});
    assert.equal(first.voucher?.cumulativeAmount, 5n);
    await store.sent("one", sentRequest("one", ID));
    const more = await store.pay("one", toCost(20n));
    assert.deepEqual([more.paid, more.voucher?.cumulativeAmount], [toCost(20n), 20n]);
    await store.keep("one", { body: new Uint8Array([1]), content: new Uint8Array([2, 3]) });
    assert.equal(await store.settle("one", receipt("one", toCost(7n)), START_MS + 9), undefined);
    const [channel] = await store.channels();
    assert.deepEqual([channel?.deposit, channel?.spent, channel?.signed], [1000n, toCost(7n), 20n]);
    const [found] = await store.find("one");
    assert.deepEqual(found, {
      id: "one",
      channelId: ID,
      state: "done",
      maxCost: toCost(100n),
      paid: toCost(20n),
      cost: toCost(7n),
      deadlineMs: START_MS + MINUTE_MS,
      leafIndex: 0,
      executor: channel?.terms.executor,
      model: "m",
      startedMs: START_MS,
      endedMs: START_MS + 9,
      request: sentRequest("one", ID),
      response: receipt("one", 0n).response,
      responseHash: receipt("one", 0n).responseHash,
    });
    const content = await store.content("one");
    assert.deepEqual(content, { body: new Uint8Array([1]), content: new Uint8Array([2, 3]) });
  });

  test(`${name}: what is refused changes nothing, and does not touch its neighbours`, async (store) => {
    await store.addChannel(buyerChannel("a", 150n));
    const outcomes = await Promise.allSettled([
      store.reserve(ID, purchase("one", 100n), {}),
      store.reserve(ID, purchase("two", 100n), {}),
      store.reserve(ID, purchase("one", 1n), {}),
      store.reserve(ID, purchase("three", 50n), {}),
      store.pay("two", 1n),
    ]);
    assert.deepEqual(outcomes.map(({ status }) => status === "fulfilled"), [
      ...[true, false, false, true, false],
    ]);
    await assert.rejects(store.reserve(ID, purchase("four", 1n), {}), {
      code: "insufficient_funds",
    });
    await assert.rejects(store.settle("one", receipt("one", toCost(101n)), START_MS), {
      code: "overcharged",
    });
    await assert.rejects(store.viewChannel(hashOf("nothing"), view(1n)), TypeError);
    assert.deepEqual((await store.history({ limit: 9 })).map(({ id }) => id), ["three", "one"]);
    assert.equal((await store.channels())[0]?.reserved, toCost(150n));
  });

  test(`${name}: what nobody saw to is given up some minutes after its deadline`, async (store) => {
    await store.addChannel(buyerChannel("a", 100n));
    await store.reserve(ID, purchase("one", 100n, { prepay: toCost(3n) }), {});
    const nowMs = START_MS + MINUTE_MS + 5 * MINUTE_MS;
    await assert.rejects(store.reserve(ID, purchase("two", 97n, { nowMs }), {}));
    await store.reserve(ID, purchase("two", 97n, { nowMs: nowMs + 1 }), {});
    const [one] = await store.find("one");
    assert.deepEqual([one?.state, one?.cost, one?.endedMs], ["abandoned", toCost(3n), nowMs + 1]);
    // Who made it comes back late: it is over, and counts once.
    await store.abandon(one!.id, false, nowMs + 2);
    await store.disown(one!.id, 0, nowMs + 2);
    assert.deepEqual((await store.find(one!.id))[0], one);
  });

  test(`${name}: budgets count what was spent in their time, and all that is under way at its most`, async (store) => {
    await store.addChannel(buyerChannel("a", 10_000n));
    await store.addChannel(buyerChannel("b", 10_000n, OTHER_ASSET));
    const exceeded = { code: "budget_exceeded" };
    const next = (id: string, most: bigint, nowMs: number, budgets: object) =>
      store.reserve(ID, purchase(id, most, { nowMs, deadlineMs: nowMs + MINUTE_MS }), budgets);
    await assert.rejects(next("a", 51n, START_MS, { request: 50n }), exceeded);
    await next("a", 50n, START_MS, { request: 50n, hour: 50n, day: 50n });
    await assert.rejects(next("b", 1n, START_MS, { hour: 50n }), exceeded);
    await store.settle("a", receipt("a", toCost(10n)), START_MS);
    await store.reserve(channelId("b"), purchase("other", 9000n), { hour: 9000n });
    await next("b", 40n, START_MS, { hour: 50n });
    await store.dispute("b", receipt("b", toCost(999n)), START_MS);
    await next("c", 40n, START_MS, { hour: 50n });
    await store.pay("c", toCost(30n));
    await store.abandon("c", true, START_MS);
    await assert.rejects(next("d", 11n, START_MS + HOUR_MS, { hour: 50n }), exceeded);
    await next("d", 11n, START_MS + HOUR_MS + MINUTE_MS, { hour: 50n });
    await store.abandon("d", false, START_MS + HOUR_MS + MINUTE_MS);
    const late = START_MS + 24 * HOUR_MS;
    await assert.rejects(next("e", 11n, late, { hour: 50n, day: 50n }), exceeded);
    await next("e", 11n, late + MINUTE_MS, { hour: 50n, day: 50n });
    const { asset } = buyerChannel("a", 0n).terms;
    assert.equal(await store.spentSince(asset, START_MS), toCost(40n));
    assert.equal(await store.spentSince(asset, START_MS + MINUTE_MS), 0n);
  });

  test(`${name}: a voucher lists what the executor does not know of yet, and proofs lead to its root`, async (store) => {
    await store.addChannel(buyerChannel("a", 10_000n));
    for (let i = 0; i < 70; i++) await buy(store, `r${i}`, toCost(2n));
    const { voucher, first, receipts } = await store.reserve(ID, purchase("x", 1n), {});
    assert.equal(voucher?.requests, 70n);
    assert.equal(first, 6);
    assert.deepEqual(receipts, Array.from({ length: 64 }, (_, i) => hashOf(`r${i + 6}`)));
    await store.acknowledged(ID, 68);
    const after = await store.pay("x", 1n);
    assert.deepEqual([after.first, after.receipts], [68, [hashOf("r68"), hashOf("r69")]]);
    await store.acknowledged(ID, 99);
    assert.deepEqual((await store.pay("x", 2n)).receipts, []);
    for (const id of ["r0", "r63", "r64", "r69"]) {
      const proof = (await store.proof(id))!;
      const size = Number(proof.voucher.requests);
      const root = rootOfProof(keccak256, proof.leaf, proof.index, size, proof.path);
      assert.equal(root, proof.voucher.receiptsRoot);
    }
    assert.equal(await store.proof("x"), undefined);
  });

  test(`${name}: history has free requests too, in pages, and finds by how id or hash begins`, async (store) => {
    await store.addChannel(buyerChannel("a", 1000n));
    await buy(store, "a1", 1n);
    const free = { startedMs: START_MS, endedMs: START_MS + 1 };
    await store.recordFree({ ...free, id: "a2", request: sentRequest("a2") });
    await store.recordFree({
      ...{ ...free, id: "b1", request: sentRequest("b1") },
      receipt: receipt("b1", 1n),
    });
    await assert.rejects(
      store.recordFree({ ...free, id: "b1", request: sentRequest("b1") }),
      TypeError,
    );
    const ids = async (page: { limit: number; before?: string }) =>
      (await store.history(page)).map(({ id }) => id);
    assert.deepEqual(await ids({ limit: 2 }), ["b1", "a2"]);
    assert.deepEqual(await ids({ limit: 2, before: "a2" }), ["a1"]);
    assert.deepEqual(await ids({ limit: 2, before: "none" }), []);
    const found = async (prefix: string) => (await store.find(prefix)).map(({ id }) => id);
    assert.deepEqual(await found("a"), ["a2", "a1"]);
    assert.deepEqual(await found(hashOf("b1").slice(0, 9)), ["b1"]);
    assert.deepEqual(await found(hashOf("b1").slice(2, 12).toUpperCase()), ["b1"]);
    assert.deepEqual(await found("%"), []);
    const [b1] = await store.find("b1");
    assert.deepEqual([b1?.channelId, b1?.state, b1?.cost], [ZERO_HASH, "done", 0n]);
    const large = new Uint8Array(MAX_KEPT_BYTES + 1);
    await store.keep("b1", { body: large.subarray(1), content: large });
    assert.deepEqual(await store.content("b1"), { body: large.subarray(1) });
    assert.equal(await store.content("a2"), undefined);
    await assert.rejects(store.keep("none", {}), TypeError);
  });
}

/** Registers the tests of an executor's account. */
export function testSellerStore(
  name: string,
  open: OpenStore<SellerStore>,
  openBuyer: OpenStore<BuyerStore>,
): void {
  const test = testWith(open);

  test(`${name}: a whole channel with its client's account comes to the same`, async (store) => {
    const { store: client, close } = await openBuyer();
    await client.addChannel(buyerChannel("a", 1000n));
    await store.addChannel(sellerChannel("a", 1000n));
    for (const id of ["one", "two", "three"]) {
      const opening = await client.reserve(ID, purchase(id, 100n, { prepay: toCost(5n) }), {});
      const admitted = await store.admit(ID, sale(id, 100n), taken(opening), TERMS);
      await client.acknowledged(ID, admitted.acknowledged);
      const paid = await store.pay(
        hashOf(id),
        taken(await client.pay(id, toCost(9n))),
        START_MS,
      );
      assert.equal(paid, toCost(9n));
      await store.settle(hashOf(id), receipt(id, toCost(12n) + 1n), START_MS + 5);
      const last = await client.settle(id, receipt(id, toCost(12n) + 1n), START_MS);
      await store.pay(hashOf(id), taken(last!), START_MS + 6);
      await store.close(hashOf(id), 0n, START_MS + 7);
    }
    const [bought] = await client.channels();
    const sold = await store.channel(ID);
    assert.deepEqual([sold?.spent, sold?.peaks], [bought?.spent, bought?.peaks]);
    assert.equal(sold?.acknowledged, 3);
    assert.equal(sold?.voucher?.voucher.cumulativeAmount, 37n);
    assert.deepEqual(await store.channels(), [sold]);
    const sum = { requests: 3, inboundTokens: 9, outboundTokens: 12, unpaid: 0n };
    const { models, channels } = await store.earnings(START_MS);
    const asset = sold?.terms.asset;
    assert.deepEqual(models, [{ model: "m", asset, ...sum, paid: toCost(36n) + 3n }]);
    assert.deepEqual(channels, [{
      ...{ channel: sold, redeemable: 37n, ...sum, paid: toCost(36n) + 3n },
    }]);
    assert.deepEqual(await store.earnings(START_MS + 7), { models: [], channels: [] });
    const [three, ...others] = await store.sales({ limit: 9 });
    assert.deepEqual(three, {
      ...{ requestHash: hashOf("three"), channelId: ID, state: "done", leafIndex: 2 },
      ...{ maxCost: toCost(100n), paid: toCost(12n) + 1n, cost: toCost(12n) + 1n },
      ...{ startedMs: START_MS, endedMs: START_MS + 6, client: sold?.terms.client },
      request: sale("three", 0n).request,
      response: receipt("three", 0n).response,
      responseHash: receipt("three", 0n).responseHash,
    });
    const page = await store.sales({ limit: 1, before: hashOf("three") });
    assert.deepEqual(page, others.slice(0, 1));
    await close();
  });

  test(`${name}: a request is admitted once, and what is refused leaves nothing`, async (store) => {
    const nothing = { paid: 0n, first: 0, receipts: [] };
    await store.addChannel(sellerChannel("a", 100n));
    await store.admit(ID, sale("one", 60n), nothing, TERMS);
    await assert.rejects(store.admit(ID, sale("one", 1n), nothing, TERMS), {
      code: "request_replayed",
    });
    await assert.rejects(store.admit(ID, sale("two", 60n), nothing, TERMS), {
      code: "payment_required",
    });
    await assert.rejects(store.pay(hashOf("one"), { ...nothing, paid: 1n }, START_MS), {
      code: "voucher_invalid",
    });
    await assert.rejects(store.consent(ID), { code: "overloaded" });
    await store.settle(hashOf("one"), receipt("one", toCost(60n)), START_MS);
    await assert.rejects(store.settle(hashOf("one"), receipt("one", 0n), START_MS), TypeError);
    await assert.rejects(store.close(hashOf("two"), 0n, START_MS), TypeError);
    assert.equal((await store.sales({ limit: 9 })).length, 1);
    assert.equal((await store.channel(ID))?.reserved, toCost(60n));
    assert.equal(await store.channel(hashOf("nothing")), undefined);
  });

  test(`${name}: what was under way when its process ended is closed`, async (store) => {
    const { store: client, close } = await openBuyer();
    await client.addChannel(buyerChannel("a", 1000n));
    await store.addChannel(sellerChannel("a", 1000n));
    for (const id of ["refused", "broken", "unpaid"]) {
      const prepay = id === "refused" ? 0n : toCost(5n);
      const opening = await client.reserve(ID, purchase(id, 100n, { prepay }), {});
      await store.admit(ID, sale(id, 100n), taken(opening), TERMS);
    }
    await store.settle(hashOf("unpaid"), receipt("unpaid", toCost(8n)), START_MS);
    await store.recover(START_MS + 1);
    const states = (await store.sales({ limit: 9 })).map(({ state }) => state);
    assert.deepEqual(states, ["unpaid", "broken"]);
    const channel = await store.channel(ID);
    assert.deepEqual(
      [channel?.reserved, channel?.inFlight, channel?.spent, channel?.unpaid],
      [0n, 0n, toCost(10n), toCost(3n)],
    );
    const { models: [takings] } = await store.earnings(START_MS);
    assert.deepEqual([takings?.paid, takings?.unpaid], [channel?.spent, channel?.unpaid]);
    assert.equal(await store.consent(ID), 10n);
    assert.equal((await store.channel(ID))?.consented, true);
    await close();
  });

  test(`${name}: requests that owe nothing leave nothing, however many they are`, async (store) => {
    const nothing = { paid: 0n, first: 0, receipts: [] };
    await store.addChannel(sellerChannel("a", 100n));
    const before = await store.channel(ID);
    for (let i = 0; i < 20; i++) {
      await store.admit(ID, sale(`r${i}`, 60n), nothing, TERMS);
      await store.close(hashOf(`r${i}`), 0n, START_MS);
    }
    assert.deepEqual(await store.sales({ limit: 99 }), []);
    assert.deepEqual(await store.channel(ID), before);
  });

  test(`${name}: what ended long ago is forgotten once its channel is closed, and not before`, async (store) => {
    const nothing = { paid: 0n, first: 0, receipts: [] };
    for (const channel of ["a", "b"]) await store.addChannel(sellerChannel(channel, 1000n));
    const serve = async (channel: string, id: string, nowMs: number) => {
      await store.admit(channelId(channel), { ...sale(id, 1n), nowMs }, nothing, TERMS);
      await store.close(hashOf(id), 1n, nowMs);
    };
    for (const [i, channel] of ["a", "b", "a"].entries()) {
      await serve(channel, `${channel}${i}`, START_MS + i);
    }
    const left = async () =>
      (await store.sales({ limit: 9 })).map(({ requestHash }) => requestHash);
    const hashes = (...ids: string[]) => ids.map((id) => hashOf(id));
    const later = START_MS + 2 + KEPT_MS;
    await serve("b", "b3", later);
    assert.deepEqual(await left(), hashes("b3", "a2", "b1", "a0"));
    await store.viewChannel(ID, view(1000n, { status: "closed" }));
    await serve("b", "b4", later + HOUR_MS - 1);
    assert.equal((await left()).length, 5);
    await serve("b", "b5", later + HOUR_MS);
    assert.deepEqual(await left(), hashes("b5", "b4", "b3", "b1"));
  });

  test(`${name}: what can be redeemed is known, and since when`, async (store) => {
    const { store: client, close } = await openBuyer();
    await client.addChannel(buyerChannel("a", 1000n));
    await store.addChannel(sellerChannel("a", 1000n));
    const opening = await client.reserve(ID, purchase("one", 100n), {});
    await store.admit(ID, sale("one", 100n), taken(opening), TERMS);
    const since = async () => (await store.redeemable()).map(({ sinceMs }) => sinceMs - START_MS);
    assert.deepEqual(await since(), []);
    const pay = async (total: bigint, atMs: number) =>
      await store.pay(hashOf("one"), taken(await client.pay("one", toCost(total))), atMs);
    await pay(10n, START_MS + 10);
    await pay(20n, START_MS + 20);
    assert.deepEqual(await since(), [10]);
    await store.viewChannel(ID, view(1000n, { settled: 10n }));
    assert.deepEqual(await since(), [20]);
    await store.viewChannel(ID, view(1000n, { settled: 20n }));
    assert.deepEqual(await since(), []);
    await pay(30n, START_MS + 30);
    assert.deepEqual(await since(), [30]);
    await store.viewChannel(ID, view(1000n, { settled: 30n, status: "closed" }));
    assert.deepEqual(await since(), []);
    await close();
  });
}
