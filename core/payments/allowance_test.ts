/** What attempts at one answer may cost together, one after the other or at once. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Allowance } from "./allowance.ts";
import { toCost } from "./amounts.ts";

Deno.test("what attempts came to, and what those under way can cost, never exceeds an allowance", () => {
  const attempt = fc.record({
    maxCost: fc.bigInt({ min: 0n, max: 40n }),
    share: fc.bigInt({ min: 0n, max: 4n }),
    endsAt: fc.nat(10),
  });
  fc.assert(fc.property(fc.array(attempt), (attempts) => {
    const limit = toCost(1n) / 10_000n;
    const allowance = new Allowance(1n);
    allowance.reserve(toCost(1n) - limit);
    let spent = 0n;
    const open: { maxCost: bigint; end: () => void; at: number }[] = [];
    attempts.forEach(({ maxCost, share, endsAt }, now) => {
      const atStake = spent + open.reduce((sum, one) => sum + one.maxCost, 0n);
      if (atStake + maxCost > limit) {
        assert.throws(() => allowance.reserve(maxCost), { code: "budget_exceeded" });
      } else {
        const settle = allowance.reserve(maxCost);
        const cost = maxCost * share / 4n;
        const end = () => {
          spent += cost;
          settle(cost);
        };
        open.push({ maxCost, end, at: now + endsAt });
      }
      for (const due of open.filter(({ at }) => at <= now)) {
        open.splice(open.indexOf(due), 1);
        due.end();
      }
      assert(spent <= limit);
    });
  }));
});
