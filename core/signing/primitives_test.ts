import assert from "node:assert/strict";
import { secp256k1 } from "@noble/curves/secp256k1";
import { concat } from "../bytes.ts";
import { assertCanonical } from "./primitives.ts";

const ORDER = secp256k1.Point.CURVE().n;

function word(value: bigint): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(64, "0"));
}
const signature = (r: bigint, s: bigint, id: number) =>
  concat([word(r), word(s), Uint8Array.of(id)]);

Deno.test("a signature at the edges of what is canonical passes", () => {
  for (const id of [0, 1]) {
    for (const r of [1n, ORDER - 1n]) {
      for (const s of [1n, ORDER / 2n]) assertCanonical(signature(r, s, id));
    }
  }
});

Deno.test("a signature just beyond what is canonical is refused with a code", () => {
  const bad = [
    signature(0n, 1n, 0),
    signature(ORDER, 1n, 0),
    signature(2n ** 256n - 1n, 1n, 0),
    signature(1n, 0n, 0),
    signature(1n, ORDER / 2n + 1n, 0),
    signature(1n, ORDER - 1n, 0),
    signature(1n, ORDER, 0),
    ...[2, 3, 27, 28, 255].map((id) => signature(1n, 1n, id)),
    signature(1n, 1n, 0).subarray(0, 64),
    concat([signature(1n, 1n, 0), new Uint8Array(1)]),
    new Uint8Array(0),
  ];
  for (const item of bad) {
    assert.throws(() => assertCanonical(item), { name: "LloomError", code: "signature_invalid" });
  }
});
