import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorData, LloomError } from "../../errors.ts";
import { attackCbor } from "../../../tests/support/hostile.ts";
import {
  bytes,
  hash,
  openingPayment,
  signedRequest,
  signedResponse,
  text,
  uint32,
  voucherMessage,
} from "../../../tests/support/arbitraries.ts";
import { ZERO_HASH } from "../../bytes.ts";
import type { VoucherMessage } from "../../payments/ports.ts";
import { encodeCbor } from "../cbor.ts";
import {
  MAX_ACKNOWLEDGED_RECEIPTS,
  MAX_BODY_BYTES,
  MAX_MODEL_NAME_BYTES,
  MAX_RESPONSE_BYTES,
} from "../limits.ts";
import {
  decodeClientFrame,
  decodeExecutorFrame,
  encodeAccept,
  encodeCancel,
  encodeDelta,
  encodeDue,
  encodeOpen,
  encodeReceipt,
  encodeReject,
  encodeVoucher,
} from "./mod.ts";

const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

const open = fc.record({
  body: bytes(2, 100),
  salt: bytes(32),
  request: signedRequest,
  payment: openingPayment,
}, { noNullPrototype: true, requiredKeys: ["body", "salt", "request"] });
const accept = fc.record({ requestHash: hash, acknowledged: fc.maxSafeNat() }, {
  noNullPrototype: true,
  requiredKeys: ["requestHash"],
});
const due = fc.record({ outboundTokens: uint32, deliveredBytes: fc.nat(MAX_RESPONSE_BYTES) }, {
  noNullPrototype: true,
});
const receipt = fc.record({ trailer: bytes(2, 100), response: signedResponse }, {
  noNullPrototype: true,
});

Deno.test("each frame comes back as it was encoded", () => {
  fc.assert(fc.property(open, (frame) => {
    assert.deepEqual(decodeClientFrame(encodeOpen(frame)), { type: "open", ...frame });
  }));
  fc.assert(fc.property(receipt, (frame) => {
    assert.deepEqual(decodeExecutorFrame(encodeReceipt(frame)), { type: "receipt", ...frame });
  }));
  fc.assert(fc.property(accept, bytes(1, 100), (frame, lines) => {
    assert.deepEqual(decodeExecutorFrame(encodeAccept(frame)), { type: "accept", ...frame });
    assert.deepEqual(decodeExecutorFrame(encodeDelta({ lines })), { type: "delta", lines });
  }));
  fc.assert(fc.property(due, (frame) => {
    assert.deepEqual(decodeExecutorFrame(encodeDue(frame)), { type: "due", ...frame });
  }));
  fc.assert(fc.property(voucherMessage, (message) => {
    const frame = decodeClientFrame(encodeVoucher(message));
    assert.deepEqual(frame, { type: "voucher", ...message });
  }));
  assert.deepEqual(decodeClientFrame(encodeCancel()), { type: "cancel" });
});

/** Any of an arbitrary's values, the same each time. */
const sample = <T>(arbitrary: fc.Arbitrary<T>): T =>
  fc.sample(arbitrary, { numRuns: 1, seed: 1 })[0]!;

Deno.test("the largest request fits its frame, with all that can go with it", () => {
  const [max64, max96] = [(1n << 64n) - 1n, (1n << 96n) - 1n];
  const max256 = (1n << 256n) - 1n;
  const request = sample(signedRequest);
  const { signed } = sample(voucherMessage);
  const payment = sample(openingPayment);
  const frame = encodeOpen({
    body: new Uint8Array(MAX_BODY_BYTES),
    salt: new Uint8Array(32),
    request: {
      ...request,
      commitment: {
        ...request.commitment,
        model: "m".repeat(MAX_MODEL_NAME_BYTES),
        ...{ maxTokens: 0xffff_ffff, inboundPrice: max256, outboundPrice: max256 },
        ...{ nonce: max64, deadline: max64 },
      },
    },
    payment: {
      terms: { ...payment.terms, closeDelay: 0xffff_ffff, salt: max96 },
      voucher: {
        ...signed,
        voucher: {
          ...signed.voucher,
          ...{ cumulativeAmount: max96, requests: max64 },
          ...{ inboundTokens: max64, outboundTokens: max64 },
        },
      },
      paid: (1n << 116n) - 1n,
      first: Number.MAX_SAFE_INTEGER,
      receipts: Array(MAX_ACKNOWLEDGED_RECEIPTS).fill(ZERO_HASH),
    },
  });
  assert.equal(decodeClientFrame(frame).type, "open");
});

Deno.test("a payment beyond what its fields hold is malformed", () => {
  const message = sample(voucherMessage);
  const { voucher, signature } = message.signed;
  const bad: Partial<VoucherMessage>[] = [
    { paid: 1n << 116n },
    { paid: -1n },
    { first: -1 },
    { first: 2 ** 53 },
    { receipts: Array(MAX_ACKNOWLEDGED_RECEIPTS + 1).fill(ZERO_HASH) },
    { receipts: ["0x00"] },
    { signed: { voucher, signature: signature.subarray(1) } },
    { signed: { voucher: { ...voucher, cumulativeAmount: 1n << 96n }, signature } },
    { signed: { voucher: { ...voucher, receiptsRoot: "0x" }, signature } },
  ];
  for (const change of bad) {
    const frame = encodeVoucher({ ...message, ...change });
    assert.throws(() => decodeClientFrame(frame), code("frame_malformed"));
  }
  const opening = sample(open);
  const payment = sample(openingPayment);
  const salt = { ...payment, terms: { ...payment.terms, salt: 1n << 96n } };
  const closeDelay = { ...payment, terms: { ...payment.terms, closeDelay: 2 ** 32 } };
  for (const payment of [salt, closeDelay]) {
    const frame = encodeOpen({ ...opening, payment });
    assert.throws(() => decodeClientFrame(frame), code("frame_malformed"));
  }
});

Deno.test("any error can be sent as a rejection", () => {
  const error = fc.record({
    code: fc.constantFrom<ErrorData["code"]>("overloaded", "request_invalid"),
    message: fc.string({ maxLength: 3000, unit: "binary" }),
    retryAfterMs: fc.double({ noNaN: true }),
  }, { requiredKeys: ["code", "message"] });
  fc.assert(fc.property(error, (error) => {
    const frame = decodeExecutorFrame(encodeReject({ error }));
    assert(frame.type === "reject");
    assert.equal(frame.error.code, error.code);
    assert(error.message.startsWith(frame.error.message));
    if (error.message.length * 3 <= 1024) assert.equal(frame.error.message, error.message);
    const { retryAfterMs } = error;
    const wanted = retryAfterMs === undefined
      ? undefined
      : Math.min(86_400_000, Math.max(0, Math.ceil(retryAfterMs)));
    assert.equal(frame.error.retryAfterMs, wanted);
  }));
});

Deno.test("a rejection with a code of a later version is internal", () => {
  const frame = decodeExecutorFrame(encodeCbor({ t: "reject", code: "new", message: "m" }));
  assert.deepEqual(frame, { type: "reject", error: { code: "internal", message: "m" } });
});

Deno.test("a frame of the other side, or of no known type, is unsupported", () => {
  assert.throws(() => decodeExecutorFrame(encodeCancel()), code("frame_unsupported"));
  const accept = encodeAccept({ requestHash: `0x${"00".repeat(32)}` });
  assert.throws(() => decodeClientFrame(accept), code("frame_unsupported"));
  for (const t of ["constructor", "__proto__", "toString", ""]) {
    assert.throws(() => decodeClientFrame(encodeCbor({ t })), code("frame_unsupported"));
  }
});

Deno.test("a frame that requires an unknown field is unsupported", () => {
  const frame = encodeCbor({ t: "cancel", why: "late", crit: ["why"] });
  assert.throws(() => decodeClientFrame(frame), code("frame_unsupported"));
  assert.doesNotThrow(() => decodeClientFrame(encodeCbor({ t: "cancel", why: "late" })));
});

Deno.test("hostile frames give coded errors only", () => {
  attackCbor(
    decodeClientFrame,
    fc.oneof(open.map(encodeOpen), voucherMessage.map(encodeVoucher)),
  );
  attackCbor(
    decodeExecutorFrame,
    fc.oneof(
      receipt.map(encodeReceipt),
      accept.map(encodeAccept),
      due.map(encodeDue),
      bytes(1, 50).map((lines) => encodeDelta({ lines })),
      text(50).map((message) => encodeReject({ error: { code: "overloaded", message } })),
    ),
  );
});
