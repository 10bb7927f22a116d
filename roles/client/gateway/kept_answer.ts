/** Which answers may be given to everybody who asks the same. @module */
import { LloomError } from "@lloom/core/errors";
import { choiceTextBytes, type JsonObject } from "@lloom/core/protocol";
import type { AnswerEnd, AnswerLine } from "./answer.ts";
import { AnswerBlocks } from "./answer_blocks.ts";
import { ByIndex, MergedChoice, MergedText } from "./merged_choice.ts";

/** Ends at which an answer is all that there is to say. */
const WHOLE: ReadonlySet<string> = new Set(["stop", "length", "tool_calls"]);

/**
 * Whether an answer is whole, by one executor (a continued one has a seam that the next one would not
 * have), says something, and can be read by every API: a stream hands on what would fail elsewhere,
 * and whoever asks later would get nothing else.
 */
export function isWorthKeeping(
  request: JsonObject,
  lines: readonly AnswerLine[],
  { finish, parts, cached }: AnswerEnd,
): boolean {
  if (!WHOLE.has(finish) || parts.length !== 1 || cached) return false;
  // Vectors were held against their inputs when they came.
  if (request["input"] !== undefined) return true;
  const choices = new ByIndex(() =>
    request["prompt"] === undefined ? new MergedChoice() : new MergedText()
  );
  const blocks = new AnswerBlocks(() => "");
  let textBytes = 0;
  try {
    for (const { value } of lines) {
      choices.add(value["choices"]);
      for (const _event of blocks.take(value));
      if (!Array.isArray(value["choices"])) continue;
      for (const choice of value["choices"]) textBytes += choiceTextBytes(choice);
    }
  } catch (error) {
    if (error instanceof LloomError) return false;
    throw error;
  }
  return textBytes > 0;
}
