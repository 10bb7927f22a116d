/**
 * What a model server's failures mean, and how much of its own words a peer may see.
 * @module
 */
import { type ErrorCode, LloomError } from "@lloom/core/errors";
import { isJsonObject } from "@lloom/core/protocol";

/** Longest part of a server's own message that is passed on, in characters. */
const MAX_QUOTE_CHARS = 200;
/** Longest wait that a server may ask of us, in milliseconds. */
const MAX_RETRY_AFTER_MS = 3_600_000;

const CONTEXT_CODES = new Set(["context_length_exceeded", "exceed_context_size_error"]);
const CONTEXT_WORDS =
  /maximum context length|context (?:size|length|window)|context the overflows|too many tokens/i;
/** Things that look like credentials, whoever they belong to. */
const SECRET_WORDS = /\b(?:bearer|basic)\s+\S+|\b(?:sk|pk|key|hf|gsk)[-_][\w*.-]{6,}/gi;
/** Addresses inside the executor's network are nobody's business. */
const ADDRESS_WORDS = /\b[a-z][a-z0-9+.-]*:\/\/\S+/gi;

interface ServerError {
  readonly code: string;
  readonly message: string;
}

/** The error inside a JSON body, in the shapes that servers use: `{error: {…}}`, `{error: "…"}`, `{message}`, `{detail}`. */
function findError(value: unknown): ServerError {
  if (!isJsonObject(value)) return { code: "", message: "" };
  const error = isJsonObject(value.error) ? value.error : value;
  const texts = [error.message, value.error, value.detail, value.message];
  const codes = [error.code, error.type];
  const isText = (text: unknown): text is string => typeof text === "string";
  return { code: codes.find(isText) ?? "", message: texts.find(isText) ?? "" };
}

/** A server's message made fit for a peer: one short line without credentials or addresses. */
export function quote(message: string, secret = ""): string {
  let text = message.slice(0, 4 * MAX_QUOTE_CHARS);
  if (secret !== "") text = text.replaceAll(secret, "…");
  text = text.replace(SECRET_WORDS, "…").replace(ADDRESS_WORDS, "…")
    .replace(/[\p{C}\s]+/gu, " ").trim();
  return text.length <= MAX_QUOTE_CHARS ? text : `${text.slice(0, MAX_QUOTE_CHARS)}…`;
}

function isContextError({ code, message }: ServerError): boolean {
  return CONTEXT_CODES.has(code) || CONTEXT_WORDS.test(message.slice(0, 4 * MAX_QUOTE_CHARS));
}

/** Milliseconds from a `Retry-After` header: seconds, or an HTTP date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+(?:\.\d+)?$/.test(header.trim())
    ? Number(header) * 1000
    : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(Math.round(ms), 0), MAX_RETRY_AFTER_MS);
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return "backend_unauthorized";
  if (status === 429) return "rate_limited";
  return status >= 500 ? "backend_failed" : "backend_rejected";
}

/**
 * An answer that is not 2xx, as a coded error.
 * @param body the parsed body; undefined if it is not JSON
 * @param secret the API key, which never appears in the message
 */
export function errorOfResponse(
  status: number,
  body: unknown,
  retryAfter: string | null,
  secret: string,
): LloomError {
  const error = findError(body);
  let code = codeOfStatus(status);
  if (code === "backend_rejected" && isContextError(error)) code = "context_length_exceeded";
  // A refused key is the executor's affair: servers quote it in part.
  const words = code === "backend_unauthorized" ? "" : quote(error.message, secret);
  const message = `call backend: status ${status}${words === "" ? "" : `, ${words}`}`;
  const wait = code === "rate_limited" || status === 503 ? retryAfterMs(retryAfter) : undefined;
  return new LloomError(code, message, wait === undefined ? {} : { retryAfterMs: wait });
}

/** An error object inside a stream or a 200 answer, as a coded error. */
export function errorInBody(body: unknown, secret: string): LloomError {
  const error = findError(body);
  const code = isContextError(error) ? "context_length_exceeded" : "backend_failed";
  const words = quote(error.message, secret);
  return new LloomError(code, `read answer: backend error${words === "" ? "" : `, ${words}`}`);
}
