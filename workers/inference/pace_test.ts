import assert from "node:assert/strict";
import fc from "fast-check";
import { Pace, PACE_MS } from "./pace.ts";

function paceOf(answers: number): Pace {
  const pace = new Pace();
  for (let i = 0; i < answers; i++) pace.begin();
  return pace;
}

Deno.test("few answers wait for no more than the least time between two batches", () => {
  const pace = paceOf(20);
  assert.equal(pace.waitMs(1000, -Infinity), -Infinity);
  assert.equal(pace.waitMs(1000, 1000 - PACE_MS), 0);
  assert.equal(pace.waitMs(1000, 999), PACE_MS - 1);
});

Deno.test("a thousand answers send five times in two seconds each, at common times; those that end give room", () => {
  const pace = paceOf(1000);
  assert.ok(pace.waitMs(1000, -Infinity) <= 0, "a first batch waits for nothing");
  assert.equal(pace.waitMs(1001, 1000), 399);
  assert.equal(pace.waitMs(1001, 993), 399, "rounded up to the same time");
  assert.equal(pace.waitMs(1000, 600), 0);
  for (let i = 0; i < 980; i++) pace.end();
  assert.equal(pace.waitMs(1000, 999), PACE_MS - 1);
});

Deno.test("no batch waits longer than its share of all batches asks for, and one common step", () => {
  const time = fc.double({ min: 0, max: 1e7, noNaN: true });
  fc.assert(fc.property(fc.integer({ min: 1, max: 4096 }), time, time, (answers, now, since) => {
    const wait = paceOf(answers).waitMs(now, now - since);
    assert.ok(wait <= Math.max(PACE_MS, answers / 2.5) + PACE_MS);
  }));
});
