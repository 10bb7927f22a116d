/** Anthropic's own client. @module */
import Anthropic from "@anthropic-ai/sdk";
import assert from "node:assert/strict";
import {
  behaving,
  CALLS,
  CITY_SCHEMA,
  type GatewayPlace,
  type GatewayTests,
  hangingUp,
  KEY,
  MODEL,
  OLLAMA_MODEL,
  PICTURE,
  SHARED_MODEL,
} from "../../support/gateway.ts";
import { mockText } from "../../support/mock_llm_server.ts";

/** The client of that gateway, as its users set it up. */
export function anthropicClient(
  { url }: GatewayPlace,
  options: { readonly apiKey?: string; readonly maxRetries?: number } = {},
): Anthropic {
  return new Anthropic({ apiKey: KEY, baseURL: url, maxRetries: 0, ...options });
}

/** What is asked. */
export const ASKING_ANTHROPIC = {
  model: MODEL,
  max_tokens: 100,
  messages: [{ role: "user", content: "Hello!" }],
} satisfies Anthropic.MessageCreateParamsNonStreaming;

const ASKING = ASKING_ANTHROPIC;
const TOOLS: Anthropic.Tool[] = CALLS.map(({ name }) => ({
  name,
  input_schema: { ...CITY_SCHEMA, required: [...CITY_SCHEMA.required] },
}));

const textIn = ({ content }: Anthropic.Message): string =>
  content.map((block) => block.type === "text" ? block.text : "").join("");

/** See the module. */
export const anthropicTests: GatewayTests = {
  async "a message, whole and streamed, and its tokens counted"(place) {
    const client = anthropicClient(place);
    const whole = await client.messages.create({ ...ASKING, system: "Count." });
    assert.equal(textIn(whole), mockText(16));
    assert.equal(whole.usage.output_tokens, 16);
    assert.equal(whole.stop_reason, "end_turn");
    let text = "";
    const streamed = await client.messages.stream({ ...ASKING, max_tokens: 5 })
      .on("text", (piece) => text += piece).finalMessage();
    assert.equal(text, mockText(5));
    assert.equal(textIn(streamed), text);
    assert.equal(streamed.stop_reason, "max_tokens");
    const { model, messages } = ASKING;
    assert.ok((await client.messages.countTokens({ model, messages })).input_tokens > 0);
  },

  async "calls of tools: two at once, in pieces and at once; and what they gave"(place) {
    const client = anthropicClient(place);
    for (const [model, mock] of [[MODEL, place.vllm], [OLLAMA_MODEL, place.ollama]] as const) {
      const body = { ...ASKING, model, tools: TOOLS };
      const message = await behaving(mock, { toolCall: CALLS }, async () => {
        const whole = await client.messages.create(body);
        const streamed = await client.messages.stream(body).finalMessage();
        assert.deepEqual(streamed.content, whole.content);
        return whole;
      });
      assert.equal(message.stop_reason, "tool_use");
      const calls = message.content.filter((block) => block.type === "tool_use");
      assert.deepEqual(
        calls.map(({ name, input }) => ({ name, input })),
        CALLS.map((call) => ({ name: call.name, input: JSON.parse(call.arguments) })),
      );
      const results = calls.map(({ id }) => ({
        type: "tool_result" as const,
        tool_use_id: id,
        content: "rain",
      }));
      const answer = await client.messages.create({
        ...body,
        messages: [
          ...ASKING.messages,
          { role: "assistant", content: message.content },
          { role: "user", content: results },
        ],
      });
      assert.equal(textIn(answer), mockText(16));
      const sent = mock.requests.at(-1)?.body.messages as { role: string }[];
      assert.deepEqual(sent.map(({ role }) => role), ["user", "assistant", "tool", "tool"]);
    }
  },

  async "a picture goes only to who can see it"(place) {
    const { able, plain, shared } = place;
    const data = PICTURE.slice(PICTURE.indexOf(",") + 1);
    const source = { type: "base64" as const, media_type: "image/png" as const, data };
    const { response } = await anthropicClient(place).messages.create({
      ...ASKING,
      model: SHARED_MODEL,
      messages: [{ role: "user", content: [{ type: "image", source }] }],
    }, { headers: { "X-Lloom-Prefer": plain.peerId } }).withResponse();
    assert.equal(response.headers.get("x-lloom-executor"), able.peerId);
    const [{ content }] = shared.able.requests.at(-1)?.body.messages as [{ content: unknown }];
    assert.deepEqual(content, [{ type: "image_url", image_url: { url: PICTURE } }]);
  },

  async "thoughts come before words"(place) {
    await behaving(place.vllm, { reasoningTokens: 3 }, async () => {
      const message = await anthropicClient(place).messages.stream(ASKING).finalMessage();
      const [thought, words] = message.content;
      assert.equal(thought?.type === "thinking" && thought.thinking, mockText(3));
      assert.equal(words?.type === "text" && words.text, mockText(13, 0, 3));
    });
  },

  async "models, listed and found by names with slashes"(place) {
    const client = anthropicClient(place);
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    assert.ok(ids.includes(MODEL));
    assert.equal((await client.models.retrieve(MODEL)).display_name, MODEL);
  },

  async "errors, early with their status and late as the end of a stream"(place) {
    const client = anthropicClient(place);
    const failing = (body: object) => client.messages.create({ ...ASKING, ...body });
    const stranger = anthropicClient(place, { apiKey: "another-key" });
    await assert.rejects(stranger.messages.create(ASKING), Anthropic.AuthenticationError);
    await assert.rejects(failing({ max_tokens: "many" }), Anthropic.BadRequestError);
    await behaving(place.vllm, { failure: { kind: "status", status: 500 } }, async () => {
      await assert.rejects(
        failing({}),
        (error) =>
          error instanceof Anthropic.APIError && error.status === 502 && error.type === "api_error",
      );
    });
    await behaving(place.vllm, { failure: { kind: "truncate", afterTokens: 3 } }, async () => {
      let text = "";
      const stream = client.messages.stream(ASKING).on("text", (piece) => text += piece);
      await assert.rejects(
        stream.finalMessage(),
        (error) => error instanceof Anthropic.APIError && error.type === "api_error",
      );
      assert.equal(text, mockText(3));
    });
  },

  async "a client that hangs up ends the server's request"(place) {
    const client = anthropicClient(place);
    await hangingUp(place.vllm, "anthropic, streamed", async () => {
      const stream = await client.messages.create({ ...ASKING, max_tokens: 1000, stream: true });
      for await (const { type } of stream) if (type === "content_block_delta") break;
      return () => stream.controller.abort();
    });
  },
};
