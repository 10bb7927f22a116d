/**
 * The last line of an answer. It is covered by the receipt's `contentHash`, so that how an answer
 * ended is signed like the answer itself.
 * @module
 */
import { type ErrorData, isErrorCode, LloomError } from "../errors.ts";
import { isJsonObject, parseJson } from "./json.ts";
import { MAX_TEXT_BYTES, MAX_TRAILER_BYTES } from "./limits.ts";
import { UINT32_MAX } from "../signing/typed_data.ts";
import { truncateUtf8 } from "./text.ts";

/** Who counted an answer's tokens: `backend`, the model's own `tokenizer`, or an `estimate` by another. */
export type CountedBy = "backend" | "tokenizer" | "estimate";

/** How an answer ended. */
export interface Trailer {
  /** As the model said (`stop`, `length`, `tool_calls`, `content_filter`, …), or `cancelled`, or `error`. */
  readonly finish: string;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens of the answer. */
  readonly completionTokens: number;
  /** Who counted them. */
  readonly countedBy: CountedBy;
  /** Why the answer is incomplete, where `finish` is `cancelled` or `error`. */
  readonly error?: ErrorData;
}

/** A trailer as one line of JSON. */
export function encodeTrailer(trailer: Trailer): Uint8Array<ArrayBuffer> {
  const { finish, promptTokens, completionTokens, countedBy, error } = trailer;
  return new TextEncoder().encode(
    JSON.stringify({
      finish: truncateUtf8(finish, MAX_TEXT_BYTES),
      usage: { prompt_tokens: promptTokens, completion_tokens: completionTokens },
      counted_by: countedBy,
      ...(error && {
        error: { code: error.code, message: truncateUtf8(error.message, MAX_TEXT_BYTES) },
      }),
    }) + "\n",
  );
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= UINT32_MAX;

const isShortText = (value: unknown): value is string =>
  typeof value === "string" && value.length <= MAX_TEXT_BYTES;

/** A trailer from its exact bytes. @throws {LloomError} `frame_malformed` */
export function decodeTrailer(bytes: Uint8Array): Trailer {
  // One line, so that it is the last one of the answer for whoever reads that later.
  if (bytes[0] !== 0x7b || bytes.indexOf(0x0a) !== bytes.length - 1) {
    throw new LloomError("frame_malformed", "decode trailer: not one line");
  }
  const value = parseJson(bytes, MAX_TRAILER_BYTES);
  const usage = isJsonObject(value) ? value.usage : undefined;
  if (
    !isJsonObject(value) || !isShortText(value.finish) || !isJsonObject(usage) ||
    !isCount(usage.prompt_tokens) || !isCount(usage.completion_tokens) || "choices" in value
  ) {
    throw new LloomError("frame_malformed", "decode trailer: finish or usage missing");
  }
  const { counted_by: countedBy, error } = value;
  if (countedBy !== "backend" && countedBy !== "tokenizer" && countedBy !== "estimate") {
    throw new LloomError("frame_malformed", "decode trailer: unknown counted_by");
  }
  const trailer = {
    finish: value.finish,
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
    countedBy,
  } as const;
  const isCutShort = value.finish === "cancelled" || value.finish === "error";
  if (isCutShort !== (error !== undefined)) {
    throw new LloomError("frame_malformed", "decode trailer: finish and error contradict");
  }
  if (error === undefined) return trailer;
  if (!isJsonObject(error) || !isShortText(error.message) || typeof error.code !== "string") {
    throw new LloomError("frame_malformed", "decode trailer: error without code and message");
  }
  const code = isErrorCode(error.code) ? error.code : "internal";
  return { ...trailer, error: { code, message: error.message } };
}
