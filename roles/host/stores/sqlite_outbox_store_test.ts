import type { OutboxRecord } from "@lloom/core/payments/chain";
import type { Hex } from "@lloom/core/bytes";
import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { SqliteOutboxStore } from "./sqlite_outbox_store.ts";

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((value): Hex => `0x${value.toHex()}`);
const PLAIN = { noNullPrototype: true } as const;
const amount = fc.bigInt(0n, (1n << 256n) - 1n);
const record: fc.Arbitrary<OutboxRecord> = fc.record({
  key: fc.constantFrom("a", "b", "c", "d"),
  to: bytes(20, 20),
  data: bytes(0, 100),
  value: amount,
  revision: fc.nat(),
  sinceMs: fc.nat(),
  state: fc.constantFrom("waiting", "pending", "confirmed", "failed"),
  attempts: fc.array(
    fc.record({
      hash: bytes(32, 32),
      raw: bytes(0, 200),
      maxFeePerGas: amount,
      maxPriorityFeePerGas: amount,
    }, PLAIN),
    { maxLength: 3 },
  ),
  nonce: fc.nat(),
  gas: amount,
  mined: fc.record({ transactionHash: bytes(32, 32), blockNumber: amount }, PLAIN),
  failure: fc.record({
    code: fc.constantFrom("transaction_failed", "insufficient_funds"),
    message: fc.string({ unit: "grapheme" }),
  }, PLAIN),
}, {
  ...PLAIN,
  requiredKeys: ["key", "to", "data", "value", "revision", "sinceMs", "state", "attempts"],
});

async function inDirectory(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(join(folder, "outbox.db"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("records come back after a restart, all fields of them, in the order of their submission", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.array(record, { maxLength: 4 }), fc.subarray(["a", "b"])), {
        maxLength: 5,
      }),
      (writes) =>
        inDirectory(async (path) => {
          const expected = new Map<string, OutboxRecord>();
          const store = new SqliteOutboxStore(path);
          for (const [records, forgotten] of writes) {
            await store.write(records, forgotten);
            for (const each of records) expected.set(each.key, each);
            for (const key of forgotten) expected.delete(key);
          }
          store.close();
          const again = new SqliteOutboxStore(path);
          assert.deepEqual(await again.load(), [...expected.values()]);
          again.close();
        }),
    ),
    { numRuns: 20 },
  ));

Deno.test("an outbox is for one process, and what cannot be written is refused whole", () =>
  inDirectory(async (path) => {
    const store = new SqliteOutboxStore(path);
    assert.throws(() => new SqliteOutboxStore(path), { code: "in_use" });
    const [one, two] = fc.sample(record, { numRuns: 2, seed: 1 });
    const wrong = { ...two!, key: "z", to: "no address" as Hex };
    await assert.rejects(store.write([{ ...one!, key: "y" }, wrong], []), TypeError);
    assert.deepEqual(await store.load(), []);
    store.close();
    await assert.rejects(store.write([one!], []));
  }));
