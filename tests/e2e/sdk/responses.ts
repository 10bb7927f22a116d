/** OpenAI's own client, with its Responses API. @module */
import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  behaving,
  CALLS,
  CITY_SCHEMA,
  type GatewayTests,
  hangingUp,
  MODEL,
  PICTURE,
  SHARED_MODEL,
} from "../../support/gateway.ts";
import { mockText } from "../../support/mock_llm_server.ts";
import { openaiClient } from "./openai.ts";

const ASKING = { model: MODEL, input: "Hello!" } as const;

const TOOLS = CALLS.map(({ name }) => ({
  type: "function" as const,
  name,
  parameters: CITY_SCHEMA,
  strict: false,
}));

/** See the module. */
export const responsesTests: GatewayTests = {
  async "a response, whole and streamed, and one that goes on from it"(place) {
    const client = openaiClient(place);
    const whole = await client.responses.create({ ...ASKING, instructions: "Count." });
    assert.equal(whole.output_text, mockText(16));
    const types = new Set<string>();
    const stream = client.responses.stream({ ...ASKING, previous_response_id: whole.id });
    stream.on("event", ({ type }) => types.add(type));
    const streamed = await stream.finalResponse();
    assert.equal(streamed.output_text, mockText(16));
    assert.equal(streamed.usage?.output_tokens, 16);
    assert.ok(types.has("response.output_text.delta") && types.has("response.completed"));
    // Instructions are not carried over, as OpenAI has it.
    assert.deepEqual(place.vllm.requests.at(-1)?.body.messages, [
      { role: "user", content: "Hello!" },
      { role: "assistant", content: mockText(16) },
      { role: "user", content: "Hello!" },
    ]);
  },

  async "calls of tools in pieces, and what they gave"(place) {
    const client = openaiClient(place);
    const first = await behaving(place.vllm, { toolCall: CALLS }, async () => {
      let pieces = "";
      const stream = client.responses.stream({ ...ASKING, tools: TOOLS });
      stream.on("response.function_call_arguments.delta", ({ delta }) => pieces += delta);
      const response = await stream.finalResponse();
      assert.equal(pieces, CALLS.map((call) => call.arguments).join(""));
      return response;
    });
    const called = first.output.filter((item) => item.type === "function_call");
    assert.deepEqual(called.map(({ name, arguments: said }) => ({ name, arguments: said })), CALLS);
    const results = called.map(({ call_id }) => ({
      type: "function_call_output" as const,
      call_id,
      output: "rain",
    }));
    const { output_text: text } = await client.responses.create({
      model: MODEL,
      previous_response_id: first.id,
      input: results,
      tools: TOOLS,
    });
    assert.equal(text, mockText(16));
    const messages = place.vllm.requests.at(-1)?.body.messages as { role: string }[];
    assert.deepEqual(messages.map(({ role }) => role), ["user", "assistant", "tool", "tool"]);
  },

  async "a picture and a schema go only to who can read it, and keep to it"(place) {
    const client = openaiClient(place);
    const { able, plain, shared } = place;
    const text = '{"city":"Köln"}';
    await behaving(shared.able, { text }, async () => {
      const { data, response } = await client.responses.create({
        model: SHARED_MODEL,
        input: [{
          role: "user",
          content: [{ type: "input_image", image_url: PICTURE, detail: "auto" }],
        }],
        text: { format: { type: "json_schema", name: "city", schema: CITY_SCHEMA } },
      }, { headers: { "X-Lloom-Prefer": plain.peerId } }).withResponse();
      assert.equal(response.headers.get("x-lloom-executor"), able.peerId);
      assert.equal(data.output_text, text);
    });
    const [{ content }] = shared.able.requests.at(-1)?.body.messages as [{ content: unknown }];
    assert.match(JSON.stringify(content), /"image_url":\{"url":"data:image\/png;base64,/);
  },

  async "a response in the background, looked at, and one that is cancelled"(place) {
    const client = openaiClient(place);
    const begun = await client.responses.create({ ...ASKING, background: true });
    let response = begun;
    while (response.status === "queued" || response.status === "in_progress") {
      response = await client.responses.retrieve(begun.id);
    }
    assert.equal(response.output_text, mockText(16));
    await hangingUp(place.vllm, "responses, cancelled in the background", async () => {
      const asked = place.vllm.nextRequest();
      const { id } = await client.responses.create({ ...ASKING, background: true });
      await asked;
      return async () => {
        const { status } = await client.responses.cancel(id);
        assert.equal(status, "cancelled");
      };
    });
  },

  async "errors, early with their status and late as the end of a stream"(place) {
    const client = openaiClient(place);
    await assert.rejects(
      client.responses.create({ ...ASKING, previous_response_id: "resp_unknown" }),
      (error) => error instanceof OpenAI.APIError && [400, 404].includes(error.status ?? 0),
    );
    await assert.rejects(
      client.responses.create({ ...ASKING, tools: [{ type: "web_search" }] }),
      OpenAI.BadRequestError,
    );
    await behaving(place.vllm, { failure: { kind: "truncate", afterTokens: 3 } }, async () => {
      let text = "";
      const stream = await client.responses.create({ ...ASKING, stream: true });
      await assert.rejects(async () => {
        for await (const event of stream) {
          if (event.type === "response.output_text.delta") text += event.delta;
        }
      }, (error) => error instanceof OpenAI.APIError && error.code === "backend_truncated");
      assert.equal(text, mockText(3));
    });
  },

  async "a client that leaves the stream ends the server's request"(place) {
    const client = openaiClient(place);
    await hangingUp(place.vllm, "responses, streamed", async () => {
      const stream = await client.responses.create({ ...ASKING, stream: true });
      for await (const { type } of stream) {
        if (type === "response.output_text.delta") break;
      }
      return () => stream.controller.abort();
    });
  },
};
