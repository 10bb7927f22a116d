import assert from "node:assert/strict";
import fc from "fast-check";
import type { ErrorCode } from "../errors.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { Observations, type ObservationsOptions } from "./observations.ts";

function observing(options: ObservationsOptions = {}) {
  const clock = new ManualClock();
  const observations = new Observations(options, { clock });
  return {
    clock,
    observations,
    fail: (code: ErrorCode = "stream_broken", retryAfterMs?: number) => {
      const error = { code, message: "test", ...(retryAfterMs !== undefined && { retryAfterMs }) };
      observations.started("p", "m").failed(error);
    },
    succeed: () => observations.started("p", "m").succeeded(1),
    of: () => observations.of("p", "m"),
    /** How long the executor sits out, from now. */
    sitsOut: () => Math.max(0, observations.of("p", "m").satOutUntil - clock.now()),
  };
}

Deno.test("a stranger is reliable, idle and unmeasured", () => {
  assert.deepEqual(observing().of(), { reliability: 1, inFlight: 0, satOutUntil: 0 });
});

Deno.test("speed is averaged per model", () => {
  const { clock, observations, of } = observing({ alpha: 0.5 });
  const answer = (firstMs: number, restMs: number, tokens: number) => {
    const attempt = observations.started("p", "m");
    clock.advance(firstMs);
    attempt.firstToken();
    clock.advance(restMs);
    attempt.firstToken(); // only the first one counts
    attempt.succeeded(tokens);
  };
  answer(100, 90, 10);
  assert.equal(of().timeToFirstTokenMs, 100);
  assert.equal(of().msPerToken, 10);
  answer(200, 20, 2);
  assert.equal(of().timeToFirstTokenMs, 150);
  assert.equal(of().msPerToken, 15);
  assert.equal(observations.of("p", "other").timeToFirstTokenMs, undefined);
});

Deno.test("an answer of one token, or none, says nothing of the speed between tokens", () => {
  const { observations, of } = observing();
  for (const tokens of [0, 1]) {
    const attempt = observations.started("p", "m");
    attempt.firstToken();
    attempt.succeeded(tokens);
  }
  assert.equal(of().msPerToken, undefined);
});

Deno.test("requests in flight are counted, and each ends once", () => {
  const { observations, of } = observing();
  const [a, b] = [observations.started("p", "m"), observations.started("p", "x")];
  assert.equal(of().inFlight, 2);
  a.succeeded(1);
  a.failed({ code: "stream_broken", message: "late" });
  assert.equal(of().inFlight, 1);
  assert.equal(of().reliability, 1);
  b.failed({ code: "aborted", message: "by the client" });
  b.succeeded(1);
  assert.equal(of().inFlight, 0);
});

Deno.test("three failures in a row make an executor sit out, each further one twice as long", () => {
  const { clock, fail, sitsOut } = observing();
  fail();
  fail();
  assert.equal(sitsOut(), 0);
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    fail();
    times.push(sitsOut());
    clock.advance(sitsOut());
    assert.equal(sitsOut(), 0);
  }
  assert.deepEqual(
    times.map((ms) => ms / 1000),
    [5, 10, 20, 40, 80, 160, 300, 300, 300],
  );
});

Deno.test("a success ends the row and the growth", () => {
  const { clock, fail, succeed, sitsOut } = observing();
  fail();
  fail();
  succeed();
  fail();
  fail();
  assert.equal(sitsOut(), 0);
  fail();
  assert.equal(sitsOut(), 5000);
  clock.advance(5001);
  fail();
  assert.equal(sitsOut(), 10_000);
  succeed();
  assert.equal(sitsOut(), 0);
  for (let i = 0; i < 3; i++) fail();
  assert.equal(sitsOut(), 5000);
});

Deno.test("after sitting out, one request probes an executor, and the others wait for its end", () => {
  const { clock, observations, fail, sitsOut } = observing();
  for (let i = 0; i < 3; i++) fail();
  clock.advance(5000);
  assert.equal(sitsOut(), 0);

  const aborted = observations.started("p", "m");
  assert.equal(sitsOut(), 5000);
  const other = observations.started("p", "m");
  aborted.failed({ code: "aborted", message: "by the client" });
  assert.equal(sitsOut(), 0, "nothing was learned: the next one probes");
  other.failed({ code: "aborted", message: "by the client" });

  const failed = observations.started("p", "m");
  failed.failed({ code: "stream_broken", message: "cut" });
  assert.equal(sitsOut(), 10_000);
  clock.advance(10_000);

  const busy = observations.started("p", "m");
  busy.failed({ code: "overloaded", message: "busy", retryAfterMs: 700 });
  assert.equal(sitsOut(), 700);
  clock.advance(700);

  const slow = observations.started("p", "m");
  clock.advance(10_000);
  assert.equal(sitsOut(), 0, "a probe that takes too long is no reason to wait");
  const probe = observations.started("p", "m");
  assert.equal(sitsOut(), 10_000);
  probe.succeeded(1);
  assert.equal(sitsOut(), 0);
  observations.started("p", "m");
  assert.equal(sitsOut(), 0, "it is trusted again");
  slow.succeeded(1);
});

Deno.test("an executor that was outrun takes at least as long as it was waited for", () => {
  const { clock, observations, of } = observing({ alpha: 0.5 });
  const outrun = (ms: number) => {
    const attempt = observations.started("p", "m");
    clock.advance(ms);
    attempt.outrun();
  };
  outrun(100);
  assert.equal(of().timeToFirstTokenMs, 100);
  outrun(300);
  assert.equal(of().timeToFirstTokenMs, 200);
  outrun(50);
  assert.equal(of().timeToFirstTokenMs, 200, "that it takes 50 ms or more is no news");
  assert.deepEqual([of().inFlight, of().reliability], [0, 1]);
});

Deno.test("many requests cut by one breakdown count once", () => {
  const { clock, observations, sitsOut } = observing();
  const attempts = Array.from({ length: 50 }, () => observations.started("p", "m"));
  clock.advance(10);
  for (const attempt of attempts) attempt.failed({ code: "stream_broken", message: "cut" });
  assert.equal(sitsOut(), 5000);
});

Deno.test("what is not the executor's fault leaves no mark", () => {
  const codes = [
    "aborted",
    "request_invalid",
    "context_length_exceeded",
    "price_too_low",
    "budget_exceeded",
    "insufficient_funds",
    "transaction_failed",
  ] as const;
  const { fail, of } = observing();
  for (const code of codes) for (let i = 0; i < 10; i++) fail(code);
  assert.deepEqual(of(), { reliability: 1, inFlight: 0, satOutUntil: 0 });
});

Deno.test("a busy executor sits out as long as it asks for, within reason, and stays reliable", () => {
  const { clock, fail, of, sitsOut } = observing();
  fail("overloaded", 700);
  assert.equal(sitsOut(), 700);
  clock.advance(700);
  fail("rate_limited");
  assert.equal(sitsOut(), 1000);
  fail("overloaded", 1e9);
  assert.equal(sitsOut(), 300_000);
  assert.equal(of().reliability, 1);
});

Deno.test("an executor that cheats sits out for the longest time at once", () => {
  for (const code of ["receipt_invalid", "overcharged"] as const) {
    const { fail, of, sitsOut } = observing();
    fail(code);
    assert.equal(sitsOut(), 300_000);
    assert(of().reliability < 1);
  }
});

Deno.test("the number of executors remembered is bounded, those in use are kept", () => {
  const { observations } = observing({ maxExecutors: 3, failureThreshold: 1 });
  const busy = observations.started("busy", "m");
  for (let i = 0; i < 10; i++) {
    observations.started(`p${i}`, "m").failed({ code: "stream_broken", message: "cut" });
  }
  assert.equal(observations.of("busy", "m").inFlight, 1);
  const remembered = Array.from({ length: 10 }, (_, i) => i)
    .filter((i) => observations.of(`p${i}`, "m").reliability < 1);
  assert.deepEqual(remembered, [8, 9]);
  busy.succeeded(1);
});

Deno.test("whatever happens, what is observed stays in its bounds", () => {
  const event = fc.oneof(
    fc.record({ type: fc.constant("start" as const) }),
    fc.record({ type: fc.constant("first" as const), of: fc.nat(5) }),
    fc.record({ type: fc.constant("succeed" as const), of: fc.nat(5), tokens: fc.nat(100) }),
    fc.record({
      type: fc.constant("fail" as const),
      of: fc.nat(5),
      code: fc.constantFrom<ErrorCode>("timeout", "aborted", "overloaded", "receipt_invalid"),
    }),
    fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: -100, max: 10_000 }) }),
  );
  fc.assert(fc.property(fc.array(event, { maxLength: 100 }), (events) => {
    const { clock, observations, of, sitsOut } = observing();
    const attempts = [observations.started("p", "m")];
    const ended = new Set<number>();
    for (const e of events) {
      if (e.type === "start") attempts.push(observations.started("p", "m"));
      else if (e.type === "wait") clock.advance(e.ms);
      else {
        const at = e.of % attempts.length;
        if (e.type === "first") attempts[at]!.firstToken();
        else {
          ended.add(at);
          if (e.type === "succeed") attempts[at]!.succeeded(e.tokens);
          else attempts[at]!.failed({ code: e.code, message: "" });
        }
      }
      const seen = of();
      assert.equal(seen.inFlight, attempts.length - ended.size);
      assert(seen.reliability >= 0 && seen.reliability <= 1);
      assert((seen.timeToFirstTokenMs ?? 0) >= 0 && (seen.msPerToken ?? 0) >= 0);
      assert(sitsOut() <= 301_000);
    }
  }));
});
