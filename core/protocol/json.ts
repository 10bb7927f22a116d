/** JSON from outside, parsed once and bounded. @module */
import { LloomError } from "../errors.ts";
import { MAX_JSON_DEPTH } from "./limits.ts";

/** A JSON object whose fields are not yet known. */
export type JsonObject = { readonly [key: string]: unknown };

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Whether a value is a JSON object: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * UTF-8 JSON as a value.
 * @param maxValues most values of all kinds, where the size alone bounds the memory too loosely:
 * as `{},{},…`, each three bytes take more than sixty
 * @throws {LloomError} `frame_too_large` above `maxBytes`, `maxValues` or {@linkcode MAX_JSON_DEPTH},
 * `frame_malformed` if it is not UTF-8 or not JSON
 */
export function parseJson(bytes: Uint8Array, maxBytes: number, maxValues = Infinity): unknown {
  if (bytes.length > maxBytes) {
    throw new LloomError("frame_too_large", `parse JSON: ${bytes.length} of ${maxBytes} bytes`);
  }
  try {
    return parseBounded(decoder.decode(bytes), maxValues);
  } catch (thrown) {
    if (thrown instanceof LloomError) throw thrown;
    // The parser's own message quotes the text, which may be somebody's prompt.
    throw new LloomError("frame_malformed", "parse JSON: not well-formed UTF-8 JSON");
  }
}

/**
 * {@linkcode parseJson} for a text that is bounded already.
 * @throws {LloomError} `frame_too_large` above {@linkcode MAX_JSON_DEPTH}, `frame_malformed`
 */
export function parseJsonText(text: string): unknown {
  try {
    return parseBounded(text, Infinity);
  } catch (thrown) {
    if (thrown instanceof LloomError) throw thrown;
    throw new LloomError("frame_malformed", "parse JSON: not well-formed");
  }
}

const QUOTE = 0x22, COMMA = 0x2c, BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b, CLOSE_LIST = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;

function parseBounded(text: string, maxValues: number): unknown {
  // A text this short can hold neither too many values nor nesting that overflows the stack.
  if (text.length > 8 * MAX_JSON_DEPTH) assertBounded(text, maxValues);
  return JSON.parse(text);
}

/**
 * Counts values and depth before any memory is spent on them: commas and brackets outside strings.
 * Strings, which make up almost all of a large text, are skipped by search.
 */
function assertBounded(text: string, maxValues: number): void {
  let values = 1, depth = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i);
        continue;
      case COMMA:
        values++;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        values++;
        depth++;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        continue;
      default:
        continue;
    }
    if (values > maxValues) {
      throw new LloomError("frame_too_large", `parse JSON: above ${maxValues} values`);
    }
    if (depth > MAX_JSON_DEPTH) {
      throw new LloomError("frame_too_large", `parse JSON: nested above ${MAX_JSON_DEPTH} deep`);
    }
  }
}

/** Where the string that begins at `start` ends; the end of the text if it does not. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}
