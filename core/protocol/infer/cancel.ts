/** `cancel`, client → executor: stop, and send the receipt for what was delivered. @module */
import { encodeCbor } from "../cbor.ts";

/** A cancellation. It has no fields. */
export interface CancelFrame {
  /** Tells this message from others. */
  readonly type: "cancel";
}

/** A `cancel` frame's bytes. */
export function encodeCancel(): Uint8Array {
  return encodeCbor({ t: "cancel" });
}
