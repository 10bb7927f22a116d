import assert from "node:assert/strict";
import fc from "fast-check";
import { Sampler, type SamplerOptions } from "./sampler.ts";

/** Logits whose softmax is these probabilities. */
const logitsOf = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);

function draw(options: SamplerOptions, logits: Float32Array, times: number): number[] {
  const sampler = new Sampler(options);
  return Array.from({ length: times }, () => sampler.next(logits));
}

// Whole numbers, for two that differ by less may well be equally likely.
const logits = fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 1, maxLength: 50 })
  .map((values) => Float32Array.from(values));

Deno.test("temperature 0, top-p 0 and a lone token all take the likeliest", () => {
  fc.assert(fc.property(logits, fc.integer(), (logits, seed) => {
    const [greedy] = draw({}, logits, 1);
    assert.equal(logits[greedy!], Math.max(...logits));
    assert.equal(draw({ temperature: 1, topP: 0, seed }, logits, 1)[0], greedy);
    assert.deepEqual(draw({ temperature: 1, seed }, logits.subarray(0, 1), 1), [0]);
  }));
});

Deno.test("one seed gives one answer, and any part of the seed another", () => {
  const flat = new Float32Array(1000);
  const seeds = [0, 1, -1, 7, 2 ** 32, 2 ** 32 + 7, -(2 ** 52), Number.MAX_SAFE_INTEGER];
  const answers = seeds.map((seed) => draw({ temperature: 1, seed }, flat, 20).join());
  assert.deepEqual(seeds.map((seed) => draw({ temperature: 1, seed }, flat, 20).join()), answers);
  assert.equal(new Set(answers).size, seeds.length);
});

Deno.test("without a seed, answers differ", () => {
  const flat = new Float32Array(1000);
  assert.notDeepEqual(draw({ temperature: 1 }, flat, 20), draw({ temperature: 1 }, flat, 20));
});

Deno.test("tokens come as often as they are likely, at any temperature", () => {
  const probabilities = [0.1, 0.6, 0.05, 0.25];
  for (const temperature of [0.5, 1, 2]) {
    const counts = [0, 0, 0, 0];
    for (const id of draw({ temperature, seed: 1 }, logitsOf(...probabilities), 40_000)) {
      counts[id]!++;
    }
    const powers = probabilities.map((p) => p ** (1 / temperature));
    const total = powers.reduce((a, b) => a + b);
    powers.forEach((power, i) => {
      // 40,000 draws: the standard deviation is at most 0.0025.
      assert.ok(
        Math.abs(counts[i]! / 40_000 - power / total) < 0.0125,
        `${temperature}: ${counts}`,
      );
    });
  }
});

Deno.test("top-p draws from exactly the smallest set that reaches it", () => {
  const plain = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(plain, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (weights, topP) => {
      const total = weights.reduce((a, b) => a + b);
      const order = weights.map((_, i) => i).sort((a, b) => weights[b]! - weights[a]! || a - b);
      const nucleus = new Set<number>();
      let sum = 0;
      for (const i of order) {
        if (sum >= topP * total) break;
        nucleus.add(i);
        sum += weights[i]!;
      }
      fc.pre(Math.abs(sum - topP * total) > 1e-3); // or f32 decides
      for (const id of draw({ temperature: 1, topP, seed: 1 }, logitsOf(...weights), 50)) {
        assert.ok(nucleus.has(id));
      }
    }),
  );
});

Deno.test("broken logits still give a token", () => {
  const broken = new Float32Array(5).fill(NaN);
  assert.deepEqual(draw({ temperature: 1, topP: 0.9 }, broken, 1), [0]);
  assert.deepEqual(draw({}, broken, 1), [0]);
});
