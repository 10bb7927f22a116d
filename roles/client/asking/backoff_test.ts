/** Rounds over executors that fail for reasons that pass. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "@lloom/core/errors";
import type { Candidate } from "@lloom/core/routing";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { ScriptedExecutors } from "../../../tests/support/scripted_executors.ts";
import { Backoff, pause } from "./backoff.ts";

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const RETRY = { maxAttempts: 3, initialDelayMs: 1000, maxDelayMs: 1500, base: 2 };
const END = { tokens: 1, promptTokens: 5 };

const candidate = (peerId: string) => ({ announcement: { peerId } }) as Candidate;
const busy = (retryAfterMs?: number) =>
  new LloomError("overloaded", "test", retryAfterMs === undefined ? {} : { retryAfterMs });

Deno.test("all are asked again after a while, ever longer, until the rounds are over", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const drained = executors.complete(CHAT, { retry: RETRY }).drain();
  const outcome = assert.rejects(drained, { code: "backend_failed" });
  const failAll = async () => {
    (await executors.next()).fail("stream_broken");
    (await executors.next()).fail("backend_failed");
  };
  await failAll();
  // Half of what it may be: that is what the test's random number says.
  for (const ms of [500, 750]) {
    await executors.pausing();
    const asked = executors.names.length;
    executors.clock.advance(ms - 1);
    assert.equal(executors.names.length, asked);
    executors.clock.advance(1);
    await failAll();
  }
  await outcome;
  assert.deepEqual(executors.names, ["a", "b", "a", "b", "a", "b"]);
  assert.equal(executors.choices, 3, "whom to ask is chosen anew for each round");
});

Deno.test("an executor is not asked again before it wants to be, nor one that never can", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const drained = executors.complete(CHAT, { retry: RETRY }).drain();
  (await executors.next()).fail("overloaded", undefined, 60_000);
  (await executors.next()).fail("feature_unsupported");
  (await executors.next()).fail("rate_limited", undefined, 5000);
  await executors.pausing();
  executors.clock.advance(4999);
  assert.equal(executors.names.length, 3);
  executors.clock.advance(1);
  (await executors.next()).end(END);
  await drained;
  assert.deepEqual(executors.names, ["a", "b", "c", "c"]);
});

Deno.test("nobody is waited for who wants to be asked after the time is up", async () => {
  const executors = new ScriptedExecutors("a");
  const drained = executors.complete(CHAT, { retry: RETRY, timeoutMs: 4000 }).drain();
  (await executors.next()).fail("overloaded", undefined, 4000);
  await assert.rejects(drained, { code: "overloaded", retryAfterMs: 4000 });
  assert.equal(executors.clock.armed, 0);
});

Deno.test("where all failed for good, nobody is asked again", async () => {
  const executors = new ScriptedExecutors("a");
  const drained = executors.complete(CHAT, { retry: RETRY }).drain();
  (await executors.next()).fail("budget_exceeded");
  await assert.rejects(drained, { code: "budget_exceeded" });
});

Deno.test("a caller that cancels while nobody is asked is heard at once", async () => {
  const executors = new ScriptedExecutors("a");
  const caller = new AbortController();
  const completion = executors.complete(CHAT, { retry: RETRY, signal: caller.signal });
  const drained = completion.drain();
  (await executors.next()).fail("overloaded");
  await executors.pausing();
  caller.abort();
  await assert.rejects(drained, { code: "aborted" });
  assert.equal(executors.clock.armed, 0);
  await assert.rejects(pause(5, executors.clock, caller.signal), { code: "aborted" });
});

Deno.test("waits are random, within their limit, and never shorter than an executor asks for", () => {
  fc.assert(fc.property(
    fc.record({
      maxAttempts: fc.integer({ min: 1, max: 8 }),
      initialDelayMs: fc.integer({ min: 1, max: 1000 }),
      maxDelayMs: fc.integer({ min: 1, max: 5000 }),
      base: fc.double({ min: 1, max: 10, noNaN: true }),
    }),
    fc.array(fc.option(fc.nat(5000), { nil: undefined }), { minLength: 1, maxLength: 4 }),
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    (options, retryAfter, random) => {
      const clock = new ManualClock();
      const backoff = new Backoff(options, clock, () => random);
      const all = retryAfter.map((_, i) => candidate(`p${i}`));
      for (let round = 1;; round++) {
        retryAfter.forEach((ms, i) => backoff.failed(all[i]!, busy(ms)));
        const wait = backoff.nextRound();
        assert.equal(wait === undefined, round >= options.maxAttempts);
        if (wait === undefined) return;
        const wanted = Math.min(...retryAfter.map((ms) => ms ?? 0));
        const limit = Math.min(
          options.maxDelayMs,
          options.initialDelayMs * options.base ** (round - 1),
        );
        assert.ok(wait >= wanted && wait <= Math.max(wanted, Math.ceil(limit)));
        clock.advance(wait);
        assert.ok(all.some((one) => backoff.mayAsk(one)), "somebody can be asked after it");
      }
    },
  ));
});
