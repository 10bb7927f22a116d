/** `receipt`, executor → client: the end of an answer, signed. @module */
import type { SignedResponse } from "../../ports.ts";
import { encodeCbor, type Fields } from "../cbor.ts";
import { readSignedResponse, signedResponseFields } from "../commitments.ts";
import { MAX_TRAILER_BYTES } from "../limits.ts";

/** The end of an answer. */
export interface ReceiptFrame {
  /** Tells this message from others. */
  readonly type: "receipt";
  /** The last line of the answer; part of its content hash (`trailer.ts`). */
  readonly trailer: Uint8Array;
  /** The commitment to what was delivered, signed by the executor. */
  readonly response: SignedResponse;
}

/** A `receipt` frame's bytes. */
export function encodeReceipt({ trailer, response }: Omit<ReceiptFrame, "type">): Uint8Array {
  return encodeCbor({ t: "receipt", trailer, ...signedResponseFields(response) });
}

/** The fields of a `receipt` frame. @throws {LloomError} `frame_malformed` */
export function readReceipt(fields: Fields): ReceiptFrame {
  return {
    type: "receipt",
    trailer: fields.bytes("trailer", 2, MAX_TRAILER_BYTES),
    response: readSignedResponse(fields),
  };
}
