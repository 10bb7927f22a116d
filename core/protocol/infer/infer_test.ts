import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorData, LloomError } from "../../errors.ts";
import { attackCbor } from "../../../tests/support/hostile.ts";
import {
  bytes,
  hash,
  signedRequest,
  signedResponse,
  text,
} from "../../../tests/support/arbitraries.ts";
import { encodeCbor } from "../cbor.ts";
import {
  decodeClientFrame,
  decodeExecutorFrame,
  encodeAccept,
  encodeCancel,
  encodeDelta,
  encodeOpen,
  encodeReceipt,
  encodeReject,
} from "./mod.ts";

const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

const open = fc.record({ body: bytes(2, 100), salt: bytes(32), request: signedRequest }, {
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
  fc.assert(fc.property(hash, bytes(1, 100), (requestHash, lines) => {
    const accept = decodeExecutorFrame(encodeAccept({ requestHash }));
    assert.deepEqual(accept, { type: "accept", requestHash });
    assert.deepEqual(decodeExecutorFrame(encodeDelta({ lines })), { type: "delta", lines });
  }));
  assert.deepEqual(decodeClientFrame(encodeCancel()), { type: "cancel" });
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
  attackCbor(decodeClientFrame, open.map(encodeOpen));
  attackCbor(
    decodeExecutorFrame,
    fc.oneof(
      receipt.map(encodeReceipt),
      bytes(1, 50).map((lines) => encodeDelta({ lines })),
      text(50).map((message) => encodeReject({ error: { code: "overloaded", message } })),
    ),
  );
});
