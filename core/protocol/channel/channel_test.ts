import assert from "node:assert/strict";
import fc from "fast-check";
import { address, bytes, uint32, uint64 } from "../../../tests/support/arbitraries.ts";
import { attackCbor } from "../../../tests/support/hostile.ts";
import { LloomError } from "../../errors.ts";
import { encodeCbor } from "../cbor.ts";
import { MAX_CLOSE_FRAME_BYTES } from "../limits.ts";
import { channelTermsFields } from "../payments.ts";
import { decodeClose, decodeCloseAnswer, encodeClose, encodeCloseAnswer } from "./mod.ts";

const uint96 = fc.bigInt(0n, (1n << 96n) - 1n);
const plain = { noNullPrototype: true } as const;

const terms = fc.record({
  client: address,
  executor: address,
  asset: address,
  signer: address,
  closeDelay: uint32,
  salt: uint96,
}, plain);

const answer = fc.oneof(
  fc.record({
    type: fc.constant("consent" as const),
    finalAmount: uint96,
    deadline: uint64,
    signature: bytes(65),
  }, plain),
  fc.constantFrom(
    { code: "overloaded" as const, message: "busy", retryAfterMs: 1000 },
    { code: "channel_unusable" as const, message: "" },
  ).map((error) => ({ type: "error" as const, error })),
);

const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

Deno.test("each message comes back as it was encoded", () => {
  fc.assert(fc.property(terms, (terms) => {
    assert.deepEqual(decodeClose(encodeClose({ terms })), { type: "close", terms });
  }));
  fc.assert(fc.property(answer, (frame) => {
    assert.deepEqual(decodeCloseAnswer(encodeCloseAnswer(frame)), frame);
  }));
});

Deno.test("what is too large, or of a later version, is refused", () => {
  const [one] = fc.sample(terms, 1);
  const fields = channelTermsFields(one!);
  assert.throws(
    () =>
      decodeClose(
        encodeCbor({ t: "close", terms: fields, more: "x".repeat(MAX_CLOSE_FRAME_BYTES) }),
      ),
    code("frame_too_large"),
  );
  assert.throws(
    () => decodeClose(encodeCbor({ t: "close", terms: fields, crit: ["refund"] })),
    code("frame_unsupported"),
  );
  assert.throws(() => decodeClose(encodeCbor({ t: "open" })), code("frame_unsupported"));
  assert.throws(() => decodeCloseAnswer(encodeCbor({ t: "maybe" })), code("frame_unsupported"));
  const above = encodeCbor({
    t: "consent",
    finalAmount: String(1n << 96n),
    deadline: 1,
    signature: new Uint8Array(65),
  });
  assert.throws(() => decodeCloseAnswer(above), code("frame_malformed"));
});

Deno.test("hostile messages give coded errors only", () => {
  attackCbor(decodeClose, terms.map((terms) => encodeClose({ terms })));
  attackCbor(decodeCloseAnswer, answer.map(encodeCloseAnswer));
});
