/** `reject`, executor → client: nothing was delivered and nothing is owed. @module */
import { type ErrorData, isErrorCode } from "../../errors.ts";
import { encodeCbor, type Fields } from "../cbor.ts";
import { MAX_TEXT_BYTES } from "../limits.ts";
import { truncateUtf8 } from "../text.ts";

/** Longest wait an executor may ask for: a day. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/** A refusal, before the first delta. */
export interface RejectFrame {
  readonly type: "reject";
  readonly error: ErrorData;
}

/** A `reject` frame's bytes. */
export function encodeReject({ error }: Omit<RejectFrame, "type">): Uint8Array {
  const retryAfterMs = error.retryAfterMs === undefined
    ? undefined
    : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, Math.ceil(error.retryAfterMs)));
  const message = truncateUtf8(error.message, MAX_TEXT_BYTES);
  return encodeCbor({ t: "reject", code: error.code, message, retryAfterMs });
}

/** The fields of a `reject` frame; a code this version does not know becomes `internal`. */
export function readReject(fields: Fields): RejectFrame {
  const code = fields.text("code", 64);
  const error = {
    code: isErrorCode(code) ? code : "internal" as const,
    message: fields.text("message", MAX_TEXT_BYTES),
  };
  if (!fields.has("retryAfterMs")) return { type: "reject", error };
  const retryAfterMs = fields.uint("retryAfterMs", MAX_RETRY_AFTER_MS);
  return { type: "reject", error: { ...error, retryAfterMs } };
}
