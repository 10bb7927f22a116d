/**
 * How much text an answer carries: what both ends hold its price against. A token is no shorter than
 * a byte, so a paid answer never counts more tokens than its text has bytes. Only what is shown to
 * people counts: a field that nobody knows could be padding.
 * @module
 */
import { isJsonObject, type JsonObject, parseJsonText } from "./json.ts";

/** Fields that are text themselves, or have such fields. */
interface Texts {
  readonly [field: string]: Texts | true;
}

/** Content is a text, or a list of parts. */
const CONTENT: Texts = { text: true, refusal: true };
/** What of a delta is text; how deep it lies is told by the tree. */
const TEXTS: Texts = {
  content: CONTENT,
  reasoning: true,
  reasoning_content: true,
  refusal: true,
  tool_calls: { function: { name: true, arguments: true }, custom: { name: true, input: true } },
  function_call: { name: true, arguments: true },
  audio: { transcript: true },
};

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

/**
 * Bytes of text in one choice of a chunk: of a chat, what its `delta` has in content, reasoning,
 * refusal and calls; of a completion, its `text`.
 */
export function choiceTextBytes(choice: unknown): number {
  if (!isJsonObject(choice)) return 0;
  const { delta, text } = choice;
  if (isJsonObject(delta)) return fieldBytes(delta, TEXTS);
  return typeof text === "string" ? utf8Bytes(text) : 0;
}

function fieldBytes(object: JsonObject, texts: Texts): number {
  let bytes = 0;
  for (const field of Object.keys(texts)) {
    if (Object.hasOwn(object, field)) bytes += valueBytes(object[field], texts[field]!);
  }
  return bytes;
}

/** A field may be a text, an object with texts, or a list of such objects. */
function valueBytes(value: unknown, texts: Texts | true): number {
  if (typeof value === "string") return texts === true || texts === CONTENT ? utf8Bytes(value) : 0;
  if (texts === true) return 0;
  const parts = Array.isArray(value) ? value : [value];
  return parts.reduce<number>(
    (bytes, part) => isJsonObject(part) ? bytes + fieldBytes(part, texts) : bytes,
    0,
  );
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
