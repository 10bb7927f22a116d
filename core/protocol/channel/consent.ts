/** `consent` and `error`, executor → client: whether a channel may be closed at once. @module */
import { type ErrorData, LloomError } from "../../errors.ts";
import { SIGNATURE_BYTES } from "../../signing/typed_data.ts";
import { encodeCbor, Fields } from "../cbor.ts";
import { errorFields, readError } from "../infer/reject.ts";
import { MAX_CLOSE_FRAME_BYTES } from "../limits.ts";

/** An executor's word that the channel asked about may be closed. */
export interface ConsentFrame {
  /** Tells this message from others. */
  readonly type: "consent";
  /** Base units that the executor gets in all. */
  readonly finalAmount: bigint;
  /** Unix seconds until which it counts. */
  readonly deadline: bigint;
  /** By the executor, over `CloseConsent` of the channel asked about. */
  readonly signature: Uint8Array;
}

/** Why there is no consent. */
export interface CloseErrorFrame {
  /** Tells this message from others. */
  readonly type: "error";
  /** Why. */
  readonly error: ErrorData;
}

/** The answer to `close`. */
export type CloseAnswer = ConsentFrame | CloseErrorFrame;

/** An answer's bytes. */
export function encodeCloseAnswer(answer: CloseAnswer): Uint8Array {
  if (answer.type === "error") return encodeCbor({ t: "error", ...errorFields(answer.error) });
  const { finalAmount, deadline, signature } = answer;
  return encodeCbor({ t: "consent", finalAmount: String(finalAmount), deadline, signature });
}

/** A frame from an executor. @throws {LloomError} `frame_*` */
export function decodeCloseAnswer(bytes: Uint8Array): CloseAnswer {
  const fields = Fields.decode(bytes, MAX_CLOSE_FRAME_BYTES, "frame");
  const answer = readAnswer(fields);
  fields.finish();
  return answer;
}

function readAnswer(fields: Fields): CloseAnswer {
  switch (fields.text("t", 16)) {
    case "consent":
      return {
        type: "consent",
        finalAmount: fields.amount("finalAmount", 96),
        deadline: fields.uint64("deadline"),
        signature: fields.bytes("signature", SIGNATURE_BYTES, SIGNATURE_BYTES),
      };
    case "error":
      return { type: "error", error: readError(fields) };
    default:
      throw new LloomError("frame_unsupported", "decode frame: unknown type");
  }
}
