import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { SqliteResponseCache } from "./sqlite_response_cache.ts";

const TTL_MS = 1000;

/** A cache in a folder of its own, at a time that the test sets. */
class Bench implements Disposable {
  readonly #dir = Deno.makeTempDirSync();
  nowMs = 1_800_000_000_000;
  cache: SqliteResponseCache;

  constructor(readonly maxBytes: number) {
    this.cache = this.#open();
  }

  reopen(maxBytes = this.maxBytes): void {
    this.cache.close();
    this.cache = this.#open(maxBytes);
  }

  #open(maxBytes = this.maxBytes): SqliteResponseCache {
    const options = { path: join(this.#dir, "sub", "cache.db"), maxBytes, ttlMs: TTL_MS };
    return new SqliteResponseCache(options, { clock: { now: () => this.nowMs } });
  }

  [Symbol.dispose](): void {
    this.cache.close();
    Deno.removeSync(this.#dir, { recursive: true });
  }
}

const key = (n: number) => Uint8Array.of(n);
const value = (n: number, length: number) => new Uint8Array(length).fill(n);

Deno.test("a value is there again after a restart, until it is too old", () => {
  using bench = new Bench(10_000);
  bench.cache.put(key(1), value(7, 3));
  bench.nowMs += TTL_MS - 1;
  bench.reopen();
  assert.deepEqual(bench.cache.get(key(1)), value(7, 3));
  assert.equal(bench.cache.get(key(2)), undefined);
  bench.nowMs++;
  assert.equal(bench.cache.get(key(1)), undefined);
});

Deno.test("what is too large for the whole cache is not kept, and costs nobody a place", () => {
  using bench = new Bench(1000);
  bench.cache.put(key(1), value(1, 100));
  bench.cache.put(key(2), value(2, 1000));
  assert.equal(bench.cache.get(key(2)), undefined);
  assert.deepEqual(bench.cache.get(key(1)), value(1, 100));
});

Deno.test("a cache that was made smaller drops its oldest values with the next", () => {
  using bench = new Bench(10_000);
  for (let n = 0; n < 5; n++) bench.cache.put(key(n), value(n, 1000));
  bench.reopen(2500);
  bench.cache.put(key(9), value(9, 1000));
  const kept = [0, 1, 2, 3, 4, 9].filter((n) => bench.cache.get(key(n)) !== undefined);
  assert.deepEqual(kept, [4, 9]);
});

Deno.test("for any sequence of uses it agrees with a list, and keeps to its bounds", () => {
  const maxBytes = 2000;
  const step = fc.record({
    key: fc.nat(5),
    length: fc.nat(2200),
    pause: fc.nat(TTL_MS / 2),
    reopen: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      using bench = new Bench(maxBytes);
      let model: { key: number; length: number; at: number }[] = [];
      const bytes = () => model.reduce((sum, { length }) => sum + length + 128, 0);
      for (const { key: n, length, pause, reopen } of steps) {
        bench.nowMs += pause;
        if (reopen) bench.reopen();
        bench.cache.put(key(n), value(n, length));
        model = model.filter(({ at }) => at > bench.nowMs - TTL_MS);
        if (length + 128 <= maxBytes) {
          model = model.filter((entry) => entry.key !== n);
          while (bytes() + length + 128 > maxBytes) model.shift();
          model.push({ key: n, length, at: bench.nowMs });
        }
        for (let other = 0; other <= 5; other++) {
          const kept = model.find((entry) => entry.key === other);
          assert.equal(bench.cache.get(key(other))?.length, kept?.length);
        }
      }
    }),
    { numRuns: 20 },
  );
});
