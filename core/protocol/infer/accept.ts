/** `accept`, executor → client: the request was verified and will be served. @module */
import { fromHex, type Hash } from "../../bytes.ts";
import { encodeCbor, type Fields } from "../cbor.ts";

/** An acceptance. */
export interface AcceptFrame {
  /** Tells this message from others. */
  readonly type: "accept";
  /** hashStruct of the request that was accepted. */
  readonly requestHash: Hash;
  /**
   * For a request that is paid: how many of the receipts that the client acknowledged on this channel
   * the executor knows, without a gap. Absent for a free one.
   */
  readonly acknowledged?: number;
}

/** An `accept` frame's bytes. */
export function encodeAccept({ requestHash, acknowledged }: Omit<AcceptFrame, "type">): Uint8Array {
  return encodeCbor({ t: "accept", requestHash: fromHex(requestHash), acknowledged });
}

/** The fields of an `accept` frame. @throws {LloomError} `frame_malformed` */
export function readAccept(fields: Fields): AcceptFrame {
  return {
    type: "accept",
    requestHash: fields.hash("requestHash"),
    ...(fields.has("acknowledged") && { acknowledged: fields.uint("acknowledged") }),
  };
}
