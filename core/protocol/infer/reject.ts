/** `reject`, executor → client: nothing was delivered and nothing is owed. @module */
import { type ErrorData, isErrorCode } from "../../errors.ts";
import { type CborValue, encodeCbor, type Fields } from "../cbor.ts";
import { MAX_RETRY_AFTER_MS, MAX_TEXT_BYTES, MAX_WORD_BYTES } from "../limits.ts";
import { truncateUtf8 } from "../text.ts";

/** A refusal, before the first delta. */
export interface RejectFrame {
  /** Tells this message from others. */
  readonly type: "reject";
  /** Why the request is refused. */
  readonly error: ErrorData;
}

/** A `reject` frame's bytes. */
export function encodeReject({ error }: Omit<RejectFrame, "type">): Uint8Array {
  return encodeCbor({ t: "reject", ...errorFields(error) });
}

/** An error as fields of a frame, cut to what {@linkcode readError} accepts. */
export function errorFields(error: ErrorData): { readonly [key: string]: CborValue | undefined } {
  const retryAfterMs = error.retryAfterMs === undefined
    ? undefined
    : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, Math.ceil(error.retryAfterMs)));
  const message = truncateUtf8(error.message, MAX_TEXT_BYTES);
  return { code: error.code, message, retryAfterMs };
}

/** The fields of a `reject` frame. @throws {LloomError} `frame_malformed` */
export function readReject(fields: Fields): RejectFrame {
  return { type: "reject", error: readError(fields) };
}

/**
 * The reverse of {@linkcode errorFields}; a code this version does not know becomes `internal`.
 * @throws {LloomError} `frame_malformed`
 */
export function readError(fields: Fields): ErrorData {
  const code = fields.text("code", MAX_WORD_BYTES);
  const error = {
    code: isErrorCode(code) ? code : "internal" as const,
    message: fields.text("message", MAX_TEXT_BYTES),
  };
  if (!fields.has("retryAfterMs")) return error;
  return { ...error, retryAfterMs: fields.uint("retryAfterMs", MAX_RETRY_AFTER_MS) };
}
