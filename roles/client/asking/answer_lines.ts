/** The lines of an answer, as executors deliver them. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject, parseJsonText } from "@lloom/core/protocol";

/** One line of an answer. */
export interface AnswerLine {
  /** Its JSON on one line, from `{` to `}`: nothing in it ends a line, also not of server-sent events. */
  readonly text: string;
  /** What it says: a list `choices` of texts or deltas, or a list `data` of vectors, and nothing else. */
  readonly value: JsonObject;
}

const decoder = new TextDecoder();

/**
 * The lines in whole lines of bytes.
 * @throws {LloomError} `protocol_violation` for a line that is none of an answer, `frame_malformed` for
 * one that is not JSON
 */
export function* readLines(lines: Uint8Array): Generator<AnswerLine> {
  for (const text of decoder.decode(lines).split("\n")) {
    if (text !== "") yield readLine(text);
  }
}

function readLine(text: string): AnswerLine {
  const read = parseJsonText(text);
  const field = !isJsonObject(read)
    ? undefined
    : Array.isArray(read.choices)
    ? "choices"
    : Array.isArray(read.data)
    ? "data"
    : undefined;
  if (!isJsonObject(read) || field === undefined) {
    throw new LloomError("protocol_violation", "read answer: a line without choices or data");
  }
  const isPlain = text.startsWith("{") && text.endsWith("}") && !text.includes("\r") &&
    Object.keys(read).length === 1;
  if (isPlain) return { text, value: read };
  // Whoever puts the line into an object of its own must not find its own fields contradicted there.
  const value = { [field]: read[field] };
  return { text: JSON.stringify(value), value };
}
