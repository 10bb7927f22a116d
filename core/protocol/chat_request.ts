/** The body of a request: an OpenAI chat-completion request, as exact bytes. @module */
import { LloomError } from "../errors.ts";
import { isJsonObject, type JsonObject, parseJson } from "./json.ts";
import { MAX_BODY_BYTES, MAX_JSON_VALUES, MAX_MODEL_NAME_BYTES } from "./limits.ts";
import { truncateUtf8 } from "./text.ts";

/** What Lloom itself needs to know of a chat request. Everything else passes through in `raw`. */
export interface ChatRequest {
  /** The model asked for. */
  readonly model: string;
  /** The conversation so far. */
  readonly messages: readonly JsonObject[];
  /** The most tokens of answer: `max_completion_tokens`, or `max_tokens`. */
  readonly maxTokens?: number;
  /** Absent: the model's own. */
  readonly temperature?: number;
  /** Absent: the model's own. */
  readonly topP?: number;
  /** For an answer that can be repeated, where the model server can. */
  readonly seed?: number;
  /** Texts that end the answer. */
  readonly stop: readonly string[];
  /** Answers asked for. */
  readonly n: number;
  /** Every field, as sent. */
  readonly raw: JsonObject;
}

function fail(field: string, want: string): never {
  throw new LloomError("request_invalid", `parse chat request: ${field} must be ${want}`);
}

function optionalNumber(raw: JsonObject, field: string, low: number, high: number) {
  const value = raw[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !(value >= low && value <= high)) {
    fail(field, `a number from ${low} to ${high}`);
  }
  return value;
}

function optionalInteger(raw: JsonObject, field: string, low: number, high: number) {
  const value = optionalNumber(raw, field, low, high);
  if (value !== undefined && !Number.isInteger(value)) fail(field, "an integer");
  return value;
}

function stops(raw: JsonObject): readonly string[] {
  const value = raw.stop;
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length > 16 || !list.every((s) => typeof s === "string" && s.length <= 1024)) {
    fail("stop", "at most 16 texts");
  }
  return list;
}

/**
 * A chat request from its exact bytes.
 * @throws {LloomError} `request_invalid`, `frame_malformed`, `frame_too_large`
 */
export function parseChatRequest(body: Uint8Array): ChatRequest {
  const raw = parseJson(body, MAX_BODY_BYTES, MAX_JSON_VALUES);
  if (!isJsonObject(raw)) fail("body", "an object");
  return readChatRequest(raw);
}

/** A chat request from parsed JSON. @throws {LloomError} `request_invalid` */
export function readChatRequest(raw: JsonObject): ChatRequest {
  const { model, messages } = raw;
  if (
    typeof model !== "string" || model === "" || truncateUtf8(model, MAX_MODEL_NAME_BYTES) !== model
  ) {
    fail("model", "a name");
  }
  if (!Array.isArray(messages) || messages.length === 0) fail("messages", "a list, not empty");
  for (const message of messages) {
    if (!isJsonObject(message) || typeof message.role !== "string") {
      fail("messages", "objects with a role");
    }
  }
  const maxTokens = optionalInteger(raw, "max_completion_tokens", 1, 2 ** 31 - 1) ??
    optionalInteger(raw, "max_tokens", 1, 2 ** 31 - 1);
  const temperature = optionalNumber(raw, "temperature", 0, 2);
  const topP = optionalNumber(raw, "top_p", 0, 1);
  const seed = optionalInteger(raw, "seed", -(2 ** 53), 2 ** 53);
  return {
    model,
    messages,
    stop: stops(raw),
    n: optionalInteger(raw, "n", 1, 16) ?? 1,
    raw,
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(seed !== undefined && { seed }),
  };
}

/** A message's text: its `content`, or its text parts joined. Empty where there is none. */
export function messageText(message: JsonObject): string {
  const { content } = message;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) =>
    isJsonObject(part) && part.type === "text" && typeof part.text === "string" ? part.text : ""
  ).join("");
}

/** The system prompt that a request commits to: all `system` and `developer` messages, by line feeds. */
export function systemPrompt(request: ChatRequest): string {
  return request.messages
    .filter(({ role }) => role === "system" || role === "developer")
    .map(messageText)
    .join("\n");
}

/** What a model must be able to do to answer this request, in the names that announcements use. */
export function requiredFeatures(request: ChatRequest): readonly string[] {
  const { raw, messages } = request;
  const features: string[] = [];
  if (Array.isArray(raw.tools) && raw.tools.length > 0) features.push("tools");
  const format = isJsonObject(raw.response_format) ? raw.response_format.type : undefined;
  if (format === "json_schema") features.push("json_schema");
  const hasImage = messages.some(({ content }) =>
    Array.isArray(content) &&
    content.some((part) => isJsonObject(part) && part.type === "image_url")
  );
  if (hasImage) features.push("vision");
  return features;
}
