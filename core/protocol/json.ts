/** JSON from outside, parsed once and bounded. @module */
import { LloomError } from "../errors.ts";

/** A JSON object whose fields are not yet known. */
export type JsonObject = { readonly [key: string]: unknown };

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Whether a value is a JSON object: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * UTF-8 JSON as a value.
 * @throws {LloomError} `frame_too_large` above `maxBytes`, `frame_malformed` if it is not UTF-8 or not JSON
 */
export function parseJson(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.length > maxBytes) {
    throw new LloomError("frame_too_large", `parse JSON: ${bytes.length} of ${maxBytes} bytes`);
  }
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    // The parser's own message quotes the text, which may be somebody's prompt.
    throw new LloomError("frame_malformed", "parse JSON: not well-formed UTF-8 JSON");
  }
}

/** {@linkcode parseJson} for a text that is bounded already. */
export function parseJsonText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new LloomError("frame_malformed", "parse JSON: not well-formed");
  }
}
