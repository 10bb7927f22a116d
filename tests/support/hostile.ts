/** Hostile input for decoders. @module */
import assert from "node:assert/strict";
import { concat } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { encodeCbor } from "@lloom/core/protocol";
import fc from "fast-check";

/** Asserts that a decoder refuses with a coded error, or takes, but never fails in another way. */
export function decodesOrRefuses(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes);
  } catch (thrown) {
    assert(thrown instanceof LloomError, `not a LloomError: ${thrown}`);
    assert.match(thrown.code, /^(frame_(malformed|too_large|unsupported)|request_invalid)$/);
  }
}

/** A valid message with a few bytes changed, removed, doubled or inserted. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.nat(),
    remove: fc.nat(4),
    insert: fc.uint8Array({ maxLength: 4 }),
  });
  return fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([bytes, edits]) => {
    for (const { at, remove, insert } of edits) {
      const start = at % (bytes.length + 1);
      bytes = concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)]);
    }
    return bytes;
  });
}

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

/** A map of one field whose value is a list, filled with one byte up to a size. */
function filled(size: number, byte: number): Uint8Array {
  const head = Uint8Array.of(0xa1, 0x61, 0x74, 0x9a); // {"t": [ …
  const bytes = new Uint8Array(size).fill(byte);
  bytes.set(head);
  new DataView(bytes.buffer).setUint32(head.length, size - head.length - 4);
  return bytes;
}

/** CBOR that is meant to exhaust or confuse, by name. */
export const HOSTILE_CBOR: Readonly<Record<string, Uint8Array>> = {
  "nothing": new Uint8Array(),
  "8 MiB of nested lists": new Uint8Array(8 << 20).fill(0x81),
  "8 MiB of nested maps": new Uint8Array(8 << 20).fill(0xa1),
  "60 KiB of nested lists": new Uint8Array(60 << 10).fill(0x81),
  "8 MiB of empty maps": filled(8 << 20, 0xa0),
  "1 MiB of zeros": filled(1 << 20, 0x00),
  "15 KiB of empty lists": filled(15 << 10, 0x80),
  "a list of 2^32 items": Uint8Array.of(0x9b, 0, 0, 0, 1, 0, 0, 0, 0),
  "a list of 2^63 items": Uint8Array.of(0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0),
  "a map of 2^32 - 1 fields": Uint8Array.of(0xba, 0xff, 0xff, 0xff, 0xff),
  "a text of 2^32 bytes": Uint8Array.of(0x7b, 0, 0, 0, 1, 0, 0, 0, 0),
  "bytes of 2^53 - 1": Uint8Array.of(0x5b, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  "indefinite length": concat([Uint8Array.of(0xbf, 0x61), text("t"), Uint8Array.of(0xff)]),
  "a bignum": Uint8Array.of(0xa1, 0x61, 0x74, 0xc2, 0x41, 0x01),
  "nested tags": new Uint8Array(60 << 10).fill(0xc1),
  "undefined": Uint8Array.of(0xa1, 0x61, 0x74, 0xf7),
  "not a number": Uint8Array.of(0xa1, 0x61, 0x74, 0xf9, 0x7e, 0),
  "a list as key": Uint8Array.of(0xa1, 0x80, 0x01),
  "a field twice": Uint8Array.of(0xa2, 0x61, 0x74, 0x01, 0x61, 0x74, 0x02),
  "two items": Uint8Array.of(0xa0, 0xa0),
  "a field __proto__": concat([
    Uint8Array.of(0xa1, 0x69),
    text("__proto__"),
    encodeCbor({ t: "open" }),
  ]),
  "constructor as type": encodeCbor({ t: "constructor" }),
  "malformed UTF-8": Uint8Array.of(0xa1, 0x61, 0x74, 0x61, 0xff),
};

/** Every decoder of CBOR is put through this: hostile and random bytes, and mutations of valid messages. */
export function attackCbor(
  decode: (bytes: Uint8Array) => unknown,
  valid: fc.Arbitrary<Uint8Array>,
): void {
  for (const bytes of Object.values(HOSTILE_CBOR)) {
    assert.throws(() => decode(bytes), LloomError);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (b) => decodesOrRefuses(decode, b)));
  fc.assert(fc.property(mutated(valid), (b) => decodesOrRefuses(decode, b)), { numRuns: 300 });
}
