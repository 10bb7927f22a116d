/**
 * The body of a request: an OpenAI chat-completion, completion or embedding request, as exact bytes.
 * Its shape tells which: it has `messages`, a `prompt` or an `input`.
 * @module
 */
import { LloomError } from "../errors.ts";
import { isJsonObject, type JsonObject, parseJson } from "./json.ts";
import {
  MAX_BODY_BYTES,
  MAX_EMBEDDING_INPUTS,
  MAX_JSON_VALUES,
  MAX_MODEL_NAME_BYTES,
  MAX_PROMPTS,
} from "./limits.ts";
import { truncateUtf8 } from "./text.ts";

/** What is asked of a model. */
export type RequestKind = "chat" | "completion" | "embedding";

/** What Lloom itself needs to know of any request. Everything else passes through in `raw`. */
export interface CommonRequest {
  /** What is asked of the model. */
  readonly kind: RequestKind;
  /** The model asked for. */
  readonly model: string;
  /** The most tokens of each answer: `max_completion_tokens`, or `max_tokens`. */
  readonly maxTokens?: number;
  /** Absent: the model's own. */
  readonly temperature?: number;
  /** Absent: the model's own. */
  readonly topP?: number;
  /** For an answer that can be repeated, where the model server can. */
  readonly seed?: number;
  /** Texts that end the answer. */
  readonly stop: readonly string[];
  /** Answers asked for, to each prompt. */
  readonly n: number;
  /** Every field, as sent. */
  readonly raw: JsonObject;
}

/** A conversation to be answered. */
export interface ChatRequest extends CommonRequest {
  /** Told by `messages`. */
  readonly kind: "chat";
  /** The conversation so far. */
  readonly messages: readonly JsonObject[];
  /** The last message, with `"prefix": true`, is the beginning of the answer, to be continued. */
  readonly continues: boolean;
}

/** Texts to be continued. */
export interface CompletionRequest extends CommonRequest {
  /** Told by `prompt`. */
  readonly kind: "completion";
  /** The texts, each with answers of its own. */
  readonly prompts: readonly string[];
}

/** Texts, or their tokens, to be turned into vectors. */
export interface EmbeddingRequest extends CommonRequest {
  /** Told by `input`. */
  readonly kind: "embedding";
  /** What a vector each is asked of. */
  readonly inputs: readonly string[] | readonly (readonly number[])[];
}

/** Anything that can be asked of a model. */
export type ModelRequest = ChatRequest | CompletionRequest | EmbeddingRequest;

function fail(field: string, want: string): never {
  throw new LloomError("request_invalid", `parse request: ${field} must be ${want}`);
}

const isAbsent = (value: unknown): value is undefined | null =>
  value === undefined || value === null;

function optionalNumber(raw: JsonObject, field: string, low: number, high: number) {
  const value = raw[field];
  if (isAbsent(value)) return undefined;
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
  if (isAbsent(value)) return [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length > 16 || !list.every((s) => typeof s === "string" && s.length <= 1024)) {
    fail("stop", "at most 16 texts");
  }
  return list;
}

/**
 * A request from its exact bytes.
 * @throws {LloomError} `request_invalid`, `frame_malformed`, `frame_too_large`
 */
export function parseModelRequest(body: Uint8Array): ModelRequest {
  const raw = parseJson(body, MAX_BODY_BYTES, MAX_JSON_VALUES);
  if (!isJsonObject(raw)) fail("body", "an object");
  return readModelRequest(raw);
}

/** A request from parsed JSON. @throws {LloomError} `request_invalid` */
export function readModelRequest(raw: JsonObject): ModelRequest {
  const common = readCommon(raw);
  const { messages, prompt, input } = raw;
  if ([messages, prompt, input].filter(isAbsent).length !== 2) {
    fail("body", "one with either messages, a prompt or an input");
  }
  if (!isAbsent(messages)) return { kind: "chat", ...readMessages(messages), ...common };
  if (!isAbsent(prompt)) return { kind: "completion", prompts: readPrompts(prompt), ...common };
  return { kind: "embedding", inputs: readInputs(input), ...common };
}

function readCommon(raw: JsonObject): Omit<CommonRequest, "kind"> {
  const { model, continues } = raw;
  if (
    typeof model !== "string" || model === "" || truncateUtf8(model, MAX_MODEL_NAME_BYTES) !== model
  ) {
    fail("model", "a name");
  }
  // Links a request to the one whose broken answer it continues, under its signature.
  if (
    !isAbsent(continues) && (typeof continues !== "string" || !/^0x[\da-f]{64}$/.test(continues))
  ) {
    fail("continues", "the hash of a request");
  }
  const maxTokens = optionalInteger(raw, "max_completion_tokens", 1, 2 ** 31 - 1) ??
    optionalInteger(raw, "max_tokens", 1, 2 ** 31 - 1);
  const temperature = optionalNumber(raw, "temperature", 0, 2);
  const topP = optionalNumber(raw, "top_p", 0, 1);
  const seed = optionalInteger(raw, "seed", -(2 ** 53), 2 ** 53);
  return {
    model,
    stop: stops(raw),
    n: optionalInteger(raw, "n", 1, 16) ?? 1,
    raw,
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(seed !== undefined && { seed }),
  };
}

function readMessages(messages: unknown): Pick<ChatRequest, "messages" | "continues"> {
  if (!Array.isArray(messages) || messages.length === 0) fail("messages", "a list, not empty");
  let continues = false;
  for (const [i, message] of messages.entries()) {
    if (!isJsonObject(message) || typeof message.role !== "string") {
      fail("messages", "objects with a role");
    }
    const { prefix, role, content, tool_calls: calls } = message;
    if (isAbsent(prefix) || prefix === false) continue;
    continues = prefix === true && i === messages.length - 1 && role === "assistant" &&
      typeof content === "string" && content !== "" && isAbsent(calls);
    if (!continues) fail("prefix", "true, on a last message that is an assistant's text");
  }
  return { messages, continues };
}

function readPrompts(prompt: unknown): readonly string[] {
  const prompts = Array.isArray(prompt) ? prompt : [prompt];
  const fits = prompts.length > 0 && prompts.length <= MAX_PROMPTS &&
    prompts.every((text) => typeof text === "string");
  if (!fits) fail("prompt", `a text, or at most ${MAX_PROMPTS} texts`);
  return prompts;
}

const isToken = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const areTokens = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length > 0 && value.every(isToken);

function readInputs(input: unknown): EmbeddingRequest["inputs"] {
  const inputs: readonly unknown[] = Array.isArray(input) && !areTokens(input) ? input : [input];
  if (inputs.length > 0 && inputs.length <= MAX_EMBEDDING_INPUTS) {
    if (inputs.every(isText)) return inputs;
    if (inputs.every(areTokens)) return inputs;
  }
  fail("input", `a text or its tokens, not empty, or at most ${MAX_EMBEDDING_INPUTS} of a kind`);
}

/** How many texts a request asks for: `n` to each prompt, and none where it asks for vectors. */
export function answersOf(request: ModelRequest): number {
  switch (request.kind) {
    case "chat":
      return request.n;
    case "completion":
      return request.n * request.prompts.length;
    case "embedding":
      return 0;
  }
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

/**
 * The system prompt that a request commits to: all `system` and `developer` messages, by line feeds.
 * Empty for anything but a chat.
 */
export function systemPrompt(request: ModelRequest): string {
  if (request.kind !== "chat") return "";
  return request.messages
    .filter(({ role }) => role === "system" || role === "developer")
    .map(messageText)
    .join("\n");
}
