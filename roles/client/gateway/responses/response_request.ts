/** Requests of OpenAI's Responses API, as chat requests. @module */
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import {
  flagField,
  listField,
  mustBe,
  numberField,
  objectField,
  present,
  refuseUnknown,
  textField,
  unsupported,
} from "../body_fields.ts";
import { readResponseTools } from "./response_tools.ts";
import type { ResponseEcho } from "./response_types.ts";

/** What the client asked for. */
export interface ResponseRequest {
  /** The chat request, but for its messages. */
  readonly chat: JsonObject;
  /** What is new in the conversation, as items; some may be references to older ones. */
  readonly input: readonly JsonObject[];
  /** What the response repeats. */
  readonly echo: ResponseEcho;
  /** Whether the answer is to come as events. */
  readonly stream: boolean;
  /** Whether thoughts are to be shown as summaries. */
  readonly summarize: boolean;
  /** How it is to be routed, as sent. */
  readonly routing: Routing;
}

/** What a body says of its routing, as sent. */
export interface Routing {
  /** The field `provider`. */
  readonly provider?: unknown;
  /** The field `prompt_cache_key`. */
  readonly promptCacheKey?: unknown;
}

/** Fields that change no answer: whose request it is, and what OpenAI does with it at its place. */
const WITHOUT_EFFECT = [
  ...["safety_identifier", "service_tier", "prompt_cache_retention"],
  ...["prompt_cache_options", "stream_options"],
];
/** Fields of chat requests that other servers take here too. */
const PASSED = [
  ...["seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias"],
  ...["top_k", "min_p", "repetition_penalty"],
];
const KNOWN: ReadonlySet<string> = new Set([
  ...["model", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata"],
  ...["parallel_tool_calls", "previous_response_id", "reasoning", "store", "stream", "background"],
  ...["temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation"],
  ...["include", "user", "provider", "prompt_cache_key", ...WITHOUT_EFFECT, ...PASSED],
]);

const LOGPROBS = "message.output_text.logprobs";
/** Entries, and characters of a key and of a value, of `metadata`. */
const MAX_METADATA = [16, 64, 512] as const;

/** Reads a request. @throws {LloomError} `request_invalid`, `feature_unsupported` */
export function readResponseRequest(body: JsonObject): ResponseRequest {
  refuseUnknown(body, KNOWN);
  const model = optionalText(body.model, "model");
  const temperature = numberField(body.temperature, "temperature", 0, 2);
  const topP = numberField(body.top_p, "top_p", 0, 1);
  const maxTokens = numberField(body.max_output_tokens, "max_output_tokens", 1, 2 ** 31 - 1);
  const topLogprobs = numberField(body.top_logprobs, "top_logprobs", 0, 20) ?? 0;
  const parallel = flagField(body.parallel_tool_calls, "parallel_tool_calls", true);
  const tools = readResponseTools(body.tools, body.tool_choice);
  const reasoning = readReasoning(body.reasoning);
  const text = readText(body.text);
  const wantsLogprobs = topLogprobs > 0 || readInclude(body.include);
  if ((body.truncation ?? "disabled") !== "disabled") {
    unsupported("truncation must be disabled: nothing is left out of a conversation here");
  }
  const chat = present({
    model,
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    tools: tools.tools,
    tool_choice: tools.choice,
    parallel_tool_calls: parallel ? undefined : false,
    response_format: text.format,
    verbosity: text.verbosity,
    reasoning_effort: reasoning.effort,
    logprobs: wantsLogprobs ? true : undefined,
    top_logprobs: topLogprobs > 0 ? topLogprobs : undefined,
    ...Object.fromEntries(PASSED.map((field) => [field, body[field]])),
  });
  const echo: ResponseEcho = {
    background: flagField(body.background, "background", false),
    instructions: optionalText(body.instructions, "instructions"),
    max_output_tokens: maxTokens ?? null,
    max_tool_calls: numberField(body.max_tool_calls, "max_tool_calls", 0, 2 ** 31 - 1) ?? null,
    metadata: readMetadata(body.metadata),
    model: model ?? "default",
    parallel_tool_calls: parallel,
    previous_response_id: optionalText(body.previous_response_id, "previous_response_id"),
    reasoning,
    store: flagField(body.store, "store", true),
    temperature: temperature ?? null,
    text: text.echo,
    tool_choice: body.tool_choice ?? "auto",
    tools: tools.echo,
    top_logprobs: topLogprobs,
    top_p: topP ?? null,
    truncation: "disabled",
    user: optionalText(body.user, "user"),
  };
  const stream = flagField(body.stream, "stream", false);
  const summarize = reasoning.summary !== null;
  const routing = { provider: body.provider, promptCacheKey: body.prompt_cache_key };
  return { chat, input: readInput(body.input), echo, stream, summarize, routing };
}

function readInput(value: unknown): readonly JsonObject[] {
  if (typeof value === "string") {
    return [{ type: "message", role: "user", content: [{ type: "input_text", text: value }] }];
  }
  return listField(value, "input").map((item, i) => objectField(item, `input[${i}]`));
}

function optionalText(value: unknown, field: string): string | null {
  return value === undefined || value === null ? null : textField(value, field);
}

function readReasoning(value: unknown): ResponseEcho["reasoning"] {
  if (value === undefined || value === null) return { effort: null, summary: null };
  const { effort, summary, generate_summary: old, ...others } = objectField(value, "reasoning");
  refuseUnknown(others, new Set());
  return {
    effort: optionalText(effort, "reasoning.effort"),
    summary: optionalText(summary ?? old, "reasoning.summary"),
  };
}

/** How the words are to be: for the network, and as the response repeats it. */
interface TextSettings {
  readonly format: JsonObject | undefined;
  readonly verbosity: unknown;
  readonly echo: JsonObject;
}

function readText(value: unknown): TextSettings {
  const plain = { type: "text" };
  if (value === undefined || value === null) {
    return { format: undefined, verbosity: undefined, echo: { format: plain } };
  }
  const { format = plain, verbosity } = objectField(value, "text");
  const echo = { format, ...(typeof verbosity === "string" && { verbosity }) };
  return { format: readFormat(objectField(format, "text.format")), verbosity, echo };
}

function readFormat(format: JsonObject): JsonObject | undefined {
  switch (format.type) {
    case "text":
      return undefined;
    case "json_object":
      return { type: "json_object" };
    case "json_schema": {
      const { name, description, schema, strict } = format;
      const json = present({
        name: textField(name, "text.format.name"),
        description,
        schema: objectField(schema, "text.format.schema"),
        strict,
      });
      return { type: "json_schema", json_schema: json };
    }
    default:
      return mustBe("text.format.type", "text, json_object or json_schema");
  }
}

/** Whether log-probabilities are to be included. All else that can be included belongs to OpenAI's tools. */
function readInclude(value: unknown): boolean {
  return listField(value, "include").includes(LOGPROBS);
}

function readMetadata(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  const [maxEntries, maxKey, maxValue] = MAX_METADATA;
  const entries = isJsonObject(value) ? Object.entries(value) : undefined;
  const fits = entries !== undefined && entries.length <= maxEntries &&
    entries.every(([key, text]) =>
      key.length <= maxKey && typeof text === "string" && text.length <= maxValue
    );
  if (!fits) mustBe("metadata", `at most ${maxEntries} short texts`);
  return Object.fromEntries(entries.map(([key, text]) => [key, String(text)]));
}
