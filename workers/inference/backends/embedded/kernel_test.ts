import assert from "node:assert/strict";
import fc from "fast-check";
import { createKernel, LANES } from "./kernel.ts";

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  steps: fc.integer({ min: 1, max: 5 }),
  gap: fc.nat(7),
});

Deno.test("matvec equals the sum written out, and writes nothing else", () => {
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.integer({ min: -99, max: 99 })), (size, numbers) => {
      const { rows, steps, gap } = size;
      const cols = steps * LANES;
      const stride = cols + gap;
      // Small integers, so that sums are exact in any order.
      const floats = 3 + rows + cols + rows * stride;
      const { memory, matvec } = createKernel(floats);
      for (let i = 0; i < floats; i++) memory[i] = numbers.next().value;
      const [y, x] = [1, 2 + rows];
      const w = x + cols;
      const expected = memory.slice();
      for (let r = 0; r < rows; r++) {
        let sum = 0;
        for (let c = 0; c < cols; c++) sum += memory[w + r * stride + c]! * memory[x + c]!;
        expected[y + r] = sum;
      }
      matvec(y, w, x, rows, cols, stride);
      assert.deepEqual(memory, expected);
    }),
  );
});

Deno.test("reaching beyond the memory traps", () => {
  const { memory, matvec } = createKernel(1);
  assert.throws(() => matvec(0, memory.length - 8, 0, 1, LANES, LANES), WebAssembly.RuntimeError);
});
