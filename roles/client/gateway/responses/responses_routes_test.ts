import { createOpenAI } from "@ai-sdk/openai";
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { SqliteResponseStore } from "@lloom/host/stores";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  deltaOf,
  endOf,
  FakeEngine,
  type FakeScript,
  linesOf,
  sayingSteps,
  type Step,
} from "../../../../tests/support/fake_engine.ts";
import type { Answer, Ask } from "../answer.ts";
import { BackgroundResponses } from "./background.ts";
import { responsesRoutes } from "./responses_routes.ts";

/** Gives each answer an id of its own, and a time at which it is not too old to be kept. */
class NumberingEngine extends FakeEngine {
  override async ask(ask: Ask): Promise<Answer> {
    const id = String(this.asks.length).padStart(32, "0");
    return { ...await super.ask(ask), id, createdS: Math.floor(Date.now() / 1000) };
  }
}

interface World {
  readonly engine: FakeEngine;
  readonly client: OpenAI;
  readonly fetch: typeof fetch;
}

/** The official client, whose requests go to a gateway that answers as scripted. */
async function withGateway(
  script: FakeScript | ((ask: Ask) => FakeScript),
  body: (world: World) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const store = new SqliteResponseStore(`${folder}/responses.sqlite`);
  const engine = new NumberingEngine(script);
  const background = new BackgroundResponses({ engine, store });
  const routes = responsesRoutes({ engine, store, background });
  const fetch = async (input: RequestInfo | URL, init?: RequestInit) =>
    await routes.fetch(new Request(input, init));
  const baseURL = "http://gateway.test/v1";
  const client = new OpenAI({ apiKey: "key", baseURL, maxRetries: 0, fetch });
  try {
    await body({ engine, client, fetch });
  } finally {
    await background.stop();
    store.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const ASKING = { model: "llama3.2:3b", input: "Hi" } as const;

const messagesIn = (ask: Ask | undefined): unknown => ask?.request["messages"];

const callSteps: readonly Step[] = [
  linesOf(deltaOf({ reasoning: "Which?" })),
  linesOf(deltaOf({
    tool_calls: [{ index: 0, id: "c1", function: { name: "weather", arguments: '{"city":' } }],
  })),
  linesOf(deltaOf({ tool_calls: [{ index: 0, function: { arguments: '"Köln"}' } }] })),
  linesOf(deltaOf({}, "tool_calls")),
  endOf({ finish: "tool_calls" }),
];

Deno.test("a whole response carries text, usage and what was asked", async () => {
  await withGateway({ steps: sayingSteps("Hel", "lo") }, async ({ client, engine }) => {
    const response = await client.responses.create({ ...ASKING, instructions: "Be brief." });
    assert.equal(response.output_text, "Hello");
    assert.equal(response.status, "completed");
    assert.equal(response.usage?.total_tokens, 10);
    assert.equal(response.instructions, "Be brief.");
    assert.deepEqual(messagesIn(engine.asks[0]), [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hi" },
    ]);
  });
});

Deno.test("the official client puts the events together to the same response", async () => {
  await withGateway({ steps: callSteps }, async ({ client }) => {
    const streamed = await client.responses.stream(ASKING).finalResponse();
    const whole = await client.responses.create(ASKING);
    assert.deepEqual(
      streamed.output.map(({ type }) => type),
      ["reasoning", "function_call"],
    );
    assert.deepEqual(shapeOf(whole.output), shapeOf(streamed.output));
    assert.equal(streamed.status, "completed");
  });
});

/** Output without ids, which differ, and without what the client's helper parsed. */
function shapeOf(output: readonly object[]): unknown {
  const kept = (key: string, value: unknown) =>
    key === "id" || key.startsWith("parsed") ? undefined : value;
  return JSON.parse(JSON.stringify(output, kept));
}

Deno.test("a stored response is found, gone on from, referred to, and deleted", async () => {
  await withGateway({ steps: sayingSteps("Hello") }, async ({ client, engine }) => {
    const first = await client.responses.create(ASKING);
    assert.deepEqual(await client.responses.retrieve(first.id), first);
    const second = await client.responses.create({
      ...ASKING,
      input: "And?",
      previous_response_id: first.id,
    });
    const conversation = [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "And?" },
    ];
    assert.deepEqual(messagesIn(engine.asks[1]), conversation);
    const id = first.output[0]?.id ?? "";
    const items = [{ type: "item_reference", id }, { role: "user", content: "So?" }] as const;
    await client.responses.create({ ...ASKING, input: [...items] });
    assert.deepEqual(messagesIn(engine.asks[2]), [
      { role: "assistant", content: "Hello" },
      { role: "user", content: "So?" },
    ]);
    await client.responses.delete(second.id);
    await assert.rejects(client.responses.retrieve(second.id), OpenAI.NotFoundError);
    await assert.rejects(
      client.responses.create({ ...ASKING, previous_response_id: second.id }),
      (error) => error instanceof OpenAI.BadRequestError && /is not kept here/.test(error.message),
    );
  });
});

Deno.test("a response that is not to be kept is not", async () => {
  await withGateway({ steps: sayingSteps("Hello") }, async ({ client }) => {
    const { id } = await client.responses.create({ ...ASKING, store: false });
    await assert.rejects(client.responses.retrieve(id), OpenAI.NotFoundError);
  });
});

Deno.test("an early failure has its status, a late one ends the stream with an error", async () => {
  const early = { before: [new LloomError("budget_exceeded", "ask: above the budget")] };
  await withGateway(early, async ({ client }) => {
    await assert.rejects(
      client.responses.create(ASKING),
      (error) => error instanceof OpenAI.APIError && error.status === 402,
    );
  });
  const broken = new LloomError("stream_broken", "read answer: the connection closed");
  const late = { steps: [linesOf(deltaOf({ content: "Hel" })), broken] };
  await withGateway(late, async ({ client, fetch }) => {
    const stream = await client.responses.create({ ...ASKING, stream: true });
    await assert.rejects(async () => {
      for await (const event of stream) assert.ok(event.type);
    }, (error) => error instanceof OpenAI.APIError && error.code === "stream_broken");
    const raw = await fetch("http://gateway.test/v1/responses", {
      method: "POST",
      body: JSON.stringify({ ...ASKING, stream: true }),
    });
    const text = await raw.text();
    assert.match(text, /event: error\n.*\n\nevent: response\.failed\n[^\n]*\n\n$/);
  });
});

Deno.test("leaving a stream cancels the question", async () => {
  const { promise } = Promise.withResolvers<void>();
  const script = { steps: [linesOf(deltaOf({ content: "A" })), promise] };
  await withGateway(script, async ({ client, engine }) => {
    const stream = await client.responses.create({ ...ASKING, stream: true });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    await engine.cancelled;
  });
});

Deno.test("the seam of a continued answer is a comment between the events", async () => {
  const seam = { type: "seam", peerId: "16Uiu2HAm", code: "stream_broken" } as const;
  const steps = [...sayingSteps("A").slice(0, 2), seam, ...sayingSteps("B").slice(1)];
  await withGateway({ steps }, async ({ client, fetch }) => {
    const raw = await fetch("http://gateway.test/v1/responses", {
      method: "POST",
      body: JSON.stringify({ ...ASKING, stream: true }),
    });
    assert.match(await raw.text(), /^: lloom continued by 16Uiu2HAm after stream_broken$/m);
    const { output_text: text } = await client.responses.stream(ASKING).finalResponse();
    assert.equal(text, "AB");
  });
});

const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
} as const;

Deno.test("Vercel's SDK calls tools in several steps, which refer to stored items", async () => {
  const answers = (ask: Ask): FakeScript => {
    const { messages } = ask.request as { messages: readonly JsonObject[] };
    return { steps: messages.at(-1)?.role === "tool" ? sayingSteps("Rain.") : callSteps };
  };
  await withGateway(answers, async ({ engine, fetch }) => {
    const provider = createOpenAI({ baseURL: "http://gateway.test/v1", apiKey: "key", fetch });
    const weather = tool({
      description: "tells the weather",
      inputSchema: jsonSchema<{ city: string }>(SCHEMA),
      execute: ({ city }) => `rain in ${city}`,
    });
    const { text, steps } = await generateText({
      model: provider.responses("m"),
      prompt: "Which weather has Köln?",
      tools: { weather },
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    assert.equal(text, "Rain.");
    assert.equal(steps.length, 2);
    const last = messagesIn(engine.asks[1]) as readonly JsonObject[];
    assert.deepEqual(last.map(({ role }) => role), ["user", "assistant", "tool"]);
    assert.match(String(last.at(-1)?.content), /rain in Köln/);
  });
});

Deno.test("Vercel's SDK streams text and summaries of thoughts", async () => {
  const steps = [linesOf(deltaOf({ reasoning: "Hm." })), ...sayingSteps("Hel", "lo")];
  await withGateway({ steps }, async ({ fetch }) => {
    const provider = createOpenAI({ baseURL: "http://gateway.test/v1", apiKey: "key", fetch });
    const result = streamText({
      model: provider.responses("gpt-5"),
      prompt: "Hi",
      maxRetries: 0,
      providerOptions: { openai: { reasoningSummary: "auto" } },
      onError({ error }) {
        throw error;
      },
    });
    assert.equal(await result.text, "Hello");
    assert.equal(await result.reasoningText, "Hm.");
    assert.equal((await result.usage).outputTokens, 3);
  });
});
