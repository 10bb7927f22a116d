/**
 * A request as the tokens of a prompt, and what such a prompt cannot say. A chat's is in ChatML.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  isJsonObject,
  type JsonObject,
  messageText,
  type ModelRequest,
} from "@lloom/core/protocol";
import type { Tokenizer } from "./tokenizer.ts";

const ROLES: ReadonlyMap<unknown, string> = new Map([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
]);

function refuse(feature: string): never {
  throw new LloomError(
    "feature_unsupported",
    `read request: ${feature} not supported by this model`,
  );
}

/**
 * Refuses what would change the answer's meaning or form. Fields that only tune the choice of words
 * (penalties, `logit_bias`) or that do not concern the model (`user`, `store`) are ignored, as model
 * servers do.
 * @throws {LloomError} `feature_unsupported`
 */
export function refuseUnsupported({ raw, n }: ModelRequest): void {
  const isUsed = (value: unknown) => Array.isArray(value) && value.length > 0;
  if (isUsed(raw.tools) || isUsed(raw.functions)) refuse("tools are");
  if (n > 1) refuse("more than one answer is");
  if (raw.logprobs === true || typeof raw.logprobs === "number") refuse("log-probabilities are");
  if (raw.echo === true) refuse("repeating the prompt is");
  if (typeof raw.suffix === "string" && raw.suffix !== "") refuse("filling in between texts is");
  const format = raw.response_format;
  if (isJsonObject(format) && format.type !== "text") refuse("a response format is");
  if (Array.isArray(raw.modalities) && raw.modalities.some((kind) => kind !== "text")) {
    refuse("a modality besides text is");
  }
}

/** A message's text. @throws {LloomError} `feature_unsupported` if it has anything else */
function textOnly(message: JsonObject): string {
  const { content, tool_calls: toolCalls } = message;
  if (Array.isArray(toolCalls) && toolCalls.length > 0) refuse("tools are");
  if (Array.isArray(content)) {
    const isText = (part: unknown) => isJsonObject(part) && part.type === "text";
    if (!content.every(isText)) refuse("content besides text is");
  } else if (typeof content !== "string" && content !== undefined && content !== null) {
    throw new LloomError("request_invalid", "read chat: content is neither a text nor a list");
  }
  return messageText(message);
}

/**
 * The prompt's tokens. Marks are put in as tokens, never as text, so that a message cannot forge a turn.
 * @param limit most tokens
 * @throws {LloomError} `context_length_exceeded`, `feature_unsupported`, `request_invalid`
 */
export function encodeChat(
  { messages, continues }: Pick<ChatRequest, "messages" | "continues">,
  tokenizer: Tokenizer,
  limit: number,
): number[] {
  const [start, end] = [tokenizer.control("<|im_start|>"), tokenizer.control("<|im_end|>")];
  const lineFeed = tokenizer.encode("\n");
  const tokens: number[] = [];
  // `limit` bounds each text's tokens, and thereby its time; the sum is checked as it grows.
  const add = (...more: number[]) => {
    tokens.push(...more);
    if (tokens.length > limit) {
      throw new LloomError("context_length_exceeded", `read chat: more than ${limit} tokens`);
    }
  };
  for (const [i, message] of messages.entries()) {
    const role = ROLES.get(message.role) ?? refuse("this role is");
    add(start, ...tokenizer.encode(`${role}\n${textOnly(message)}`, limit));
    // An answer that is to be continued stays open.
    if (!continues || i < messages.length - 1) add(end, ...lineFeed);
  }
  if (!continues) add(start, ...tokenizer.encode("assistant\n"));
  return tokens;
}

/**
 * The tokens of a text that is to be continued as it stands.
 * @param limit most tokens
 * @throws {LloomError} `context_length_exceeded`, `request_invalid` if it is empty
 */
export function encodeText(text: string, tokenizer: Tokenizer, limit: number): readonly number[] {
  const tokens = tokenizer.encode(text, limit);
  if (tokens.length === 0) throw new LloomError("request_invalid", "read prompt: it is empty");
  return tokens;
}
