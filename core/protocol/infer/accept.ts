/** `accept`, executor → client: the request was verified and will be served. @module */
import { fromHex, type Hash } from "../../bytes.ts";
import { encodeCbor, type Fields } from "../cbor.ts";

/** An acceptance. */
export interface AcceptFrame {
  /** Tells this message from others. */
  readonly type: "accept";
  /** hashStruct of the request that was accepted. */
  readonly requestHash: Hash;
}

/** An `accept` frame's bytes. */
export function encodeAccept({ requestHash }: Omit<AcceptFrame, "type">): Uint8Array {
  return encodeCbor({ t: "accept", requestHash: fromHex(requestHash) });
}

/** The fields of an `accept` frame. @throws {LloomError} `frame_malformed` */
export function readAccept(fields: Fields): AcceptFrame {
  return { type: "accept", requestHash: fields.hash("requestHash") };
}
