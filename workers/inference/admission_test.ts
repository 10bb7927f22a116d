import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { Admission } from "./admission.ts";

function refusal(run: () => void): LloomError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof LloomError) return thrown;
    throw thrown;
  }
  assert.fail("was admitted");
}

Deno.test("the wait that a refusal names follows how long answers take, within bounds", () => {
  const admission = new Admission({ maxConcurrent: 2 });
  const wait = () => refusal(() => admission.admit(false, 4)).retryAfterMs!;
  for (let i = 0; i < 100; i++) admission.ended(500);
  assert.ok(Math.abs(wait() - 1500) < 10);
  for (let i = 0; i < 100; i++) admission.ended(0);
  assert.equal(wait(), 100);
  for (let i = 0; i < 100; i++) admission.ended(1e9);
  assert.equal(wait(), 60_000);
});

Deno.test("requests per minute are bounded, and the allowance grows back with time", () => {
  let now = 0;
  const admission = new Admission(
    { maxConcurrent: 100, requestsPerMinute: 6 },
    () => now,
  );
  for (let i = 0; i < 6; i++) admission.admit(true, 0);
  const { code, retryAfterMs } = refusal(() => admission.admit(true, 0));
  assert.equal(code, "rate_limited");
  assert.equal(retryAfterMs, 10_000);
  now += 9_999;
  refusal(() => admission.admit(true, 0));
  now += 1;
  admission.admit(true, 0);
  refusal(() => admission.admit(true, 0));
  now += 3_600_000;
  for (let i = 0; i < 6; i++) admission.admit(true, 0);
  refusal(() => admission.admit(true, 0));
});
