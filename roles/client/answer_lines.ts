/** The lines of an answer, as they came from an executor. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject, parseJsonText } from "@lloom/core/protocol";

/** One line: its text without the line feed, and what it says. */
export interface AnswerLine {
  /** The JSON as it came. */
  readonly text: string;
  /** An object with a list `choices`, or a list `data`. */
  readonly value: JsonObject;
}

const decoder = new TextDecoder();

/**
 * The lines in a batch of whole lines, as an executor delivers them.
 * @throws {LloomError} `protocol_violation` for one that is no part of an answer, `frame_malformed`,
 * `frame_too_large`
 */
export function* readLines(lines: Uint8Array): Generator<AnswerLine> {
  for (const text of decoder.decode(lines).split("\n")) {
    if (text === "") continue;
    const value = parseJsonText(text);
    if (!isJsonObject(value) || !(Array.isArray(value.choices) || Array.isArray(value.data))) {
      throw new LloomError("protocol_violation", "read answer: a line without choices or data");
    }
    yield { text, value };
  }
}
