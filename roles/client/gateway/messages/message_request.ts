/** Requests of Anthropic's Messages API, as chat requests. @module */
import type { JsonObject } from "@lloom/core/protocol";
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
import { ChatMessages } from "../chat_messages.ts";
import { addMessage, systemText } from "./message_content.ts";

/** What the client asked for. */
export interface MessageRequest {
  /** The chat request that goes to the network. */
  readonly chat: JsonObject;
  /** Whether the answer is to come as events. */
  readonly stream: boolean;
  /** Texts that end the answer. */
  readonly stops: readonly string[];
  /** How it is to be routed, as sent. */
  readonly provider: unknown;
}

/** Fields without which an answer is as good: whose request it is, and what Anthropic spares itself. */
const WITHOUT_EFFECT = ["metadata", "service_tier", "cache_control", "speed", "context_management"];
const KNOWN: ReadonlySet<string> = new Set([
  ...["model", "messages", "max_tokens", "system", "stop_sequences", "stream", "temperature"],
  ...["top_p", "top_k", "tools", "tool_choice", "thinking", "output_config", "provider"],
  ...WITHOUT_EFFECT,
]);

/** Efforts that OpenAI's field knows; stronger ones of Anthropic's are its strongest. */
const EFFORTS: Readonly<Record<string, string>> = {
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
  max: "high",
};
/** Tokens of thought from which on an effort is medium, and high. */
const MEDIUM_BUDGET = 4096, HIGH_BUDGET = 16_384;

/**
 * Reads a request.
 * @param counting whether only its tokens are to be counted; then it needs no `max_tokens`
 * @throws {LloomError} `request_invalid`, `feature_unsupported`
 */
export function readMessageRequest(body: JsonObject, counting = false): MessageRequest {
  refuseUnknown(body, KNOWN);
  const maxTokens = numberField(body.max_tokens, "max_tokens", 1, 2 ** 31 - 1);
  if (maxTokens === undefined && !counting) mustBe("max_tokens", "a number from 1");
  const stops = listField(body.stop_sequences, "stop_sequences").map((stop, i) =>
    textField(stop, `stop_sequences[${i}]`)
  );
  const choice = readToolChoice(body.tool_choice);
  const { format, effort } = readOutputConfig(body.output_config);
  const chat = present({
    model: body.model,
    messages: readMessages(body),
    max_tokens: maxTokens,
    stop: stops.length > 0 ? stops : undefined,
    temperature: numberField(body.temperature, "temperature", 0, 1),
    top_p: numberField(body.top_p, "top_p", 0, 1),
    top_k: numberField(body.top_k, "top_k", 0, 2 ** 31 - 1),
    tools: readTools(body.tools),
    tool_choice: choice.choice,
    parallel_tool_calls: choice.parallel,
    response_format: format,
    reasoning_effort: readThinking(body.thinking, effort),
  });
  const stream = flagField(body.stream, "stream", false);
  return { chat, stream, stops, provider: body.provider };
}

function readMessages(body: JsonObject): readonly JsonObject[] {
  const messages = new ChatMessages();
  messages.system(systemText(body.system, "system"));
  const list = listField(body.messages, "messages");
  if (list.length === 0) mustBe("messages", "a list, not empty");
  list.forEach((message, i) =>
    addMessage(messages, objectField(message, `messages[${i}]`), `messages[${i}]`)
  );
  // A last message of the model is the beginning of its answer.
  const last = list.at(-1) as JsonObject;
  const chat = messages.list(last.role === "assistant");
  const final = chat.at(-1);
  if (final?.prefix === true && (final.tool_calls !== undefined || final.content === null)) {
    mustBe("messages", "ended by the user, by a tool's result, or by text of the assistant");
  }
  return chat;
}

function readTools(value: unknown): readonly JsonObject[] | undefined {
  const tools = listField(value, "tools");
  if (tools.length === 0) return undefined;
  return tools.map((item, i) => {
    const field = `tools[${i}]`;
    const tool = objectField(item, field);
    if (tool.type !== undefined && tool.type !== null && tool.type !== "custom") {
      unsupported(`${field} must be a tool of your own: Anthropic's are not on this network`);
    }
    const described = present({
      name: textField(tool.name, `${field}.name`),
      description: tool.description,
      parameters: objectField(tool.input_schema, `${field}.input_schema`),
      strict: tool.strict,
    });
    return { type: "function", function: described };
  });
}

/** How tools may be used, in OpenAI's words. */
interface ToolChoice {
  readonly choice?: unknown;
  readonly parallel?: boolean;
}

function readToolChoice(value: unknown): ToolChoice {
  if (value === undefined || value === null) return {};
  const { type, name, disable_parallel_tool_use: disable } = objectField(value, "tool_choice");
  const isSingle = flagField(disable, "tool_choice.disable_parallel_tool_use", false);
  const parallel = isSingle ? { parallel: false } : {};
  switch (type) {
    case "auto":
    case "none":
      return { choice: type, ...parallel };
    case "any":
      return { choice: "required", ...parallel };
    case "tool": {
      const called = { name: textField(name, "tool_choice.name") };
      return { choice: { type: "function", function: called }, ...parallel };
    }
    default:
      return mustBe("tool_choice.type", "auto, tool, none or any");
  }
}

function readOutputConfig(
  value: unknown,
): { readonly format?: JsonObject; readonly effort?: string } {
  if (value === undefined || value === null) return {};
  const { format, effort, ...others } = objectField(value, "output_config");
  refuseUnknown(others, new Set());
  return {
    ...(format !== undefined && format !== null && { format: readFormat(format) }),
    ...(effort !== undefined && effort !== null && { effort: effortOf(effort) }),
  };
}

function readFormat(value: unknown): JsonObject {
  const { type, schema } = objectField(value, "output_config.format");
  if (type !== "json_schema") mustBe("output_config.format.type", "json_schema");
  const json = { name: "answer", schema: objectField(schema, "output_config.format.schema") };
  return { type, json_schema: { ...json, strict: true } };
}

function effortOf(value: unknown): string {
  const known = typeof value === "string" && Object.hasOwn(EFFORTS, value);
  return known
    ? EFFORTS[value]!
    : mustBe("output_config.effort", "low, medium, high, xhigh or max");
}

/** Anthropic counts the tokens of thought, other servers know degrees of effort. */
function readThinking(value: unknown, effort: string | undefined): string | undefined {
  if (value === undefined || value === null) return effort;
  const { type, budget_tokens: budget } = objectField(value, "thinking");
  switch (type) {
    case "disabled":
    case "adaptive": // the model decides, as it does when nothing is said
      return effort;
    case "enabled": {
      const tokens = numberField(budget, "thinking.budget_tokens", 1, 2 ** 31 - 1) ??
        mustBe("thinking.budget_tokens", "a number from 1");
      return effort ?? (tokens < MEDIUM_BUDGET ? "low" : tokens < HIGH_BUDGET ? "medium" : "high");
    }
    default:
      return mustBe("thinking.type", "enabled, adaptive or disabled");
  }
}
