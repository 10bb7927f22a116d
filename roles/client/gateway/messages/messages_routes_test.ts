import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  deltaOf,
  endOf,
  FakeEngine,
  type FakeScript,
  linesOf,
  sayingSteps,
  type Step,
} from "../../../../tests/support/fake_engine.ts";
import { MessageEvents } from "./message_events.ts";
import type { MessageEvent } from "./message_types.ts";
import { messagesRoutes } from "./messages_routes.ts";
import { WholeMessage } from "./whole_message.ts";

/** The official client, whose requests go to a gateway that answers as scripted. */
function clientOf(script: FakeScript): { client: Anthropic; engine: FakeEngine } {
  const engine = new FakeEngine(script);
  const routes = messagesRoutes(engine);
  const client = new Anthropic({
    apiKey: "key",
    baseURL: "http://gateway.test",
    maxRetries: 0,
    fetch: async (input, init) => await routes.fetch(new Request(input, init)),
  });
  return { client, engine };
}

const ASKING = {
  model: "llama3.2:3b",
  max_tokens: 100,
  messages: [{ role: "user", content: "Hi" }],
} as const satisfies Anthropic.MessageCreateParams;

const toolSteps: readonly Step[] = [
  linesOf(deltaOf({ role: "assistant", reasoning_content: "Which? " })),
  linesOf(deltaOf({ content: "Let me see." })),
  linesOf(
    deltaOf({
      tool_calls: [{
        index: 0,
        id: "c1",
        type: "function",
        function: { name: "f", arguments: "" },
      }],
    }),
    deltaOf({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
  ),
  linesOf(deltaOf({ tool_calls: [{ index: 0, function: { arguments: '"Köln"}' } }] })),
  linesOf(deltaOf({}, "tool_calls")),
  endOf({
    finish: "tool_calls",
    promptTokens: 21,
    completionTokens: 8,
    cost: "0.01",
    asset: "USDC",
  }),
];

Deno.test("a whole message carries text, usage and why it ended", async () => {
  const { client, engine } = clientOf({ steps: sayingSteps("Hel", "lo") });
  const message = await client.messages.create(ASKING);
  assert.equal(message.id, "msg_0123456789abcdef0123456789abcdef");
  assert.deepEqual(message.content, [{ type: "text", text: "Hello", citations: null }]);
  assert.equal(message.stop_reason, "end_turn");
  assert.equal(message.usage.input_tokens, 7);
  assert.equal(message.usage.output_tokens, 3);
  assert.equal(engine.asks[0]?.api, "messages");
});

Deno.test("streamed and whole, thought, words and calls are the same message", async () => {
  const streamed = await clientOf({ steps: toolSteps }).client.messages.stream(ASKING)
    .finalMessage();
  const whole = await clientOf({ steps: toolSteps }).client.messages.create(ASKING);
  assert.deepEqual(streamed.content, whole.content);
  assert.deepEqual(whole.content, [
    { type: "thinking", thinking: "Which? ", signature: "" },
    { type: "text", text: "Let me see.", citations: null },
    {
      type: "tool_use",
      id: "c1",
      name: "f",
      input: { city: "Köln" },
      caller: { type: "direct" },
    },
  ]);
  assert.equal(streamed.stop_reason, "tool_use");
  assert.equal(streamed.usage.input_tokens, 21);
  assert.equal(streamed.usage.output_tokens, 8);
});

const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
} as const;

Deno.test("Vercel's SDK streams several steps, and brings thoughts, calls and results back", async () => {
  const engine = new FakeEngine(({ request }) => {
    const { messages } = request as { messages: readonly JsonObject[] };
    return { steps: messages.at(-1)?.role === "tool" ? sayingSteps("Rain.") : toolSteps };
  });
  const routes = messagesRoutes(engine);
  const provider = createAnthropic({
    baseURL: "http://gateway.test/v1",
    apiKey: "key",
    fetch: async (input, init) => await routes.fetch(new Request(input, init)),
  });
  const result = streamText({
    model: provider("m"),
    prompt: "Which weather has Köln?",
    maxOutputTokens: 100,
    tools: {
      f: tool({
        inputSchema: jsonSchema<{ city: string }>(SCHEMA),
        execute: ({ city }) => `rain in ${city}`,
      }),
    },
    stopWhen: stepCountIs(3),
    maxRetries: 0,
    onError({ error }) {
      throw error;
    },
  });
  assert.equal(await result.text, "Rain.");
  const call = { name: "f", arguments: '{"city":"Köln"}' };
  assert.deepEqual(engine.asks[1]?.request["messages"], [
    { role: "user", content: "Which weather has Köln?" },
    {
      role: "assistant",
      content: "Let me see.",
      reasoning_content: "Which? ",
      tool_calls: [{ id: "c1", type: "function", function: call }],
    },
    { role: "tool", tool_call_id: "c1", content: "rain in Köln" },
  ]);
});

Deno.test("events come in Anthropic's order, with a ping and the seam between them", async () => {
  const [head, first, ...rest] = sayingSteps("A", "B");
  const seam = { type: "seam", peerId: "16Uiu2HAm", code: "stream_broken" } as const;
  const routes = messagesRoutes(new FakeEngine({ steps: [head!, first!, seam, ...rest] }));
  const response = await routes.request("/v1/messages", {
    method: "POST",
    body: JSON.stringify({ ...ASKING, stream: true }),
  });
  const text = await response.text();
  assert.deepEqual([...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name), [
    "message_start",
    "ping",
    "content_block_start",
    "content_block_delta",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
  ]);
  assert.match(text, /^: lloom continued by 16Uiu2HAm after stream_broken$/m);
});

Deno.test("an early failure has its status, a late one its event, in Anthropic's form", async () => {
  const refusing = clientOf({ before: [new LloomError("budget_exceeded", "ask: above budget")] });
  await assert.rejects(
    refusing.client.messages.create(ASKING),
    (error) =>
      error instanceof Anthropic.APIError && error.status === 402 &&
      error.type === "billing_error",
  );
  const breaking = clientOf({
    steps: [
      linesOf(deltaOf({ content: "Hel" })),
      new LloomError("stream_broken", "read answer: the connection closed"),
    ],
  });
  const seen: string[] = [];
  const stream = await breaking.client.messages.create({ ...ASKING, stream: true });
  await assert.rejects(async () => {
    for await (const event of stream) seen.push(event.type);
  }, (error) => error instanceof Anthropic.APIError && error.type === "api_error");
  assert.deepEqual(seen, ["message_start", "content_block_start", "content_block_delta"]);
});

Deno.test("leaving a stream cancels the question", async () => {
  const { promise } = Promise.withResolvers<void>();
  const { client, engine } = clientOf({ steps: [linesOf(deltaOf({ content: "A" })), promise] });
  const stream = await client.messages.create({ ...ASKING, stream: true });
  for await (const event of stream) if (event.type === "content_block_delta") break;
  await engine.cancelled;
});

Deno.test("arguments that are no JSON break a whole answer, unless the limit cut them", async () => {
  const call = { index: 0, id: "c", function: { name: "f", arguments: '{"a' } };
  const steps = (finish: string) => [linesOf(deltaOf({ tool_calls: [call] })), endOf({ finish })];
  const cut = await clientOf({ steps: steps("length") }).client.messages.create(ASKING);
  assert.equal(cut.stop_reason, "max_tokens");
  await assert.rejects(
    clientOf({ steps: steps("stop") }).client.messages.create(ASKING),
    (error) => error instanceof Anthropic.APIError && error.status === 502,
  );
});

Deno.test("a stop text is named where the server tells it", async () => {
  const choice = { index: 0, delta: {}, finish_reason: "stop", stop_reason: "END" };
  const steps = [linesOf(deltaOf({ content: "A" }), { choices: [choice] }), endOf()];
  const message = await clientOf({ steps }).client.messages.create({
    ...ASKING,
    stop_sequences: ["END"],
  });
  assert.equal(message.stop_reason, "stop_sequence");
  assert.equal(message.stop_sequence, "END");
});

Deno.test("tokens are counted by estimate, without asking anybody", async () => {
  const { client, engine } = clientOf({});
  const { model, messages } = ASKING;
  const { input_tokens: few } = await client.messages.countTokens({
    model,
    messages: [...messages],
  });
  const long = { role: "user", content: "word ".repeat(400) } as const;
  const { input_tokens: many } = await client.messages.countTokens({ model, messages: [long] });
  assert.ok(few > 0 && many >= 500);
  assert.equal(engine.asks.length, 0);
});

Deno.test("every event is one that the official types know, and however lines are cut, one message results", () => {
  const head = { id: "0".repeat(32), model: "m", estimatedTokens: 1, stops: [] };
  const end = endOf();
  assert.equal(end.type, "end");
  const messageOf = (lines: readonly JsonObject[]): JsonObject => {
    const events = new MessageEvents(head);
    const whole = new WholeMessage();
    const all: MessageEvent[] = [
      events.start(),
      ...lines.flatMap((line) => [...events.line(line)]),
      ...(end.type === "end" ? events.end(end.end, {}) : []),
    ];
    for (const event of all) {
      const official: Anthropic.RawMessageStreamEvent = event;
      assert.ok(official.type);
      whole.take(structuredClone(event));
    }
    return whole.result();
  };
  const words = fc.array(fc.tuple(fc.constantFrom("content", "reasoning"), fc.string()));
  fc.assert(fc.property(words, (words) => {
    const whole = words.map(([field, text]) => deltaOf({ [field]: text }));
    const cut = words.flatMap(([field, text]) =>
      text.split("").map((unit) => deltaOf({ [field]: unit }))
    );
    assert.deepEqual(messageOf(cut), messageOf(whole));
  }));
});
