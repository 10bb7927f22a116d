/** `close`, client → executor: asks that a channel may be closed at once. @module */
import type { ChannelTerms } from "../../signing/typed_data.ts";
import { encodeCbor, Fields } from "../cbor.ts";
import { MAX_CLOSE_FRAME_BYTES } from "../limits.ts";
import { channelTermsFields, readChannelTerms } from "../payments.ts";
import { LloomError } from "../../errors.ts";

/** A wish to close a channel. */
export interface CloseFrame {
  /** Tells this message from others. */
  readonly type: "close";
  /** Which channel. */
  readonly terms: ChannelTerms;
}

/** A `close` frame's bytes. */
export function encodeClose({ terms }: Omit<CloseFrame, "type">): Uint8Array {
  return encodeCbor({ t: "close", terms: channelTermsFields(terms) });
}

/** A frame from a client. @throws {LloomError} `frame_*` */
export function decodeClose(bytes: Uint8Array): CloseFrame {
  const fields = Fields.decode(bytes, MAX_CLOSE_FRAME_BYTES, "frame");
  if (fields.text("t", 16) !== "close") {
    throw new LloomError("frame_unsupported", "decode frame: unknown type");
  }
  const terms = readChannelTerms(fields.fields("terms"));
  fields.finish();
  return { type: "close", terms };
}
