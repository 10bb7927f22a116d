import type { Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { ChannelView } from "@lloom/core/payments";
import { noblePrimitives } from "@lloom/core/signing";
import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { termsOf } from "../../tests/support/money.ts";
import { createMemorySellerStore } from "./books/mod.ts";
import type { ChainReader, ChannelEvent } from "./chain/ports.ts";
import { ChannelWatch } from "./channel_watch.ts";
import { newSellerChannel } from "./seller.ts";
import type { SellerStore } from "./stores.ts";

const CHANNEL: Hash = `0x${"c1".repeat(32)}`;
const OPEN: ChannelView = { deposit: 100n, settled: 0n, status: "open", closesAt: 0 };

function eventAt(blockNumber: bigint): ChannelEvent {
  return {
    channelId: CHANNEL,
    change: { type: "close_requested", closesAt: 1 },
    blockNumber,
    blockHash: CHANNEL,
    logIndex: 0,
    transactionHash: CHANNEL,
    removed: false,
  };
}

type Follow = Parameters<ChainReader["watch"]>[1];

/**
 * Watches a channel that is closed on the chain.
 * @param heads what the chain says it is high, at each start
 * @param rounds what happens at each start of the watch; after the last one it ends
 */
async function watched(
  heads: readonly bigint[],
  rounds: readonly ((follow: Follow, watch: ChannelWatch, clock: ManualClock) => Promise<void>)[],
  troubled: (store: SellerStore) => SellerStore = (store) => store,
): Promise<{ readonly from: readonly bigint[]; readonly store: SellerStore }> {
  const store = createMemorySellerStore(noblePrimitives.keccak256);
  await store.addChannel(newSellerChannel(CHANNEL, termsOf(1n), OPEN));
  const clock = new ManualClock();
  const stop = new AbortController();
  const from: bigint[] = [];
  const chain: Pick<ChainReader, "confirmations" | "head" | "channel" | "watch"> = {
    confirmations: 1,
    head: () => Promise.resolve({ number: heads[from.length]!, timestamp: 0 }),
    channel: () => Promise.resolve({ ...OPEN, status: "closed" }),
    async watch(block, follow) {
      from.push(block);
      clock.advance(1000);
      await rounds[from.length - 1]!(follow, watch, clock);
      stop.abort();
    },
  };
  const watch = new ChannelWatch(10, { store: troubled(store), chain, clock });
  const running = watch.run(() => watch.read(), stop.signal);
  while (!stop.signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve));
    clock.advance(10);
  }
  await running;
  return { from, store };
}

Deno.test("an event that could not be noted comes again", async () => {
  let failures = 1;
  const { from, store } = await watched(
    [10n, 20n],
    [(follow) => follow([], 11n).then(() => follow([eventAt(12n)], 12n)), async (follow, watch) => {
      assert.equal(watch.watchedMs(0), 0);
      await follow([eventAt(12n)], 20n);
    }],
    (store) => ({
      ...store,
      channel: (id) =>
        failures-- > 0 ? Promise.reject(new LloomError("overloaded", "busy")) : store.channel(id),
    }),
  );
  assert.deepEqual(from, [10n, 12n]);
  assert.equal((await store.channel(CHANNEL))?.status, "closed");
});

Deno.test("after a newest block that was none, the watch begins anew, and what was read before counts no more", async () => {
  let viewedMs = 0;
  const { from } = await watched([10n, 15n], [
    async (follow, watch, clock) => {
      viewedMs = clock.now();
      await follow([], 2n ** 40n);
      assert.equal(watch.watchedMs(viewedMs), clock.now());
      throw new LloomError("chain_unavailable", "the chain ends before");
    },
    async (follow, watch, clock) => {
      await follow([], 15n);
      assert.equal(watch.watchedMs(viewedMs), 0);
      assert.equal(watch.watchedMs(clock.now()), clock.now());
    },
  ]);
  assert.deepEqual(from, [10n, 15n]);
});
