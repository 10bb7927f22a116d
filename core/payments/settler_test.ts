import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { noblePrimitives } from "../signing/mod.ts";
import { toCost } from "./amounts.ts";
import { createMemorySellerStore } from "./books/mod.ts";
import type { ChannelChange, ChannelEvent, Depth } from "./chain/ports.ts";
import type { ChannelView } from "./channel.ts";
import { channelIdOf } from "./channel_id.ts";
import { MAX_BATCH, planRedemptions } from "./redemptions.ts";
import { newSellerChannel, type SellerChannel } from "./seller.ts";
import { type Redeemer, type Redemption, Settler } from "./settler.ts";
import { client, code, FakeChain, requestOn, termsOf } from "../../tests/support/money.ts";

const POLICY = { threshold: 100n, maxAgeMs: 3_600_000 };
const OPEN: ChannelView = { deposit: 1000n, settled: 0n, status: "open", closesAt: 0 };

/** A chain whose events a test tells. */
class WatchedChain extends FakeChain {
  confirmations = 1;
  number = 10n;
  down = false;
  /** What is not final yet. */
  readonly latest = new Map<Hash, ChannelView>();
  #onEvents: ((events: readonly ChannelEvent[], upTo: bigint) => Promise<void>) | undefined;

  head() {
    if (this.down) return Promise.reject(new LloomError("chain_unavailable", "down"));
    return Promise.resolve({ number: this.number, timestamp: 0 });
  }

  override channel(channelId: Hash, at: Depth = "confirmed"): Promise<ChannelView> {
    if (this.down) return Promise.reject(new LloomError("chain_unavailable", "down"));
    const latest = at === "latest" ? this.latest.get(channelId) : undefined;
    return latest === undefined ? super.channel(channelId) : Promise.resolve(latest);
  }

  watch(
    _from: bigint,
    onEvents: (events: readonly ChannelEvent[], upTo: bigint) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    this.#onEvents = onEvents;
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
  }

  get isWatched(): boolean {
    return this.#onEvents !== undefined;
  }

  async tell(channelId: Hash, change: ChannelChange, removed = false): Promise<void> {
    const event = {
      channelId,
      change,
      blockNumber: ++this.number,
      blockHash: channelId,
      logIndex: 0,
      transactionHash: channelId,
      removed,
    };
    await this.#onEvents!([event], this.number - BigInt(this.confirmations) + 1n);
  }

  async mine(blocks: bigint): Promise<void> {
    this.number += blocks;
    await this.#onEvents!([], this.number - BigInt(this.confirmations) + 1n);
  }
}

/** Sends to that chain when told to. */
class FakeRedeemer implements Redeemer {
  /** Transactions by key. */
  readonly sent = new Map<string, { items: readonly Redemption[]; close: boolean }>();
  readonly #mined = new Map<string, PromiseWithResolvers<void>>();
  readonly #chain: FakeChain;
  fails: LloomError | undefined;
  /** Awaited before anything is on disk. */
  gate: Promise<void> = Promise.resolve();

  constructor(chain: FakeChain) {
    this.#chain = chain;
  }

  redeem(items: readonly Redemption[]): Promise<string> {
    return this.#send(items, false);
  }

  redeemAndClose(item: Redemption): Promise<string> {
    return this.#send([item], true);
  }

  async #send(items: readonly Redemption[], close: boolean): Promise<string> {
    await this.gate;
    const fault = this.fails;
    this.fails = undefined;
    if (fault !== undefined) throw fault;
    const key = `${close}:` +
      items.map(({ signed: { voucher } }) => `${voucher.channelId}:${voucher.cumulativeAmount}`);
    this.sent.set(key, { items, close });
    if (!this.#mined.has(key)) this.#mined.set(key, Promise.withResolvers());
    return key;
  }

  async confirmed(key: string, signal?: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    signal?.addEventListener("abort", () => aborted.reject(signal.reason));
    await Promise.race([this.#mined.get(key)!.promise, aborted.promise]);
  }

  /** Executes what was sent, each once. */
  async mine(): Promise<void> {
    for (const [key, { items, close }] of this.sent) {
      for (const { signed: { voucher } } of items) {
        const { channelId, cumulativeAmount: settled } = voucher;
        this.#chain.set(channelId, close ? { settled, status: "closed" } : { settled });
      }
      this.#mined.get(key)!.resolve();
    }
    await turns();
  }

  /** Has the chain refuse what was sent. */
  async revert(): Promise<void> {
    for (const [key, { reject }] of this.#mined) {
      this.#mined.delete(key);
      reject(new LloomError("transaction_failed", "reverted"));
    }
    this.sent.clear();
    await turns();
  }
}

/** Lets everything run that waits for nothing but turns. */
async function turns(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

function world() {
  const chain = new WatchedChain();
  const clock = new ManualClock();
  const store = createMemorySellerStore(noblePrimitives.keccak256);
  const redeemer = new FakeRedeemer(chain);
  const settler = (minimum = 0n) =>
    new Settler({ ...POLICY, minimum }, { store, chain, redeemer, clock });
  /** A channel with a voucher of `amount`, for a request that is over unless `busy`. */
  const earn = async (salt: bigint, amount: bigint, busy = false): Promise<Hash> => {
    const terms = termsOf(salt);
    const channelId = channelIdOf(terms);
    if (!chain.channels.has(channelId)) chain.set(channelId, OPEN);
    await store.addChannel(newSellerChannel(channelId, terms, OPEN));
    const { requestHash, ...request } = await requestOn(channelId, clockNonce++);
    const signed = await client.signVoucher({
      channelId,
      cumulativeAmount: amount,
      requests: 0n,
      inboundTokens: 0n,
      outboundTokens: 0n,
      receiptsRoot: `0x${"0".repeat(64)}`,
    });
    await store.admit(
      channelId,
      { requestHash, request, client: client.address, maxCost: toCost(10n), nowMs: clock.now() },
      { signed, paid: 0n, first: 0, receipts: [] },
      { prepay: 0n, step: 0n },
    );
    if (!busy) await store.close(requestHash, 0n, clock.now());
    return channelId;
  };
  return { chain, clock, store, redeemer, settler, earn };
}

let clockNonce = 0n;

function channelWith(fields: Partial<SellerChannel>, amount = 50n): SellerChannel {
  const channel = newSellerChannel(`0x${"c1".repeat(32)}`, termsOf(1n), OPEN);
  const voucher = {
    channelId: channel.channelId,
    cumulativeAmount: amount,
    requests: 0n,
    inboundTokens: 0n,
    outboundTokens: 0n,
    receiptsRoot: channel.channelId,
  };
  return { ...channel, voucher: { voucher, signature: new Uint8Array(65) }, ...fields };
}

Deno.test("redeemed is what is worth it, old, or about to be too late; closed is what is idle", () => {
  const plan = (fields: Partial<SellerChannel>, amount: bigint, ageMs: number, nowMs = 0) => {
    const open = [{ channel: channelWith(fields, amount), sinceMs: nowMs - ageMs }];
    const { batches, closings } = planRedemptions(open, POLICY, nowMs);
    return closings.length > 0 ? "close" : batches.length > 0 ? "redeem" : "wait";
  };
  assert.equal(plan({}, 99n, 0), "wait");
  assert.equal(plan({}, 100n, 0), "redeem");
  assert.equal(plan({ settled: 1n }, 100n, 0), "wait");
  assert.equal(plan({}, 1n, POLICY.maxAgeMs), "redeem");
  assert.equal(plan({ consented: true }, 99n, 0), "wait");
  assert.equal(plan({ consented: true }, 100n, 0), "close");
  const closing = { status: "closing", closesAt: 3600 } as const;
  assert.equal(plan(closing, 1n, 0), "close");
  assert.equal(plan({ ...closing, reserved: 1n }, 1n, 0), "wait");
  assert.equal(plan({ ...closing, reserved: 1n }, 1n, 0, 1_800_000), "redeem");
  assert.equal(plan({ status: "closed" }, 500n, POLICY.maxAgeMs), "wait");
  assert.equal(plan({ status: "none" }, 500n, POLICY.maxAgeMs), "wait");
});

Deno.test("many channels go into transactions of at most a hundred", () => {
  const open = Array.from({ length: 250 }, () => ({ channel: channelWith({}), sinceMs: 0 }));
  const { batches } = planRedemptions(open, POLICY, 0, true);
  assert.deepEqual(batches.map((batch) => batch.length), [MAX_BATCH, MAX_BATCH, 50]);
});

Deno.test("vouchers are redeemed together once they reach the threshold or an age, and once only", async () => {
  const { clock, redeemer, settler, earn, store } = world();
  const [a, b] = [await earn(1n, 100n), await earn(2n, 200n)];
  const small = await earn(3n, 5n);
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 1);
  clock.advance(60_000);
  await turns();
  assert.equal(redeemer.sent.size, 1, "not again while it is under way");
  await redeemer.mine();
  for (const [id, settled] of [[a, 100n], [b, 200n], [small, 0n]] as const) {
    assert.equal((await store.channel(id))?.settled, settled);
  }
  clock.advance(60_000);
  await turns();
  assert.equal(redeemer.sent.size, 1);
  clock.advance(POLICY.maxAgeMs);
  await turns();
  assert.equal(redeemer.sent.size, 2);
  await one.stop(1000);
});

Deno.test("when a client begins to close, its channel is redeemed and closed at once", async () => {
  const { chain, clock, redeemer, settler, earn, store } = world();
  const channelId = await earn(1n, 5n);
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 0);
  const closesAt = clock.now() / 1000 + 3600;
  chain.set(channelId, { status: "closing", closesAt });
  await chain.tell(channelId, { type: "close_requested", closesAt });
  assert.deepEqual([...redeemer.sent.values()].map(({ close }) => close), [true]);
  // Even if the chain took the wish back, its own closing is on its way: nothing more is served.
  assert.equal((await store.channel(channelId))?.consented, true);
  await redeemer.mine();
  assert.equal((await store.channel(channelId))?.status, "closed");
  await one.stop(1000);
  assert.equal(redeemer.sent.size, 1);
});

Deno.test("a channel that begins to close unheard is redeemed in time all the same", async () => {
  const { chain, clock, redeemer, settler, earn } = world();
  const channelId = await earn(1n, 5n);
  const one = settler();
  one.start();
  await turns();
  chain.set(channelId, { status: "closing", closesAt: clock.now() / 1000 + 900 });
  for (let i = 0; i < 21; i++) {
    clock.advance(15_000);
    await turns();
  }
  assert.deepEqual([...redeemer.sent.values()].map(({ close }) => close), [true]);
  await one.stop(1000);
});

Deno.test("a request under way is given time before its channel is closed, but no more than half of it", async () => {
  const { chain, clock, redeemer, settler, earn } = world();
  const channelId = await earn(1n, 5n, true);
  const closesAt = clock.now() / 1000 + 3600;
  chain.set(channelId, { status: "closing", closesAt });
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 0);
  clock.advance(1_800_000);
  await turns();
  assert.deepEqual([...redeemer.sent.values()].map(({ close }) => close), [false]);
  await one.stop(1000);
});

Deno.test("what happened while nobody watched is found at the start, and when the chain is back", async () => {
  const { chain, clock, redeemer, settler, earn } = world();
  const channelId = await earn(1n, 5n);
  chain.set(channelId, { status: "closing", closesAt: clock.now() / 1000 + 3600 });
  chain.down = true;
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 0);
  assert.equal(one.watchedMs(Infinity), 0);
  chain.down = false;
  clock.advance(15_000);
  await turns();
  assert.ok(chain.isWatched);
  assert.equal(one.watchedMs(Infinity), clock.now());
  assert.deepEqual([...redeemer.sent.values()].map(({ close }) => close), [true]);
  await one.stop(1000);
});

Deno.test("a redemption that fails is tried again, ever later, until it is done", async () => {
  const { clock, redeemer, settler, earn, store } = world();
  const channelId = await earn(1n, 100n);
  const one = settler();
  one.start();
  await turns();
  let waited = 0;
  for (let failures = 0; failures < 4; failures++) {
    await redeemer.revert();
    for (waited = 0; redeemer.sent.size === 0; waited += 15_000) {
      clock.advance(15_000);
      await turns();
    }
    assert.equal(waited, 15_000 * 2 ** failures);
  }
  await redeemer.mine();
  assert.equal((await store.channel(channelId))?.settled, 100n);
  await one.stop(1000);
});

Deno.test("what could not be put on disk is due again", async () => {
  const { clock, redeemer, settler, earn } = world();
  await earn(1n, 100n);
  redeemer.fails = new LloomError("insufficient_funds", "no gas");
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 0);
  clock.advance(15_000);
  await turns();
  assert.equal(redeemer.sent.size, 1);
  await one.stop(1000);
});

Deno.test("a redemption that a reorganization undoes is sent again", async () => {
  const { chain, clock, redeemer, settler, earn, store } = world();
  const channelId = await earn(1n, 100n);
  const one = settler();
  one.start();
  await turns();
  await redeemer.mine();
  assert.equal((await store.channel(channelId))?.settled, 100n);
  redeemer.sent.clear();
  chain.set(channelId, { settled: 0n });
  await chain.tell(channelId, { type: "redeemed", paid: 100n, settled: 100n }, true);
  assert.equal((await store.channel(channelId))?.settled, 0n);
  clock.advance(15_000);
  await turns();
  assert.equal(redeemer.sent.size, 1);
  await one.stop(1000);
});

Deno.test("money counts when it is final; that a client takes it back counts at once", async () => {
  const { chain, clock, settler, earn, store } = world();
  chain.confirmations = 3;
  const channelId = await earn(1n, 5n);
  const one = settler();
  one.start();
  await turns();
  chain.latest.set(channelId, { ...OPEN, deposit: 5000n });
  await chain.tell(channelId, { type: "topped_up", deposit: 5000n });
  assert.equal((await store.channel(channelId))?.deposit, 1000n);
  chain.set(channelId, { deposit: 5000n });
  clock.advance(15_000);
  await turns();
  assert.equal((await store.channel(channelId))?.deposit, 1000n);
  await chain.mine(2n);
  clock.advance(15_000);
  await turns();
  assert.equal((await store.channel(channelId))?.deposit, 5000n);
  chain.latest.set(channelId, { ...OPEN, deposit: 5000n, status: "closing", closesAt: 9e9 });
  await chain.tell(channelId, { type: "close_requested", closesAt: 9e9 });
  assert.equal((await store.channel(channelId))?.status, "closing");
  // A reorganization takes it back.
  chain.latest.delete(channelId);
  await chain.tell(channelId, { type: "close_requested", closesAt: 9e9 }, true);
  assert.equal((await store.channel(channelId))?.status, "open");
  await one.stop(1000);
});

Deno.test("an event of a channel that was never used here is none of ours", async () => {
  const { chain, settler, store } = world();
  const one = settler();
  one.start();
  await turns();
  const channelId = channelIdOf(termsOf(7n));
  await chain.tell(channelId, { type: "topped_up", deposit: 5000n });
  assert.equal(await store.channel(channelId), undefined);
  await one.stop(1000);
});

Deno.test("stopping has everything redeemed, however little, and waits for nothing but the disk", async () => {
  const { redeemer, settler, earn } = world();
  await earn(1n, 5n);
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 0);
  await one.stop(1000);
  assert.equal(redeemer.sent.size, 1);
});

Deno.test("what costs more to redeem than it brings is left: by age, at the end, and when its channel closes", async () => {
  const plan = (fields: Partial<SellerChannel>, amount: bigint, policy = POLICY) => {
    const open = [{ channel: channelWith(fields, amount), sinceMs: 0 }];
    const floor = { ...policy, minimum: 20n };
    const { batches, closings } = planRedemptions(open, floor, policy.maxAgeMs, true);
    return closings.length + batches.length;
  };
  for (
    const fields of [{}, { consented: true }, { status: "closing", closesAt: 3600 }] as const
  ) {
    assert.equal(plan(fields, 19n), 0);
    assert.equal(plan(fields, 20n), 1);
  }
  assert.equal(plan({}, 19n, { ...POLICY, threshold: 10n }), 1);

  const { redeemer, settler, earn } = world();
  await earn(1n, 5n);
  const one = settler(20n);
  one.start();
  await turns();
  await one.stop(1000);
  assert.equal(redeemer.sent.size, 0);
  const settling = settler(20n).settle();
  await turns();
  await redeemer.mine();
  assert.deepEqual(await settling, { channels: 1, amount: 5n });
});

Deno.test("stopping takes no longer than it may, and the next start sends the same transaction", async () => {
  const { clock, redeemer, settler, earn } = world();
  await earn(1n, 100n);
  const one = settler();
  one.start();
  await turns();
  assert.equal(redeemer.sent.size, 1);
  await one.stop(1000);
  const two = settler();
  two.start();
  await turns();
  assert.equal(redeemer.sent.size, 1, "the same key");
  await earn(2n, 300n);
  redeemer.gate = new Promise(() => {});
  const stopping = two.stop(1000);
  await turns();
  clock.advance(1000);
  await stopping;
});

Deno.test("settling by hand redeems everything, tells how much, and why it failed", async () => {
  const { redeemer, settler, earn, store } = world();
  const channelId = await earn(1n, 5n);
  await earn(2n, 7n);
  const settling = settler().settle();
  await turns();
  await redeemer.mine();
  assert.deepEqual(await settling, { channels: 2, amount: 12n });
  assert.equal((await store.channel(channelId))?.settled, 5n);
  assert.deepEqual(await settler().settle(), { channels: 0, amount: 0n });
  await earn(3n, 9n);
  const failing = settler().settle();
  failing.catch(() => {});
  await turns();
  await redeemer.revert();
  await assert.rejects(failing, code("transaction_failed"));
});
