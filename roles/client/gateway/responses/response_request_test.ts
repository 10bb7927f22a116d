import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import fc from "fast-check";
import type OpenAI from "openai";
import { messagesOf } from "./response_items.ts";
import { readResponseRequest, type ResponseRequest } from "./response_request.ts";

type Params = OpenAI.Responses.ResponseCreateParams;

const read = (params: Params): ResponseRequest =>
  readResponseRequest(params as unknown as JsonObject);

const refused = (params: object, code: string) =>
  assert.throws(
    () => {
      const { input } = readResponseRequest(params as JsonObject);
      messagesOf("", input);
    },
    (error) => error instanceof LloomError && error.code === code,
  );

Deno.test("a text and instructions become messages", () => {
  const { input } = read({ model: "m", input: "Hi" });
  assert.deepEqual(messagesOf("Be brief.", input), [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" },
  ]);
});

Deno.test("items of one turn become one message, with calls before their results", () => {
  const image = "data:image/png;base64,AAAA";
  const { input } = read({
    model: "m",
    input: [
      { role: "developer", content: "Be kind." },
      {
        role: "user",
        content: [
          { type: "input_text", text: "What is it?" },
          { type: "input_image", image_url: image, detail: "low" },
        ],
      },
      {
        type: "reasoning",
        id: "r",
        summary: [],
        content: [{ type: "reasoning_text", text: "Look." }],
      },
      { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
      { type: "function_call", call_id: "c2", name: "look", arguments: '{"a":1}' },
      { type: "function_call_output", call_id: "c1", output: "a cat" },
      {
        type: "function_call_output",
        call_id: "c2",
        output: [{ type: "input_image", image_url: image, detail: "auto" }],
      },
      {
        type: "message",
        id: "msg",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "A cat.", annotations: [] }],
      },
    ],
  });
  const call = (id: string, args: string) => ({
    id,
    type: "function",
    function: { name: "look", arguments: args },
  });
  assert.deepEqual(messagesOf("", input), [
    { role: "system", content: "Be kind." },
    {
      role: "user",
      content: [
        { type: "text", text: "What is it?" },
        { type: "image_url", image_url: { url: image, detail: "low" } },
      ],
    },
    {
      role: "assistant",
      content: null,
      reasoning_content: "Look.",
      tool_calls: [call("c1", "{}"), call("c2", '{"a":1}')],
    },
    { role: "tool", tool_call_id: "c1", content: "a cat" },
    { role: "tool", tool_call_id: "c2", content: "The result follows." },
    { role: "user", content: [{ type: "image_url", image_url: { url: image } }] },
    { role: "assistant", content: "A cat." },
  ]);
});

Deno.test("parameters go by the chat API's names, and are repeated in the response", () => {
  const { chat, echo, summarize } = read({
    model: "m",
    input: "Hi",
    max_output_tokens: 9,
    temperature: 0,
    tools: [{ type: "function", name: "f", parameters: { type: "object" }, strict: true }],
    tool_choice: { type: "function", name: "f" },
    parallel_tool_calls: false,
    text: {
      format: { type: "json_schema", name: "s", schema: { type: "object" }, strict: true },
      verbosity: "low",
    },
    reasoning: { effort: "high", summary: "auto" },
    top_logprobs: 2,
    metadata: { a: "b" },
    user: "somebody",
  });
  assert.deepEqual(chat, {
    model: "m",
    max_tokens: 9,
    temperature: 0,
    tools: [{
      type: "function",
      function: { name: "f", parameters: { type: "object" }, strict: true },
    }],
    tool_choice: { type: "function", function: { name: "f" } },
    parallel_tool_calls: false,
    response_format: {
      type: "json_schema",
      json_schema: { name: "s", schema: { type: "object" }, strict: true },
    },
    verbosity: "low",
    reasoning_effort: "high",
    logprobs: true,
    top_logprobs: 2,
  });
  assert.equal(summarize, true);
  assert.deepEqual(echo.metadata, { a: "b" });
  assert.equal(echo.store, true);
  assert.deepEqual(echo.reasoning, { effort: "high", summary: "auto" });
});

Deno.test("tools that are not allowed are not offered", () => {
  const tool = (name: string) =>
    ({ type: "function", name, parameters: null, strict: null }) as const;
  const { chat, echo } = read({
    model: "m",
    input: "Hi",
    tools: [tool("a"), tool("b")],
    tool_choice: {
      type: "allowed_tools",
      mode: "required",
      tools: [{ type: "function", name: "b" }],
    },
  });
  assert.deepEqual(chat.tools, [{ type: "function", function: { name: "b" } }]);
  assert.equal(chat.tool_choice, "required");
  assert.equal(echo.tools.length, 2);
});

Deno.test("what this network cannot do is refused in words, and nothing is ignored", () => {
  const base = { model: "m", input: "Hi" };
  const user = (part: object) => ({ model: "m", input: [{ role: "user", content: [part] }] });
  refused({ ...base, tools: [{ type: "web_search" }] }, "feature_unsupported");
  refused({ ...base, truncation: "auto" }, "feature_unsupported");
  refused(user({ type: "input_image", image_url: "https://a.test/b.png" }), "feature_unsupported");
  refused(user({ type: "input_file", file_id: "f" }), "feature_unsupported");
  refused({ model: "m", input: [{ type: "computer_call" }] }, "feature_unsupported");
  refused({ ...base, conversation: "c" }, "request_invalid");
  refused({ ...base, metadata: { a: 1 } }, "request_invalid");
  refused({ ...base, temperature: 3 }, "request_invalid");
});

Deno.test("any JSON is read or refused with a code", () => {
  const fields = fc.dictionary(
    fc.constantFrom("input", "tools", "tool_choice", "text", "reasoning", "metadata", "include"),
    fc.oneof(
      fc.jsonValue(),
      fc.array(fc.record({
        type: fc.constantFrom("message", "reasoning", "function_call_output", null),
        role: fc.constantFrom("user", "assistant", "system"),
        content: fc.jsonValue(),
      })),
    ),
  );
  fc.assert(fc.property(fields, (fields) => {
    try {
      const { input } = readResponseRequest({ model: "m", ...(fields as JsonObject) });
      assert.ok(messagesOf("", input).every(isJsonObject));
    } catch (error) {
      assert.ok(error instanceof LloomError, String(error));
    }
  }));
});
