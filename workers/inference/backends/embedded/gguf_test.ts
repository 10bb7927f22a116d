import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "@lloom/core/errors";
import { EmbeddedBackend } from "./embedded_backend.ts";
import { integerOf, numberOf, parseGguf, readTensor, textOf, textsOf } from "./gguf.ts";
import { demoFile } from "./testdata/demo.ts";
import { type Field, type TensorSource, writeGguf, Writer } from "./testdata/gguf_writer.ts";

const malformed = { name: "LloomError", code: "backend_malformed" };
const tensor = (more: Partial<TensorSource> = {}): TensorSource => ({
  name: "t",
  type: 0,
  shape: [2, 3],
  bytes: new Uint8Array(new Float32Array([1, 2, 3, 4, 5, 6.5]).buffer),
  ...more,
});

/** Values of the only tensor in a file. */
function valuesOf(source: TensorSource): number[] {
  const gguf = parseGguf(writeGguf([], [source]));
  const found = gguf.tensors.get(source.name)!;
  const out = new Float32Array(found.elements);
  readTensor(gguf, found, out);
  return [...out];
}

/** Whether an action returns or throws a coded error; other errors come through. */
function returns(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (!(error instanceof LloomError)) throw error;
    assert.equal(error.code, "backend_malformed");
    return false;
  }
}

Deno.test("metadata of every type is read", () => {
  const fields: Field[] = [
    ["u8", 0, (out) => out.number("Uint8", 255)],
    ["i8", 1, (out) => out.number("Int8", -1)],
    ["u16", 2, (out) => out.number("Uint16", 65535)],
    ["i16", 3, (out) => out.number("Int16", -2)],
    ["u32", 4, (out) => out.number("Uint32", 2 ** 32 - 1)],
    ["i32", 5, (out) => out.number("Int32", -3)],
    ["f32", 6, (out) => out.number("Float32", 0.5)],
    ["yes", 7, (out) => out.number("Uint8", 1)],
    ["no", 7, (out) => out.number("Uint8", 0)],
    ["text", 8, (out) => out.text("\ufeffé🙂")],
    ["u64", 10, (out) => out.u64(2n ** 64n - 1n)],
    ["i64", 11, (out) => out.u64(BigInt.asUintN(64, -4n))],
    ["f64", 12, (out) => out.number("Float64", Math.PI)],
    ["texts", 9, (out) => out.number("Uint32", 8).u64(2).text("a").text("b")],
    [
      "nested",
      9,
      (out) =>
        out.number("Uint32", 9).u64(2).number("Uint32", 0).u64(1).number("Uint8", 7)
          .number("Uint32", 8).u64(0),
    ],
  ];
  const { metadata } = parseGguf(writeGguf(fields, []));
  assert.deepEqual([...metadata.values()], [
    ...[255, -1, 65535, -2, 2 ** 32 - 1, -3, 0.5, true, false, "\ufeffé🙂"],
    ...[2n ** 64n - 1n, -4n, Math.PI, ["a", "b"], [[7], []]],
  ]);
  assert.equal(integerOf(metadata, "i64", -4, 0), -4);
  assert.equal(numberOf(metadata, "f32"), 0.5);
  assert.equal(textOf(metadata, "text"), "\ufeffé🙂");
  assert.deepEqual(textsOf(metadata, "texts"), ["a", "b"]);
  assert.throws(() => integerOf(metadata, "u8", 0, 254), malformed);
  assert.throws(() => integerOf(metadata, "f32", 0, 1), malformed);
  assert.throws(() => numberOf(metadata, "text"), malformed);
  assert.throws(() => textOf(metadata, "absent"), malformed);
  assert.throws(() => textsOf(metadata, "nested"), malformed);
});

Deno.test("f32, f16 and q8_0 tensors become f32", () => {
  assert.deepEqual(valuesOf(tensor()), [1, 2, 3, 4, 5, 6.5]);
  const halves = new Uint8Array(new Float16Array([1, -2, 0.5, 65504]).buffer);
  assert.deepEqual(valuesOf(tensor({ type: 1, shape: [4], bytes: halves })), [1, -2, 0.5, 65504]);
  const ints = Int8Array.from({ length: 32 }, (_, i) => i === 0 ? -127 : i);
  const block = new Writer().raw(new Uint8Array(Float16Array.of(0.25).buffer))
    .raw(new Uint8Array(ints.buffer)).bytes;
  assert.deepEqual(
    valuesOf(tensor({ type: 8, shape: [32], bytes: block })),
    [...ints].map((i) => i / 4),
  );
});

Deno.test("a weight that is not finite is refused", () => {
  const bytes = new Uint8Array(Float32Array.of(1, NaN, Infinity).buffer);
  assert.throws(() => valuesOf(tensor({ shape: [3], bytes })), malformed);
});

Deno.test("tensors are refused that overlap, repeat, break blocks, or are of unknown type or size", () => {
  const bad: Partial<TensorSource>[] = [
    { type: 2 },
    { shape: [] },
    { shape: [1, 1, 1, 1, 1] },
    { shape: [0, 3] },
    { shape: [2 ** 31, 2 ** 31] },
    { shape: [7] },
    { type: 8, shape: [33] },
  ];
  for (const more of bad) {
    assert.throws(() => parseGguf(writeGguf([], [tensor(more)])), malformed, JSON.stringify(more));
  }
  assert.throws(() => parseGguf(writeGguf([], [tensor(), tensor()])), malformed);
  // `writeGguf` places what has no bytes on top of what follows.
  const onTop = tensor({ name: "u", bytes: new Uint8Array() });
  assert.throws(() => parseGguf(writeGguf([], [onTop, tensor()])), malformed);
});

Deno.test("lengths and counts beyond the file, and deep nesting, are refused before anything is allocated", () => {
  const huge: Field[] = [
    ["text", 8, (out) => out.u64(2n ** 40n)],
    ["text", 8, (out) => out.u64(2n ** 63n)],
    ["list", 9, (out) => out.number("Uint32", 0).u64(2n ** 40n)],
    ["list", 9, (out) => out.number("Uint32", 99).u64(0)],
    ["deep", 9, (out) => {
      for (let i = 0; i < 100_000; i++) out.number("Uint32", 9).u64(1);
    }],
    ["bool", 7, (out) => out.number("Uint8", 2)],
    ["utf8", 8, (out) => out.u64(1).number("Uint8", 0xff)],
    ["type", 13, () => {}],
    ["general.alignment", 4, (out) => out.number("Uint32", 0)],
    ["general.alignment", 4, (out) => out.number("Uint32", 12)],
  ];
  for (const field of huge) {
    assert.throws(() => parseGguf(writeGguf([field], [])), malformed, field[0]);
  }
  for (const at of [8, 16]) {
    const file = writeGguf([], []);
    file[at + 5] = 1;
    assert.throws(() => parseGguf(file), malformed);
  }
});

Deno.test("the demo model cut short anywhere is refused", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: demoFile.length - 1 }), (length) => {
      assert.throws(() => parseGguf(demoFile.subarray(0, length)), malformed);
    }),
    { numRuns: 100 },
  );
});

Deno.test("arbitrary bytes are refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
      const file = new Writer().number("Uint32", 0x46554747).number("Uint32", 3).raw(tail).bytes;
      returns(() => parseGguf(file));
      assert.throws(() => parseGguf(tail), malformed);
    }),
    { numRuns: 1000 },
  );
});

/** Where the demo model's data begins. */
const HEADER = 80_000;
const mutation = fc.array(
  fc.record({
    // Two thirds fall into the settings, the rest into vocabulary, merges and tensor entries.
    at: fc.oneof(fc.nat(1600), fc.nat(1600), fc.nat(HEADER)),
    value: fc.oneof(fc.constant(0), fc.constant(0xff), fc.nat(255)),
  }),
  { minLength: 1, maxLength: 4 },
);

Deno.test("the demo model with changed bytes loads or is refused with a code", () => {
  let refused = 0;
  fc.assert(
    fc.property(mutation, (changes) => {
      const file = demoFile.slice();
      for (const { at, value } of changes) file[at] = value;
      if (!returns(() => new EmbeddedBackend(file))) refused++;
    }),
    { numRuns: 100 },
  );
  assert.ok(refused > 10, `only ${refused} were refused`);
});
