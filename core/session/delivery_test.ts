import assert from "node:assert/strict";
import fc from "fast-check";
import { costOf } from "../payments/amounts.ts";
import { Delivery } from "./delivery.ts";

const PRICES = { inboundPrice: 1n, outboundPrice: 10n };
const STEP_TOKENS = 8;
const STEP = costOf(PRICES, 0, STEP_TOKENS);
const PREPAY = 7n;
const lines = (bytes: number) => new Uint8Array(bytes);

function delivery(maxTokens = 1 << 20): Delivery {
  return new Delivery({ prices: PRICES, maxTokens, prepay: PREPAY, step: STEP, paid: PREPAY });
}

/** Batches of tokens, and payments of whatever is due, in any order. */
const schedules = fc.array(
  fc.oneof(fc.nat(3 * STEP_TOKENS), fc.constant("pay" as const)),
  { maxLength: 60 },
);

Deno.test("any answer: no more than a step, or one batch, is outstanding, and nothing is lost", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const answer = delivery();
      let said = 0, delivered = 0, largest = 0, due = false;
      const goOn = () => {
        delivered += answer.release().length;
        const limit = costOf(PRICES, 0, Math.max(STEP_TOKENS, largest));
        assert.ok(answer.accrued - answer.paid <= limit);
        due ||= answer.demand() !== undefined;
      };
      for (const step of [...schedule, ...Array(100).fill("pay")]) {
        if (step !== "pay") {
          said++;
          largest = Math.max(largest, step);
          answer.add(lines(1), step);
        } else if (due) {
          due = false;
          answer.pay(answer.accrued);
        }
        goOn();
        // Never at rest with text in hand: it waits for a payment that was asked for.
        if (answer.holding) assert.ok(answer.demanded !== undefined);
      }
      assert.equal(delivered, said);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("text in batches of half a step does not wait while less than half a step is outstanding", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(STEP_TOKENS / 2), { maxLength: 40 }), (batches) => {
      const answer = delivery();
      for (const tokens of batches) {
        const owed = answer.accrued - answer.paid;
        answer.add(lines(1), tokens);
        answer.release();
        if (2n * owed < STEP) assert.ok(!answer.holding);
        answer.demand();
        if (answer.holding) answer.pay(answer.accrued);
        answer.release();
      }
    }),
  );
});

Deno.test("payment is asked for from half a step on, once, for exactly what was delivered", () => {
  const answer = delivery();
  answer.add(lines(30), 3);
  answer.release();
  assert.equal(answer.demand(), undefined);
  answer.add(lines(10), 1);
  answer.release();
  assert.deepEqual(answer.demand(), { outboundTokens: 4, deliveredBytes: 40 });
  assert.equal(answer.demand(), undefined);
  assert.equal(answer.demanded, PREPAY + costOf(PRICES, 0, 4));
});

Deno.test("a batch larger than a step goes alone", () => {
  const answer = delivery();
  answer.add(lines(1), 5 * STEP_TOKENS);
  answer.add(lines(1), 1);
  assert.equal(answer.release().length, 1);
  assert.ok(answer.holding);
});

Deno.test("a small batch that would exceed the step waits, and payment is asked for at once", () => {
  const answer = delivery();
  answer.add(lines(1), 1);
  assert.equal(answer.release().length, 1);
  assert.equal(answer.demand(), undefined);
  answer.add(lines(1), STEP_TOKENS);
  assert.equal(answer.release().length, 0);
  assert.deepEqual(answer.demand(), { outboundTokens: 1, deliveredBytes: 1 });
});

Deno.test("tokens above what the client committed to are delivered and not charged", () => {
  const answer = delivery(2);
  answer.add(lines(1), 100);
  answer.add(lines(1), 100);
  assert.equal(answer.release().length, 2);
  assert.equal(answer.accrued, PREPAY + costOf(PRICES, 0, 2));
});

Deno.test("a free answer is never held and asks for nothing", () => {
  const free = { inboundPrice: 0n, outboundPrice: 0n };
  const answer = new Delivery({ prices: free, maxTokens: 1, prepay: 0n, step: 0n, paid: 0n });
  for (let i = 0; i < 100; i++) {
    answer.add(lines(1), 1000);
    assert.equal(answer.release().length, 1);
    assert.equal(answer.demand(), undefined);
  }
});
