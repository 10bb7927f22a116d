import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { fromHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { attackCbor, HOSTILE_CBOR } from "../../tests/support/hostile.ts";
import * as some from "../../tests/support/arbitraries.ts";
import { encodeCbor, Fields } from "./cbor.ts";
import { MAX_CBOR_ITEMS } from "./limits.ts";

const decode = (bytes: Uint8Array) => Fields.decode(bytes, 16 << 20, "test");
const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

Deno.test("values come back as they were sent", () => {
  fc.assert(fc.property(
    fc.record({
      text: some.text(300),
      bytes: some.bytes(0, 50),
      hash: some.hash,
      address: some.address,
      uint: fc.maxSafeNat(),
      uint64: some.uint64,
      number: fc.double({ min: -1e9, max: 1e9, noNaN: true }).map((x) => x + 0),
      amount: some.amount,
      boolean: fc.boolean(),
      texts: fc.array(some.text(40), { maxLength: 5 }),
    }),
    (m) => {
      const f = decode(encodeCbor({
        ...m,
        hash: fromHex(m.hash),
        address: fromHex(m.address),
        amount: String(m.amount),
        absent: undefined,
      }));
      assert.equal(f.text("text", 1200), m.text);
      assert.deepEqual(f.bytes("bytes", 0, 50), m.bytes);
      assert.equal(f.hash("hash"), m.hash);
      assert.equal(f.address("address"), m.address);
      assert.equal(f.uint("uint"), m.uint);
      assert.equal(f.uint64("uint64"), m.uint64);
      assert.equal(f.number("number", -1e9, 1e9), m.number);
      assert.equal(f.amount("amount"), m.amount);
      assert.equal(f.boolean("boolean"), m.boolean);
      assert.deepEqual(f.texts("texts", 5, 160), m.texts);
      assert.equal(f.has("absent"), false);
    },
  ));
});

Deno.test("a reader refuses what is out of its bounds", () => {
  const f = decode(encodeCbor({
    euro: "€€",
    bytes: new Uint8Array(3),
    seven: 7,
    half: 0.5,
    euros: ["€€"],
    list: [1],
    big: 2n ** 63n,
    float: 1e300,
    minus: -1,
    leading: "01",
    huge: String(2n ** 256n),
    map: { a: 1 },
  }));
  const refused = [
    () => f.text("euro", 5),
    () => f.text("seven", 5),
    () => f.text("absent", 5),
    () => f.oneOf("euro", ["a", "b"]),
    () => f.bytes("bytes", 4, 9),
    () => f.bytes("bytes", 0, 2),
    () => f.hash("bytes"),
    () => f.uint("seven", 6),
    () => f.uint("half"),
    () => f.uint("big"),
    () => f.uint("minus"),
    () => f.uint64("minus"),
    () => f.uint64("float"),
    () => f.number("half", 0.6, 1),
    () => f.amount("leading"),
    () => f.amount("huge"),
    () => f.amount("seven"),
    () => f.boolean("seven"),
    () => f.texts("euros", 1, 5),
    () => f.texts("euros", 0, 6),
    () => f.texts("list", 1, 6),
    () => f.list("list", 1, (item) => item),
    () => f.fields("list"),
  ];
  for (const read of refused) assert.throws(read, code("frame_malformed"), String(read));
  assert.equal(f.text("euro", 6), "€€");
  assert.deepEqual(f.texts("euros", 1, 6), ["€€"]);
  assert.equal(f.uint64("big"), 2n ** 63n);
});

Deno.test("amounts are decimal text: 10 is ten, and 0x10 is none", () => {
  const f = decode(encodeCbor({ ten: "10", hex: "0x10", digits: "ff", power: "1e3", minus: "-1" }));
  assert.equal(f.amount("ten"), 10n);
  for (const key of ["hex", "digits", "power", "minus"]) {
    assert.throws(() => f.amount(key), code("frame_malformed"), key);
  }
});

Deno.test("an unknown field is ignored, unless the sender requires it", () => {
  const read = (message: Parameters<typeof encodeCbor>[0]) => {
    const f = decode(encodeCbor(message));
    f.has("optional");
    const known = f.uint("known");
    f.finish();
    return known;
  };
  assert.equal(read({ known: 1, unknown: 2 }), 1);
  assert.equal(read({ known: 1, crit: ["known", "optional"] }), 1);
  assert.throws(() => read({ known: 1, unknown: 2, crit: ["unknown"] }), code("frame_unsupported"));
  assert.throws(() => read({ known: 1, crit: ["absent"] }), code("frame_unsupported"));
  assert.throws(() => read({ known: 1, crit: 1 }), code("frame_malformed"));
  assert.throws(() => read({ known: 1, crit: [1] }), code("frame_malformed"));
});

Deno.test("__proto__ is a field like any other", () => {
  const f = decode(HOSTILE_CBOR["a field __proto__"]!);
  assert.equal(f.fields("__proto__").text("t", 9), "open");
  assert.equal(f.has("t"), false);
});

Deno.test("what is encoded owns its buffer, and what is decoded owns its bytes", () => {
  for (let n = 0; n < 600; n += 7) {
    const encoded = encodeCbor({ bytes: new Uint8Array(n) });
    assert.equal(encoded.buffer.byteLength, encoded.length);
    assert.equal(encoded.constructor, Uint8Array);
    const input = Buffer.from(encoded);
    const bytes = decode(input).bytes("bytes", n, n);
    input.fill(0xff);
    assert.deepEqual(bytes, new Uint8Array(n));
  }
});

Deno.test("a frame above its limit is refused before it is read", () => {
  assert.throws(() => Fields.decode(new Uint8Array(11), 10, "test"), code("frame_too_large"));
});

Deno.test("a message of more items than the limit is refused, however small", () => {
  // map, key, list and the items in it
  const items = (n: number) => encodeCbor({ list: Array.from({ length: n - 3 }, () => 0) });
  assert.doesNotThrow(() => decode(items(MAX_CBOR_ITEMS)));
  assert.throws(() => decode(items(MAX_CBOR_ITEMS + 1)), code("frame_malformed"));
});

Deno.test("hostile bytes give coded errors only", () => {
  const reader = (bytes: Uint8Array) => {
    const f = decode(bytes);
    const value = [f.text("t", 16), f.uint("n"), f.fields("map").finish()];
    f.finish();
    return value;
  };
  attackCbor(
    reader,
    fc.record({ t: some.text(4), n: fc.nat() }).map((m) =>
      encodeCbor({ ...m, map: { a: [1, 2] } })
    ),
  );
});
