/**
 * The inference protocol `/lloom/llm/2.0.0`. On one stream, any number of times in sequence:
 * `open` → `accept` or `reject`; after `accept`: `delta`*, then `receipt` (or, before the first
 * `delta`, `reject`). The client may send `cancel` at any time after `open`. In a request that is
 * paid, the executor may send `due` among the deltas, which the client answers by `voucher`; a last
 * `voucher` follows the receipt if that claims more than was paid.
 * @module
 */
import { Fields } from "../cbor.ts";
import { LloomError } from "../../errors.ts";
import { MAX_REQUEST_FRAME_BYTES, MAX_RESPONSE_FRAME_BYTES } from "../limits.ts";
import { type AcceptFrame, readAccept } from "./accept.ts";
import type { CancelFrame } from "./cancel.ts";
import { type DeltaFrame, readDelta } from "./delta.ts";
import { type DueFrame, readDue } from "./due.ts";
import { type OpenFrame, readOpen } from "./open.ts";
import { readReceipt, type ReceiptFrame } from "./receipt.ts";
import { readReject, type RejectFrame } from "./reject.ts";
import { readVoucher, type VoucherFrame } from "./voucher.ts";

export * from "./accept.ts";
export * from "./cancel.ts";
export * from "./delta.ts";
export * from "./due.ts";
export * from "./open.ts";
export * from "./receipt.ts";
export * from "./reject.ts";
export * from "./voucher.ts";

/** What a client sends. */
export type ClientFrame = OpenFrame | VoucherFrame | CancelFrame;
/** What an executor sends. */
export type ExecutorFrame = AcceptFrame | RejectFrame | DeltaFrame | DueFrame | ReceiptFrame;

/** A frame from a client. @throws {LloomError} `frame_*` */
export function decodeClientFrame(bytes: Uint8Array): ClientFrame {
  return decodeFrame<ClientFrame>(bytes, MAX_REQUEST_FRAME_BYTES, {
    open: readOpen,
    voucher: readVoucher,
    cancel: () => ({ type: "cancel" }),
  });
}

/** A frame from an executor. @throws {LloomError} `frame_*` */
export function decodeExecutorFrame(bytes: Uint8Array): ExecutorFrame {
  return decodeFrame<ExecutorFrame>(bytes, MAX_RESPONSE_FRAME_BYTES, {
    accept: readAccept,
    reject: readReject,
    delta: readDelta,
    due: readDue,
    receipt: readReceipt,
  });
}

function decodeFrame<F>(
  bytes: Uint8Array,
  maxBytes: number,
  readers: Record<string, (fields: Fields) => F>,
): F {
  const fields = Fields.decode(bytes, maxBytes, "frame");
  const type = fields.text("t", 16);
  if (!Object.hasOwn(readers, type)) {
    throw new LloomError("frame_unsupported", "decode frame: unknown type");
  }
  const frame = readers[type]!(fields);
  fields.finish();
  return frame;
}
