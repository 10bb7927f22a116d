/** Tools of OpenAI's Responses API, as those of a chat request. @module */
import type { JsonObject } from "@lloom/core/protocol";
import { listField, mustBe, objectField, present, textField, unsupported } from "../body_fields.ts";

/** What a request says of tools. */
export interface ResponseTools {
  /** For the network; undefined if there are none. */
  readonly tools: readonly JsonObject[] | undefined;
  /** How they may be used, for the network. */
  readonly choice: unknown;
  /** As the response repeats them. */
  readonly echo: readonly JsonObject[];
}

/** Reads `tools` and `tool_choice`. @throws {LloomError} `request_invalid`, `feature_unsupported` */
export function readResponseTools(tools: unknown, toolChoice: unknown): ResponseTools {
  const echo = listField(tools, "tools").map((tool, i) => readTool(tool, `tools[${i}]`));
  const { choice, allowed } = readChoice(toolChoice);
  const offered = echo.filter(({ name }) => allowed === undefined || allowed.has(name));
  return { tools: offered.length > 0 ? offered.map(chatTool) : undefined, choice, echo };
}

function readTool(value: unknown, field: string): JsonObject {
  const { type, name, description, parameters, strict } = objectField(value, field);
  if (type !== "function") {
    unsupported(`${field} must be of type function: OpenAI's own tools are not on this network`);
  }
  return {
    type,
    name: textField(name, `${field}.name`),
    description: description ?? null,
    parameters: parameters === undefined || parameters === null
      ? null
      : objectField(parameters, `${field}.parameters`),
    strict: strict ?? null,
  };
}

function chatTool({ name, description, parameters, strict }: JsonObject): JsonObject {
  return { type: "function", function: present({ name, description, parameters, strict }) };
}

interface Choice {
  readonly choice?: unknown;
  /** Names of the tools that may be used; absent if all may. */
  readonly allowed?: ReadonlySet<unknown>;
}

function readChoice(value: unknown): Choice {
  if (value === undefined || value === null) return {};
  if (value === "none" || value === "auto" || value === "required") return { choice: value };
  const { type, name, mode, tools } = objectField(value, "tool_choice");
  switch (type) {
    case "function": {
      const called = { name: textField(name, "tool_choice.name") };
      return { choice: { type: "function", function: called } };
    }
    // Few servers know it: the others are not offered, which comes to the same.
    case "allowed_tools": {
      if (mode !== "auto" && mode !== "required") mustBe("tool_choice.mode", "auto or required");
      const allowed = listField(tools, "tool_choice.tools").map((tool, i) =>
        objectField(tool, `tool_choice.tools[${i}]`).name
      );
      return { choice: mode, allowed: new Set(allowed) };
    }
    default:
      return unsupported("tool_choice must name a function of yours, or be none, auto or required");
  }
}
