/** What Lloom adds to the answers of other people's APIs. @module */
import type { JsonObject } from "@lloom/core/protocol";
import type { AnswerEnd, AnswerPiece } from "./answer.ts";

/** The field `lloom` of a whole answer: who gave it, by which requests, and at which cost. */
export function lloomField({ parts, cost, asset, cached, estimated }: AnswerEnd): JsonObject {
  return {
    executor: parts.at(-1)?.peerId ?? null,
    requests: parts,
    ...(cost !== undefined && { cost, asset }),
    cached,
    ...(estimated && { estimated }),
  };
}

/** Where another executor continues, as a comment between server-sent events. */
export function seamComment({ peerId, code }: AnswerPiece & { readonly type: "seam" }): string {
  return `: lloom continued by ${peerId} after ${code}\n\n`;
}

/** Token counts in OpenAI's form. */
export function usageField({ promptTokens, completionTokens }: AnswerEnd): JsonObject {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
