/** `due`, executor → client: pay for what was delivered so far, then more comes. @module */
import { encodeCbor, type Fields } from "../cbor.ts";
import { MAX_RESPONSE_BYTES } from "../limits.ts";
import { UINT32_MAX } from "../../signing/typed_data.ts";

/** A demand for payment. */
export interface DueFrame {
  /** Tells this message from others. */
  readonly type: "due";
  /** About how many tokens of answer were delivered; the exact count comes with the receipt. */
  readonly outboundTokens: number;
  /** Bytes of `lines` before this frame, by which both sides know that they mean the same part. */
  readonly deliveredBytes: number;
}

/** A `due` frame's bytes. */
export function encodeDue({ outboundTokens, deliveredBytes }: Omit<DueFrame, "type">): Uint8Array {
  return encodeCbor({ t: "due", outboundTokens, deliveredBytes });
}

/** The fields of a `due` frame. @throws {LloomError} `frame_malformed` */
export function readDue(fields: Fields): DueFrame {
  return {
    type: "due",
    outboundTokens: fields.uint("outboundTokens", UINT32_MAX),
    deliveredBytes: fields.uint("deliveredBytes", MAX_RESPONSE_BYTES),
  };
}
