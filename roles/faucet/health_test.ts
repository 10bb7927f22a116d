import assert from "node:assert/strict";
import { HealthCheck } from "./health.ts";

Deno.test("each part is looked at once in ten seconds, whoever asks; a failure counts as no", async () => {
  const clock = { ms: 0, now: () => clock.ms };
  let looks = 0;
  const health = new HealthCheck({
    chain: () => Promise.reject(new Error("down")),
    mail: () => Promise.resolve(++looks > 0),
    balance: () => Promise.resolve(false),
  }, { clock });
  const found = { chain: false, mail: true, balance: false };
  const all = await Promise.all(Array.from({ length: 50 }, () => health.check()));
  for (const each of all) assert.deepEqual(each, found);
  clock.ms = 9_999;
  await health.check();
  assert.equal(looks, 1);
  clock.ms = 10_000;
  await health.check();
  assert.equal(looks, 2);
});
