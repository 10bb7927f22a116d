/**
 * What of a client's request may reach the model server. A server does more for a field than write
 * text: it fetches addresses, runs hosted tools, keeps records, changes its template or its tier,
 * inside the executor's network and at its cost. So only what is known passes.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  isJsonObject,
  type JsonObject,
  type ModelRequest,
  type RequestKind,
} from "@lloom/core/protocol";

/** What concerns the choice of words: OpenAI's, and what local servers add to it. */
const SAMPLING = [
  ...["model", "stop", "n", "seed", "max_tokens", "min_tokens", "stop_token_ids", "logprobs"],
  ...["temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias"],
  ...["top_k", "min_p", "typical_p", "repeat_penalty", "repetition_penalty", "repeat_last_n"],
  ...["mirostat", "mirostat_tau", "mirostat_eta", "xtc_probability", "xtc_threshold"],
  ...["dry_multiplier", "dry_base", "dry_allowed_length"],
];

/** What concerns an answer, by the kind of request. */
const PASSED: Readonly<Record<RequestKind, ReadonlySet<string>>> = {
  chat: new Set([
    ...SAMPLING,
    ...["messages", "max_completion_tokens", "top_logprobs"],
    ...["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"],
    ...["response_format", "modalities", "audio", "prediction", "verbosity"],
    ...["reasoning_effort", "reasoning", "include_reasoning", "think"],
  ]),
  // Not `best_of`: it has the server write texts that nobody pays for.
  completion: new Set([...SAMPLING, "prompt", "suffix", "echo"]),
  embedding: new Set(["model", "input", "dimensions"]),
};

/**
 * Left out: an answer is the same without them. They name the user, keep records or caches at the
 * operator's account, ask to be served before others, or are Lloom's own to set or to read (`stream`,
 * `encoding_format`, `continues`).
 */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...["stream", "stream_options", "user", "metadata", "store", "safety_identifier"],
  ...["service_tier", "priority", "prompt_cache_key", "prompt_cache_retention", "cache_prompt"],
  ...["keep_alive", "ttl", "encoding_format", "continues"],
]);

/** Of a message. Clients send back what they got, with fields of all kinds: the others are left out. */
const MESSAGE_PASSED: ReadonlySet<string> = new Set([
  ...["role", "content", "name", "tool_calls", "tool_call_id", "function_call"],
  ...["reasoning_content", "reasoning", "thinking", "refusal"],
]);
/** Of a message, what would change its meaning and cannot be checked. */
const MESSAGE_REFUSED = [
  "images",
  "audio",
  "audios",
  "videos",
  "files",
  "documents",
  "attachments",
];

/** Fields of a content part whose value is a text and nothing else. */
const PART_TEXTS: ReadonlySet<string> = new Set(["type", "text", "refusal", "thinking"]);
/** Fields of a content part that hold media, and what inside is data, and what describes it. */
const PART_MEDIA: ReadonlySet<string> = new Set([
  ...["image_url", "input_audio", "audio_url", "video_url", "file"],
]);
const MEDIA_DATA: ReadonlySet<string> = new Set(["data", "file_data"]);
const MEDIA_NOTES: ReadonlySet<string> = new Set(["detail", "format", "filename"]);

/** Tools that the client runs. All others run at the server. */
const CLIENT_TOOLS: ReadonlySet<unknown> = new Set(["function", "custom"]);
const SCHEMA_REFERENCES = ["$ref", "$dynamicRef", "$recursiveRef"];

function refuse(what: string): never {
  throw new LloomError("feature_unsupported", `check request: ${what}`);
}

/** A name from outside, if it may stand in a message. */
function named(name: string): string {
  return /^[\w$.-]{1,64}$/.test(name) ? name : "with an unusual name";
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null;

/**
 * The request with the fields that may pass, and with content that refers to nothing outside it.
 * @param extraFields what the operator lets pass besides, unchecked
 * @throws {LloomError} `feature_unsupported` for what would change the answer and may not pass
 */
export function restrictRequest(
  request: ModelRequest,
  extraFields: ReadonlySet<string>,
): ModelRequest {
  const raw: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(request.raw)) {
    if (PASSED[request.kind].has(field) || extraFields.has(field)) raw[field] = value;
    else if (!LEFT_OUT.has(field) && !isAbsent(value)) {
      refuse(`the field ${named(field)} is not passed on to models here`);
    }
  }
  return request.kind === "chat" ? restrictChat(request, raw) : { ...request, raw };
}

function restrictChat(request: ChatRequest, raw: JsonObject): ChatRequest {
  const messages = request.messages.map(restrictMessage);
  checkTools(raw.tools);
  checkReferences(raw.tools);
  checkReferences(raw.functions);
  checkReferences(raw.response_format);
  if (isJsonObject(raw.prediction)) checkContent(raw.prediction.content);
  return { ...request, messages, raw: { ...raw, messages } };
}

function restrictMessage(message: JsonObject): JsonObject {
  checkContent(message.content);
  const passed: Record<string, unknown> = {};
  for (const field of Object.keys(message)) {
    if (MESSAGE_PASSED.has(field)) passed[field] = message[field];
  }
  for (const field of MESSAGE_REFUSED) {
    const value = message[field];
    const isEmpty = isAbsent(value) || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) refuse(`the field ${field} of a message is not passed on to models here`);
  }
  return passed;
}

function checkContent(content: unknown): void {
  if (!Array.isArray(content)) return;
  for (const part of content) {
    // Servers tell the kind of a part by its fields too: all count, whatever its type says.
    if (isJsonObject(part)) {
      for (const [field, value] of Object.entries(part)) checkField(field, value);
    }
  }
}

function checkField(field: string, value: unknown): void {
  if (PART_MEDIA.has(field)) return checkMedia(field, value);
  if (PART_TEXTS.has(field) || isAbsent(value)) return;
  refuse(`content with the field ${named(field)} is not passed on to models here`);
}

/** Media that are in the request itself: an address could be one inside the executor's network. */
function checkMedia(field: string, value: unknown): void {
  const only = `${field} must hold its data, as a data: URL`;
  if (typeof value === "string") return isDataUrl(value) ? undefined : refuse(only);
  if (!isJsonObject(value)) refuse(only);
  for (const [name, inner] of Object.entries(value)) {
    if (isAbsent(inner) || MEDIA_NOTES.has(name)) continue;
    const fits = typeof inner === "string" &&
      (isDataUrl(inner) || (MEDIA_DATA.has(name) && isBase64(inner)));
    if (!fits) refuse(only);
  }
}

const isDataUrl = (text: string): boolean => /^data:/i.test(text);
const isBase64 = (text: string): boolean => /^[\w+/=-]*$/.test(text);

function checkTools(tools: unknown): void {
  if (!Array.isArray(tools)) return;
  for (const tool of tools) {
    if (!isJsonObject(tool) || !CLIENT_TOOLS.has(tool.type)) {
      refuse("tools must be of type function or custom");
    }
  }
}

/** A JSON schema may refer to its own parts; some validators fetch what lies elsewhere. */
function checkReferences(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const inner of Object.values(value)) checkReferences(inner);
  if (Array.isArray(value)) return;
  for (const name of SCHEMA_REFERENCES) {
    const target = (value as JsonObject)[name];
    if (typeof target === "string" && !target.startsWith("#")) {
      refuse("a schema refers to another document");
    }
  }
}
