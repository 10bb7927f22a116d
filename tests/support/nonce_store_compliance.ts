/** What every implementation of the `NonceStore` port must do. @module */
import type { Address } from "@lloom/core/bytes";
import type { NonceStore } from "@lloom/core/ports";
import { FEW_LIVE_NONCES, MAX_CLOCK_SKEW_S, SHORT_DEADLINE_S } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import fc from "fast-check";

/**
 * Makes a store that remembers `maxNonces`, of each client `maxNoncesPerClient` unless that is
 * absent, and takes its time from `now` (unix milliseconds).
 */
export type OpenNonceStore = (
  options: {
    readonly maxNonces: number;
    readonly maxNoncesPerClient?: number;
    readonly now: () => number;
  },
) => NonceStore & { close?(): void };

const ALICE: Address = `0x${"a1".repeat(20)}`;
const BOB: Address = `0x${"b0".repeat(20)}`;
const START_S = 1_800_000_000;

/** Registers the tests. */
export function testNonceStore(name: string, open: OpenNonceStore): void {
  /** Opens a store under a clock that the test moves. */
  async function withStore(
    maxNonces: number,
    run: (store: NonceStore, setTime: (unixSeconds: number) => void) => Promise<void>,
    maxNoncesPerClient?: number,
  ): Promise<void> {
    let nowS = START_S;
    const store = open({
      maxNonces,
      now: () => nowS * 1000,
      ...(maxNoncesPerClient !== undefined && { maxNoncesPerClient }),
    });
    try {
      await run(store, (time) => nowS = time);
    } finally {
      store.close?.();
    }
  }

  Deno.test(`${name}: a nonce is used once by each client`, () =>
    withStore(100, async (store) => {
      assert.equal(await store.use(ALICE, 1n, START_S + 60), true);
      assert.equal(await store.use(ALICE, 1n, START_S + 60), false);
      assert.equal(await store.use(ALICE, 1n, START_S + 90), false);
      assert.equal(await store.use(BOB, 1n, START_S + 60), true);
      assert.equal(await store.use(ALICE, 2n, START_S + 60), true);
    }));

  Deno.test(`${name}: of uses at the same time exactly one succeeds`, () =>
    withStore(100, async (store) => {
      const uses = Array.from({ length: 20 }, () => store.use(ALICE, 7n, START_S + 60));
      const won = (await Promise.all(uses)).filter((used) => used);
      assert.equal(won.length, 1);
    }));

  Deno.test(`${name}: all 64 bits of a nonce count`, () =>
    withStore(100, async (store) => {
      const ends = [0n, 1n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];
      for (const nonce of ends) assert.equal(await store.use(ALICE, nonce, START_S), true);
      for (const nonce of ends) assert.equal(await store.use(ALICE, nonce, START_S), false);
      for (const nonce of [-1n, 1n << 64n]) {
        await assert.rejects(store.use(ALICE, nonce, START_S), RangeError);
      }
    }));

  Deno.test(`${name}: a nonce is remembered until its deadline and the clock skew have passed`, () =>
    withStore(100, async (store, setTime) => {
      const deadline = START_S + 60;
      await store.use(ALICE, 1n, deadline);
      setTime(deadline + MAX_CLOCK_SKEW_S);
      assert.equal(await store.use(ALICE, 1n, deadline), false);
      setTime(deadline + MAX_CLOCK_SKEW_S + 1);
      assert.equal(await store.use(ALICE, 1n, deadline + 600), true);
    }));

  Deno.test(`${name}: a full store refuses new nonces, and knows the old ones still`, () =>
    withStore(2, async (store, setTime) => {
      await store.use(ALICE, 1n, START_S + 10);
      await store.use(ALICE, 2n, START_S + 900);
      await assert.rejects(store.use(BOB, 3n, START_S + 900), { code: "overloaded" });
      assert.equal(await store.use(ALICE, 1n, START_S + 10), false);
      setTime(START_S + 10 + MAX_CLOCK_SKEW_S + 1);
      assert.equal(await store.use(BOB, 3n, START_S + 900), true);
    }));

  Deno.test(`${name}: a client that has used its share is refused, and no other`, () =>
    withStore(100, async (store, setTime) => {
      for (const nonce of [1n, 2n, 3n]) await store.use(ALICE, nonce, START_S + 10);
      await assert.rejects(store.use(ALICE, 4n, START_S + 10), { code: "overloaded" });
      assert.equal(await store.use(ALICE, 1n, START_S + 10), false);
      assert.equal(await store.use(BOB, 4n, START_S + 10), true);
      setTime(START_S + 10 + MAX_CLOCK_SKEW_S + 1);
      assert.equal(await store.use(ALICE, 4n, START_S + 900), true);
    }, 3));

  Deno.test(`${name}: half full, it takes of busy clients only what is soon forgotten`, () =>
    withStore(4 * FEW_LIVE_NONCES, async (store) => {
      const [soon, late] = [START_S + SHORT_DEADLINE_S, START_S + SHORT_DEADLINE_S + 1];
      let nonce = 0n;
      for (let i = 0; i < 2 * FEW_LIVE_NONCES; i++) await store.use(ALICE, nonce++, late);
      await assert.rejects(store.use(ALICE, nonce, late), { code: "overloaded" });
      assert.equal(await store.use(ALICE, nonce++, soon), true);
      // Who has asked for little is not made to suffer.
      for (let i = 0; i < FEW_LIVE_NONCES; i++) {
        assert.equal(await store.use(BOB, nonce++, START_S + 900), true);
      }
      await assert.rejects(store.use(BOB, nonce, late), { code: "overloaded" });
    }));

  Deno.test(`${name}: agrees with a plain list for any sequence of uses`, () => {
    const step = fc.record({
      client: fc.constantFrom(ALICE, BOB),
      nonce: fc.bigInt(0n, 5n),
      life: fc.integer({ min: 0, max: 100 }),
      pause: fc.integer({ min: 0, max: 40 }),
    });
    return fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        (steps) =>
          withStore(100, async (store, setTime) => {
            let now = START_S;
            let live: { key: string; deadline: number }[] = [];
            for (const { client, nonce, life, pause } of steps) {
              setTime(now += pause);
              live = live.filter(({ deadline }) => deadline + MAX_CLOCK_SKEW_S >= now);
              const key = `${client}/${nonce}`;
              const fresh = !live.some((entry) => entry.key === key);
              assert.equal(await store.use(client, nonce, now + life), fresh);
              if (fresh) live.push({ key, deadline: now + life });
            }
          }),
      ),
      { numRuns: 30 },
    );
  });
}
