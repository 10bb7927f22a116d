/** OpenAI's own client, with its APIs for chats, completions, vectors and models. @module */
import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  behaving,
  CALLS,
  CITY_SCHEMA,
  EMBEDDING_MODEL,
  type GatewayPlace,
  type GatewayTests,
  hangingUp,
  KEY,
  MODEL,
  OLLAMA_MODEL,
  PICTURE,
  SHARED_MODEL,
} from "../../support/gateway.ts";
import { mockText, mockVector } from "../../support/mock_llm_server.ts";

const HELLO = [{ role: "user", content: "Hello!" }] as const;
const ASKING = { model: MODEL, messages: [...HELLO] };

/** The client of that gateway, as its users set it up. */
export function openaiClient(
  { url }: GatewayPlace,
  options: { readonly apiKey?: string; readonly maxRetries?: number } = {},
): OpenAI {
  return new OpenAI({ apiKey: KEY, baseURL: `${url}/v1`, maxRetries: 0, ...options });
}

const TOOLS = CALLS.map(({ name }) => ({
  type: "function" as const,
  function: { name, parameters: CITY_SCHEMA },
}));

/** See the module. */
export const openaiTests: GatewayTests = {
  async "a chat, whole and streamed, with its usage"(place) {
    const client = openaiClient(place);
    const whole = await client.chat.completions.create(ASKING);
    assert.equal(whole.choices[0]?.message.content, mockText(16));
    assert.equal(whole.usage?.completion_tokens, 16);
    const stream = client.chat.completions.stream({
      ...ASKING,
      stream_options: { include_usage: true },
    });
    const pieces: string[] = [];
    stream.on("content", (piece) => pieces.push(piece));
    const streamed = await stream.finalChatCompletion();
    assert.equal(pieces.join(""), mockText(16));
    assert.deepEqual(streamed.choices[0]?.message.content, whole.choices[0]?.message.content);
    assert.deepEqual(streamed.usage, whole.usage);
    assert.equal(streamed.choices[0]?.finish_reason, "stop");
  },

  async "several answers, log-probabilities and a limit"(place) {
    const { choices } = await openaiClient(place).chat.completions.create({
      ...ASKING,
      n: 2,
      logprobs: true,
      max_completion_tokens: 3,
    });
    assert.deepEqual(choices.map(({ message }) => message.content), [mockText(3), mockText(3)]);
    assert.deepEqual(choices.map((choice) => choice.finish_reason), ["length", "length"]);
    assert.equal(choices[1]?.logprobs?.content?.length, 3);
  },

  async "calls of tools: one, two at once, in pieces and at once; and what they gave"(place) {
    const client = openaiClient(place);
    const body = { messages: [...HELLO], tools: TOOLS };
    for (const [model, mock] of [[MODEL, place.vllm], [OLLAMA_MODEL, place.ollama]] as const) {
      for (const calls of [CALLS.slice(0, 1), CALLS]) {
        await behaving(mock, { toolCall: calls }, async () => {
          const whole = await client.chat.completions.create({ ...body, model });
          const streamed = await client.chat.completions.stream({ ...body, model })
            .finalChatCompletion();
          for (const { choices: [choice] } of [whole, streamed]) {
            assert.equal(choice?.finish_reason, "tool_calls");
            const functions = choice.message.tool_calls?.map((call) =>
              call.type === "function" && { ...pick(call.function) }
            );
            assert.deepEqual(functions, calls, model);
          }
        });
      }
    }
    const called = {
      role: "assistant" as const,
      tool_calls: [{ id: "call_1", type: "function" as const, function: { ...CALLS[0] } }],
    };
    const result = { role: "tool" as const, tool_call_id: "call_1", content: "rain" };
    const answer = await client.chat.completions.create({
      model: MODEL,
      messages: [...HELLO, called, result],
      tools: TOOLS,
    });
    assert.equal(answer.choices[0]?.message.content, mockText(16));
    assert.deepEqual(place.vllm.requests.at(-1)?.body.messages, [...HELLO, called, result]);
  },

  async "a picture, a schema and JSON go only to who can read them, or keep to them"(place) {
    const client = openaiClient(place);
    const { able, plain, shared } = place;
    const preferring = { headers: { "X-Lloom-Prefer": plain.peerId } };
    const ask = async (body: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>) => {
      const { response, data } = await client.chat.completions.create({
        ...{ model: SHARED_MODEL, messages: [...HELLO], ...body },
      }, preferring).withResponse();
      return { by: response.headers.get("x-lloom-executor"), data };
    };
    assert.equal((await ask({})).by, plain.peerId, "words go where the client prefers");

    const parts = [
      { type: "text" as const, text: "What is this?" },
      { type: "image_url" as const, image_url: { url: PICTURE } },
    ];
    const seen = await ask({ messages: [{ role: "user", content: parts }] });
    assert.equal(seen.by, able.peerId);
    assert.deepEqual(shared.able.requests.at(-1)?.body.messages, [{
      role: "user",
      content: parts,
    }]);

    const json_schema = { name: "city", schema: CITY_SCHEMA, strict: true };
    const format = { type: "json_schema" as const, json_schema };
    const text = '{"city":"Köln"}';
    const kept = await behaving(shared.able, { text }, () => ask({ response_format: format }));
    assert.equal(kept.by, able.peerId);
    assert.equal(kept.data.choices[0]?.message.content, text);
    assert.deepEqual(shared.able.requests.at(-1)?.body.response_format, format);
    assert.equal((await ask({ response_format: { type: "json_object" } })).by, able.peerId);

    const asked = shared.plain.requests.length;
    await assert.rejects(
      client.chat.completions.create(
        { model: SHARED_MODEL, messages: [...HELLO], response_format: format },
        { headers: { "X-Lloom-Executor": plain.peerId } },
      ),
      (error) => error instanceof OpenAI.APIError && error.status === 503,
    );
    assert.equal(shared.plain.requests.length, asked);
  },

  async "vectors, as numbers and as base64"(place) {
    const client = openaiClient(place);
    const input = ["one", "Grüße"];
    const expected = input.map((text) => mockVector(text));
    // By default this client asks for base64, and decodes it.
    const decoded = await client.embeddings.create({ model: EMBEDDING_MODEL, input });
    assert.deepEqual(decoded.data.map(({ embedding }) => embedding), expected);
    assert.equal(decoded.usage.prompt_tokens, 2);
    const body = { model: EMBEDDING_MODEL, input: "one" };
    const floats = await client.embeddings.create({ ...body, encoding_format: "float" });
    assert.deepEqual(floats.data[0]?.embedding, expected[0]);
    const base64 = await client.embeddings.create({ ...body, encoding_format: "base64" });
    const bytes = new Uint8Array(new Float32Array(expected[0]!).buffer);
    assert.equal(String(base64.data[0]?.embedding), bytes.toBase64());
  },

  async "completions of before chats, whole and streamed"(place) {
    const client = openaiClient(place);
    const body = { model: MODEL, prompt: "Once upon a time", max_tokens: 4 };
    const whole = await client.completions.create(body);
    assert.equal(whole.choices[0]?.text, mockText(4));
    let text = "";
    for await (const { choices } of await client.completions.create({ ...body, stream: true })) {
      text += choices[0]?.text ?? "";
    }
    assert.equal(text, mockText(4));
    assert.equal(place.vllm.requests.at(-1)?.path, "/v1/completions");
  },

  async "models, listed and found by names with slashes"(place) {
    const client = openaiClient(place);
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    for (const id of [MODEL, SHARED_MODEL, OLLAMA_MODEL, EMBEDDING_MODEL]) {
      assert.ok(ids.includes(id), id);
      assert.equal((await client.models.retrieve(id)).id, id);
    }
    await assert.rejects(client.models.retrieve("no/such"), OpenAI.NotFoundError);
  },

  async "errors, early with their status and late as the end of a stream"(place) {
    const client = openaiClient(place);
    const failing = (body: object) => client.chat.completions.create({ ...ASKING, ...body });
    const stranger = openaiClient(place, { apiKey: "another-key" });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    await assert.rejects(failing({ temperature: "hot" }), OpenAI.BadRequestError);
    await assert.rejects(failing({ provider: { zdr: true } }), OpenAI.BadRequestError);
    await behaving(place.vllm, { failure: { kind: "status", status: 500 } }, async () => {
      await assert.rejects(
        failing({}),
        (error) =>
          error instanceof OpenAI.InternalServerError && error.status === 502 &&
          error.code === "backend_failed",
      );
    });
    await behaving(place.vllm, { failure: { kind: "truncate", afterTokens: 3 } }, async () => {
      let text = "";
      const stream = await client.chat.completions.create({ ...ASKING, stream: true });
      await assert.rejects(async () => {
        for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
      }, (error) => error instanceof OpenAI.APIError && error.code === "backend_truncated");
      assert.equal(text, mockText(3));
    });
  },

  async "a client that hangs up ends the server's request"(place) {
    const client = openaiClient(place);
    await hangingUp(place.vllm, "openai, streamed", async () => {
      const stream = await client.chat.completions.create({ ...ASKING, stream: true });
      await stream[Symbol.asyncIterator]().next();
      return () => stream.controller.abort();
    });
    const controller = new AbortController();
    const { signal } = controller;
    let rejected: Promise<void> | undefined;
    await hangingUp(place.vllm, "openai, whole", async () => {
      const asked = place.vllm.nextRequest();
      const answer = client.chat.completions.create(ASKING, { signal });
      rejected = assert.rejects(answer, OpenAI.APIUserAbortError);
      await asked;
      return () => controller.abort();
    });
    await rejected;
  },
};

function pick({ name, arguments: said }: { name: string; arguments: string }): object {
  return { name, arguments: said };
}
