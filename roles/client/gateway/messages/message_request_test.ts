import type Anthropic from "@anthropic-ai/sdk";
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import fc from "fast-check";
import { readMessageRequest } from "./message_request.ts";

type Params = Anthropic.MessageCreateParams;

const read = (params: Params): JsonObject =>
  readMessageRequest(params as unknown as JsonObject).chat;

const refused = (params: object, code: string) =>
  assert.throws(
    () => readMessageRequest(params as JsonObject),
    (error) => error instanceof LloomError && error.code === code,
  );

const BASE = {
  model: "m",
  max_tokens: 9,
  messages: [{ role: "user", content: "Hi" }] as Anthropic.MessageParam[],
} as const;

Deno.test("a conversation with instructions, images, thought, calls and results becomes chat messages", () => {
  const chat = read({
    ...BASE,
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Look.", signature: "s" },
          { type: "redacted_thinking", data: "secret" },
          { type: "text", text: "I look." },
          { type: "tool_use", id: "t1", name: "look", input: { at: "it" } },
          { type: "tool_use", id: "t2", name: "look", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: "a cat" },
          {
            type: "tool_result",
            tool_use_id: "t2",
            is_error: true,
            content: [
              { type: "text", text: "dark" },
              { type: "image", source: { type: "base64", media_type: "image/png", data: "BBBB" } },
            ],
          },
          { type: "text", text: "So?" },
        ],
      },
    ],
    system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
  });
  const image = (data: string) => ({
    type: "image_url",
    image_url: { url: `data:image/png;base64,${data}` },
  });
  const call = (id: string, args: string) => ({
    id,
    type: "function",
    function: { name: "look", arguments: args },
  });
  assert.deepEqual(chat.messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "What is this?" }, image("AAAA")] },
    {
      role: "assistant",
      content: "I look.",
      reasoning_content: "Look.",
      tool_calls: [call("t1", '{"at":"it"}'), call("t2", "{}")],
    },
    { role: "tool", tool_call_id: "t1", content: "a cat" },
    { role: "tool", tool_call_id: "t2", content: "Error: dark" },
    { role: "user", content: [image("BBBB"), { type: "text", text: "So?" }] },
  ]);
});

Deno.test("parameters, tools and the choice of tools go by OpenAI's names", () => {
  const chat = read({
    ...BASE,
    stop_sequences: ["END"],
    tools: [{ name: "f", description: "does", input_schema: { type: "object" } }],
    tool_choice: { type: "any", disable_parallel_tool_use: true },
    thinking: { type: "enabled", budget_tokens: 20_000 },
    output_config: { format: { type: "json_schema", schema: { type: "object" } } },
    metadata: { user_id: "u" },
  });
  assert.deepEqual(chat, {
    model: "m",
    max_tokens: 9,
    messages: [{ role: "user", content: "Hi" }],
    stop: ["END"],
    tools: [{
      type: "function",
      function: { name: "f", description: "does", parameters: { type: "object" } },
    }],
    tool_choice: "required",
    parallel_tool_calls: false,
    reasoning_effort: "high",
    response_format: {
      type: "json_schema",
      json_schema: { name: "answer", schema: { type: "object" }, strict: true },
    },
  });
  const chosen = read({ ...BASE, tool_choice: { type: "tool", name: "f" } }).tool_choice;
  assert.deepEqual(chosen, { type: "function", function: { name: "f" } });
});

Deno.test("a beginning of the answer is marked as such", () => {
  const begun = { role: "assistant", content: "Once" } as const;
  const chat = read({ ...BASE, messages: [...BASE.messages, begun] });
  assert.deepEqual((chat.messages as unknown[]).at(-1), {
    role: "assistant",
    content: "Once",
    prefix: true,
  });
});

Deno.test("what this network cannot do is refused in words, and nothing is ignored", () => {
  const withTool = (tool: object) => ({ ...BASE, tools: [tool] });
  refused(withTool({ type: "web_search_20250305", name: "web_search" }), "feature_unsupported");
  const source = { type: "url", url: "https://example.org/a.png" };
  const content = [{ type: "image", source }];
  refused({ ...BASE, messages: [{ role: "user", content }] }, "feature_unsupported");
  refused({ ...BASE, container: "c" }, "request_invalid");
  refused({ ...BASE, messages: [] }, "request_invalid");
  refused({ model: "m", messages: BASE.messages }, "request_invalid");
});

Deno.test("any JSON is read or refused with a code", () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.array(fc.record({ role: fc.constantFrom("user", "assistant"), content: fc.jsonValue() })),
  );
  const fields = fc.dictionary(
    fc.constantFrom("messages", "system", "tools", "tool_choice", "thinking", "output_config"),
    value,
  );
  fc.assert(fc.property(fields, (fields) => {
    try {
      const { chat } = readMessageRequest({ ...BASE, ...(fields as JsonObject) });
      assert.ok(Array.isArray(chat.messages) && chat.messages.every(isJsonObject));
    } catch (error) {
      assert.ok(error instanceof LloomError, String(error));
    }
  }));
});
