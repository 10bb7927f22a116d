import assert from "node:assert/strict";
import {
  buyerChannel,
  channelId,
  keccak256,
  purchase,
} from "../../../tests/support/ledger_fixtures.ts";
import { testBuyerStore, testSellerStore } from "../../../tests/support/ledger_compliance.ts";
import { toCost } from "../amounts.ts";
import { createMemoryBuyerStore, createMemorySellerStore } from "./memory_stores.ts";

const ID = channelId("a");
const close = () => Promise.resolve();
const openBuyer = () => Promise.resolve({ store: createMemoryBuyerStore(keccak256), close });
testBuyerStore("in memory", openBuyer);
testSellerStore(
  "in memory",
  () => Promise.resolve({ store: createMemorySellerStore(keccak256), close }),
  openBuyer,
);

Deno.test("a crash loses what was not synced, and nothing that was answered", async () => {
  const syncs: PromiseWithResolvers<void>[] = [];
  const store = createMemoryBuyerStore(keccak256, () => {
    const sync = Promise.withResolvers<void>();
    syncs.push(sync);
    return sync.promise;
  });
  const added = store.addChannel(buyerChannel("a", 1000n));
  const one = store.reserve(ID, purchase("one", 100n), {});
  const two = store.reserve(ID, purchase("two", 200n), {});
  // What is done later covers what was done before.
  syncs[1]!.resolve();
  await one;
  store.crash();
  for (const sync of syncs) sync.resolve();
  await assert.rejects(two, { code: "worker_crashed" });
  await assert.rejects(added, { code: "worker_crashed" });
  const channels = store.channels();
  syncs.at(-1)!.resolve();
  assert.deepEqual((await channels).map(({ reserved }) => reserved), [toCost(100n)]);
});
