/**
 * How much text an answer carries: what both ends hold its price against. A token is no shorter than
 * a byte, so a paid answer never counts more tokens than its text has bytes.
 * @module
 */
import { isJsonObject, parseJsonText } from "./json.ts";

/** Fields of a delta that say what it is, not what the model wrote. */
const LABELS: ReadonlySet<string> = new Set(["role", "id", "type"]);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Bytes of text in whole lines of an answer, as UTF-8.
 * @throws {LloomError} `frame_malformed` if one is not JSON, `frame_too_large` if it is nested too deep
 */
export function textBytes(lines: Uint8Array): number {
  let bytes = 0;
  for (const line of utf8.decode(lines).split("\n")) {
    if (line === "") continue;
    const value = parseJsonText(line);
    if (!isJsonObject(value) || !Array.isArray(value.choices)) continue;
    for (const choice of value.choices) bytes += choiceTextBytes(choice);
  }
  return bytes;
}

/** Bytes of text in one choice of a chunk: all strings in its `delta`, but for roles, ids and types. */
export function choiceTextBytes(choice: unknown): number {
  return isJsonObject(choice) ? textBytesOf(choice.delta) : 0;
}

function textBytesOf(value: unknown): number {
  if (typeof value === "string") return utf8Bytes(value);
  if (typeof value !== "object" || value === null) return 0;
  let bytes = 0;
  for (const [key, inner] of Object.entries(value)) {
    if (!LABELS.has(key)) bytes += textBytesOf(inner);
  }
  return bytes;
}

/** Bytes of a text in UTF-8; a lone surrogate takes three, as the character that replaces it. */
function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    bytes += unit < 0x800 ? 1 : 2;
    if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) i++;
  }
  return bytes;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
