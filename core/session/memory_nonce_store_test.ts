import assert from "node:assert/strict";
import { testNonceStore } from "../../tests/support/nonce_store_compliance.ts";
import { MemoryNonceStore } from "./memory_nonce_store.ts";

testNonceStore(
  "MemoryNonceStore",
  ({ now, ...options }) => new MemoryNonceStore(options, { clock: { now } }),
);

Deno.test("what has expired takes no memory", async () => {
  let now = 0;
  const store = new MemoryNonceStore({}, { clock: { now: () => now } });
  for (let nonce = 0n; nonce < 1000n; nonce++) await store.use("0xaa", nonce, Number(nonce));
  assert.equal(store.size, 1000);
  now = 2_000_000;
  store.prune();
  assert.equal(store.size, 0);
});
