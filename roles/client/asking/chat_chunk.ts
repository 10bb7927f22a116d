/** Pieces of an answer, as OpenAI's clients know them. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import { readLines } from "./answer_lines.ts";

/** What one piece adds to one answer. Fields that Lloom does not know are there too. */
export interface ChatChoice {
  /** Which of the answers asked for. */
  readonly index: number;
  /** What is added to its message. */
  readonly delta: JsonObject;
  /** Why the answer ended; null before that. */
  readonly finish_reason: string | null;
}

/** One piece of an answer: the `choices` of an OpenAI `chat.completion.chunk`. */
export interface ChatChunk {
  /** What it adds to each answer. */
  readonly choices: readonly ChatChoice[];
}

/** The text that a piece adds to the first answer; empty if it adds none. */
export function textOf({ choices }: ChatChunk): string {
  const content = choices.find(({ index }) => index === 0)?.delta.content;
  return typeof content === "string" ? content : "";
}

/** Whether a piece holds something the model said, and not only that it begins or ends. */
export function saysSomething({ choices }: ChatChunk): boolean {
  return choices.some(({ delta }) =>
    Object.entries(delta).some(([key, value]) =>
      key !== "role" && value !== "" && value !== null && value !== undefined
    )
  );
}

/**
 * The pieces in whole lines, as an executor delivers them.
 * @throws {LloomError} `protocol_violation` for a line that is none
 */
export function* readChunks(lines: Uint8Array): Generator<ChatChunk> {
  for (const { value } of readLines(lines)) {
    if (!Array.isArray(value.choices)) {
      throw new LloomError("protocol_violation", "read answer: a line without choices");
    }
    yield { choices: value.choices.map(readChoice) };
  }
}

function readChoice(value: unknown, position: number): ChatChoice {
  if (!isJsonObject(value)) {
    throw new LloomError("protocol_violation", "read answer: a choice that is none");
  }
  const { index, delta, finish_reason: finish } = value;
  return {
    ...value,
    index: typeof index === "number" ? index : position,
    delta: isJsonObject(delta) ? delta : {},
    finish_reason: typeof finish === "string" ? finish : null,
  };
}
