import assert from "node:assert/strict";
import { MAX_DELTA_BYTES } from "@lloom/core/protocol";
import fc from "fast-check";
import { createKeccak } from "hash-wasm";
import { setImmediate } from "node:timers/promises";
import { AnswerLines } from "./answer_lines.ts";
import { Pace, PACE_MS } from "./pace.ts";
import { keccakOf } from "./testing/jobs.ts";

const trailer = new TextEncoder().encode("{}\n");

Deno.test("any lines at any pace give the same bytes, in whole lines, and their hash", async () => {
  // Long ones too: they meet the buffer's end at every place.
  const line = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.integer({ min: 1, max: 2 * MAX_DELTA_BYTES }).map((length) => "é".repeat(length)),
  );
  const steps = fc.array(fc.tuple(line, fc.boolean()), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const batches: Uint8Array[] = [];
      const lines = new AnswerLines(
        (await createKeccak(256)).init(),
        new Pace(),
        (b) => batches.push(b),
      );
      for (const [text, tick] of steps) {
        lines.add({ choices: [{ text }] });
        if (tick) await setImmediate();
      }
      const hash = lines.end(trailer);
      const expected = steps.map(([text]) => JSON.stringify({ choices: [{ text }] }) + "\n");
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.equal(batches.map(decode).join(""), expected.join(""));
      for (const batch of batches) {
        assert.ok(batch.at(-1) === 0x0a);
        const isOneLine = batch.indexOf(0x0a) === batch.length - 1;
        assert.ok(batch.length <= MAX_DELTA_BYTES || isOneLine);
      }
      assert.equal(hash, keccakOf([...batches, trailer]));
    }),
    { numRuns: 40 },
  );
});

Deno.test("lines that follow a batch closely leave by themselves, joined, and no sooner than the pace", async () => {
  const deliveredAt: number[] = [];
  let lines = 0;
  const all = Promise.withResolvers<void>();
  const answer = new AnswerLines((await createKeccak(256)).init(), new Pace(), (batch) => {
    deliveredAt.push(performance.now());
    lines += batch.filter((byte) => byte === 0x0a).length;
    if (lines === 10) all.resolve();
  });
  for (let line = 0; line < 10; line++) {
    answer.add({ choices: [{ text: "a" }] });
    await setImmediate();
    if (line === 0) assert.equal(deliveredAt.length, 1);
  }
  await all.promise;
  // Timers may be early by less than one millisecond.
  for (const [i, at] of deliveredAt.entries()) {
    if (i > 0) assert.ok(at - deliveredAt[i - 1]! >= PACE_MS - 1);
  }
});
