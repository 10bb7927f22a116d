import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import fc from "fast-check";
import assert from "node:assert/strict";
import {
  ANSWERING,
  deltaOf,
  endOf,
  FakeEngine,
  type FakeScript,
  linesOf,
  sayingSteps,
  type Step,
} from "../../../tests/support/fake_engine.ts";
import { errorResponse } from "./error_forms.ts";
import { openaiRoutes } from "./openai_routes.ts";

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const HASH = `0x${"ab".repeat(32)}`;
const LLOOM = {
  executor: ANSWERING.peerId,
  requests: [{ peerId: ANSWERING.peerId, address: ANSWERING.address, requestHash: HASH }],
  cached: false,
};

async function post(
  path: string,
  body: unknown,
  script: FakeScript | readonly Step[] = {},
  headers: Record<string, string> = {},
) {
  const engine = new FakeEngine(Array.isArray(script) ? { steps: script } : script as FakeScript);
  const routes = openaiRoutes(engine);
  routes.onError((error) => errorResponse(error, "openai"));
  const response = await routes.request(path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers,
  });
  return { engine, response };
}

async function answerOf(body: unknown, steps: readonly Step[], path = "/v1/chat/completions") {
  return await (await post(path, body, steps)).response.json();
}

async function eventsOf(body: unknown, steps: readonly Step[], path = "/v1/chat/completions") {
  const text = await (await post(path, body, steps)).response.text();
  return text.split("\n\n").slice(0, -1);
}

const data = (event: string) => JSON.parse(event.replace(/^data: /, ""));

Deno.test("a chat is streamed line by line, in chunks of one id, and ends with [DONE]", async () => {
  const events = await eventsOf({ ...CHAT, stream: true }, sayingSteps("Hel", "lo"));
  assert.equal(events.at(-1), "data: [DONE]");
  const chunks = events.slice(0, -1).map(data);
  assert.deepEqual(chunks[1], {
    id: "chatcmpl-0123456789abcdef0123456789abcdef",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "m",
    choices: [{ index: 0, delta: { content: "Hel" }, finish_reason: null }],
  });
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
});

Deno.test("usage comes last if it is asked for, with who answered and what it cost", async () => {
  const body = { ...CHAT, stream: true, stream_options: { include_usage: true } };
  const steps = [linesOf(deltaOf({ content: "x" })), endOf({ cost: "0.000131", asset: "USDC" })];
  const [first, usage] = (await eventsOf(body, steps)).map((event) =>
    event.endsWith("[DONE]") ? undefined : data(event)
  );
  assert.equal(first.usage, null);
  assert.deepEqual([usage.choices, usage.usage, usage.lloom], [
    [],
    { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
    { ...LLOOM, cost: "0.000131", asset: "USDC" },
  ]);
});

Deno.test("a seam is a comment, and both parts are named at the end", async () => {
  const steps: Step[] = [
    linesOf(deltaOf({ content: "a" })),
    { type: "seam", peerId: "16Second", code: "stream_broken" },
    linesOf(deltaOf({ content: "b" })),
    endOf(),
  ];
  const events = await eventsOf({ ...CHAT, stream: true }, steps);
  assert.equal(events[1], ": lloom continued by 16Second after stream_broken");
});

Deno.test("a broken stream ends with an error, and without [DONE]", async () => {
  const steps = [
    linesOf(deltaOf({ content: "a" })),
    new LloomError("backend_truncated", "read model: cut"),
  ];
  const events = await eventsOf({ ...CHAT, stream: true }, steps);
  assert.equal(events.length, 2);
  assert.equal(data(events[1]!).error.code, "backend_truncated");
});

Deno.test("a whole chat is put together: texts, reasoning, tool calls, logprobs, several choices", async () => {
  const call = (part: JsonObject) => deltaOf({ tool_calls: [part] });
  const logged = (token: string) => ({
    choices: [{
      index: 1,
      delta: { content: token },
      logprobs: { content: [{ token }] },
      finish_reason: null,
    }],
  });
  const answer = await answerOf(CHAT, [
    linesOf(deltaOf({ role: "assistant", reasoning_content: "hm" })),
    linesOf(deltaOf({ reasoning_content: "m", content: null })),
    linesOf(
      call({ index: 0, id: "c0", type: "function", function: { name: "f", arguments: '{"a"' } }),
      call({ index: 1, id: "c1", type: "function", function: { name: "g", arguments: "{}" } }),
      call({ index: 0, function: { arguments: ":1}" } }),
    ),
    linesOf(logged("x"), logged("y")),
    linesOf(deltaOf({}, "tool_calls"), deltaOf({}, "stop", 1)),
    endOf(),
  ]);
  assert.deepEqual(answer.choices, [
    {
      index: 0,
      message: {
        role: "assistant",
        content: null,
        reasoning_content: "hmm",
        tool_calls: [
          { id: "c0", type: "function", function: { name: "f", arguments: '{"a":1}' } },
          { id: "c1", type: "function", function: { name: "g", arguments: "{}" } },
        ],
      },
      logprobs: null,
      finish_reason: "tool_calls",
    },
    {
      index: 1,
      message: { role: "assistant", content: "xy" },
      logprobs: { content: [{ token: "x" }, { token: "y" }] },
      finish_reason: "stop",
    },
  ]);
  assert.deepEqual(answer.usage, { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 });
  assert.deepEqual(answer.lloom, LLOOM);
  assert.equal(answer.object, "chat.completion");
});

Deno.test("an empty answer is an empty text", async () => {
  const { choices: [{ message }] } = await answerOf(CHAT, sayingSteps());
  assert.equal(message.content, "");
});

Deno.test("however a text is cut, streamed and whole answers say the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { maxLength: 8 }), async (texts) => {
      const whole = await answerOf(CHAT, sayingSteps(...texts));
      const events = await eventsOf({ ...CHAT, stream: true }, sayingSteps(...texts));
      const chunks = events.slice(0, -1).map(data);
      const streamed = chunks.map(({ choices: [{ delta }] }) => delta.content ?? "").join("");
      assert.equal(streamed, texts.join(""));
      assert.equal(whole.choices[0].message.content, texts.join(""));
    }),
    { numRuns: 30 },
  );
});

Deno.test("more choices than anybody asks for are a violation", async () => {
  const lines = Array.from({ length: 300 }, (_, i) => deltaOf({ content: "x" }, null, i));
  const { response } = await post("/v1/chat/completions", CHAT, [linesOf(...lines), endOf()]);
  assert.equal(response.status, 502);
});

Deno.test("completions are text, streamed and whole", async () => {
  const choice = (text: string, finish: string | null = null) => ({
    choices: [{ index: 0, text, finish_reason: finish }],
  });
  const steps = [linesOf(choice("a")), linesOf(choice("b", "length")), endOf()];
  const body = { model: "m", prompt: "p" };
  const whole = await answerOf(body, steps, "/v1/completions");
  assert.equal(whole.object, "text_completion");
  assert.deepEqual(whole.choices, [
    { index: 0, text: "ab", logprobs: null, finish_reason: "length" },
  ]);
  const events = await eventsOf({ ...body, stream: true }, steps, "/v1/completions");
  assert.equal(data(events[0]!).id.slice(0, 5), "cmpl-");
  assert.equal(data(events[0]!).choices[0].text, "a");
});

Deno.test("embeddings are numbers, or base64 if asked for, in the order of their inputs", async () => {
  const vector = (...numbers: number[]) =>
    new Uint8Array(new Float32Array(numbers).buffer).toBase64();
  const entry = (index: number, embedding: string) => ({ data: [{ index, embedding }] });
  const steps = [linesOf(entry(1, vector(3)), entry(0, vector(1, -0.5))), endOf()];
  const body = { model: "m", input: ["a", "b"] };
  const answer = await answerOf(body, steps, "/v1/embeddings");
  assert.deepEqual(answer.data, [
    { object: "embedding", index: 0, embedding: [1, -0.5] },
    { object: "embedding", index: 1, embedding: [3] },
  ]);
  assert.deepEqual(answer.usage, { prompt_tokens: 7, total_tokens: 7 });
  const packed = await answerOf({ ...body, encoding_format: "base64" }, steps, "/v1/embeddings");
  assert.equal(packed.data[1].embedding, vector(3));
});

Deno.test("a vector that is missing, twice there, or none, is a violation", async () => {
  const entry = (index: number, embedding: unknown) => ({ data: [{ index, embedding }] });
  const answers = [
    [],
    [entry(1, "AACAPw==")],
    [entry(0, "AACAPw=="), entry(0, "AACAPw==")],
    [entry(0, [1])],
    [entry(0, "AAAA")],
    [entry(0, "not base64")],
  ];
  for (const lines of answers) {
    const steps = [linesOf(...lines), endOf()];
    const { response } = await post("/v1/embeddings", { model: "m", input: "a" }, steps);
    assert.equal(response.status, 502, JSON.stringify(lines));
  }
});

Deno.test("the network gets the request without what is the gateway's or tells who asks", async () => {
  const body = {
    ...CHAT,
    temperature: 0.5,
    seed: 7,
    stream: false,
    user: "me@example.org",
    metadata: { a: "b" },
    store: false,
    prompt_cache_key: "talk 1",
    provider: { sort: "latency" },
  };
  const { engine } = await post("/v1/chat/completions", body, sayingSteps());
  assert.deepEqual(engine.asks[0]!.request, { ...CHAT, temperature: 0.5, seed: 7 });
  assert.deepEqual(engine.asks[0]!.wishes, {
    cache: "use",
    strategy: "latency",
    conversation: "talk 1",
  });
});

Deno.test("what is no request is refused before anybody is asked", async () => {
  const bodies: readonly (readonly [string, unknown])[] = [
    ["/v1/chat/completions", "{"],
    ["/v1/chat/completions", "[]"],
    ["/v1/chat/completions", { model: "m", prompt: "p" }],
    ["/v1/chat/completions", { ...CHAT, stream: "yes" }],
    ["/v1/chat/completions", { ...CHAT, stream: true, stream_options: 1 }],
    ["/v1/chat/completions", { ...CHAT, provider: { zdr: true } }],
    ["/v1/completions", CHAT],
    ["/v1/embeddings", { model: "m", input: "a", encoding_format: "int8" }],
  ];
  for (const [path, body] of bodies) {
    const { engine, response } = await post(path, body);
    assert.equal(response.status, 400, JSON.stringify(body));
    assert.equal((await response.json()).error.type, "invalid_request_error");
    assert.equal(engine.asks.length, 0);
  }
});

Deno.test("a budget that is spent is a 402", async () => {
  const refusal = new LloomError("budget_exceeded", "pay request: the day's budget is spent");
  const { response } = await post("/v1/chat/completions", CHAT, { refusal });
  assert.equal(response.status, 402);
});
