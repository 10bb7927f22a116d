import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { QueryRates } from "./query_rates.ts";

Deno.test("a bucket gives its burst, then its rate, and never more than its burst again", () => {
  const clock = new ManualClock();
  const rates = new QueryRates({ burst: 5, perSecond: 2 }, { clock });
  const refused = (retryAfterMs: number) => ({ code: "rate_limited", retryAfterMs });
  for (let i = 0; i < 5; i++) rates.take("p", 1);
  assert.throws(() => rates.take("p", 1), refused(500));
  assert.throws(() => rates.take("p", 3), refused(1500));
  rates.take("q", 5);
  clock.advance(499);
  assert.throws(() => rates.take("p", 1), refused(1));
  clock.advance(1);
  rates.take("p", 1);
  clock.advance(3_600_000);
  rates.take("p", 5);
  assert.throws(() => rates.take("p", 1), refused(500));
});

Deno.test("peers that asked long ago are forgotten", () => {
  const clock = new ManualClock();
  const rates = new QueryRates({ burst: 5, perSecond: 2 }, { clock });
  for (let i = 0; i < 100_000; i++) {
    rates.take(`p${i}`, 1);
    clock.advance(1);
  }
  assert.ok(rates.size < 2000);
});
