/** Vercel's SDK, by each of its providers that speak one of the gateway's APIs. @module */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateText,
  jsonSchema,
  type LanguageModel,
  Output,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import assert from "node:assert/strict";
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
  PICTURE,
  SHARED_MODEL,
} from "../../support/gateway.ts";
import { mockText, mockVector } from "../../support/mock_llm_server.ts";

/** Makes language models by their names. */
type Provider = (model: string) => Exclude<LanguageModel, string>;

/** The providers of that gateway, as their users set them up. */
export function aiProviders(
  { url }: GatewayPlace,
  headers: Record<string, string> = {},
  apiKey = KEY,
): Record<"compatible" | "chat" | "responses" | "messages", Provider> {
  const options = { baseURL: `${url}/v1`, apiKey, headers };
  const compatible = createOpenAICompatible({
    ...options,
    name: "lloom",
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  const openai = createOpenAI(options);
  const anthropic = createAnthropic(options);
  return {
    compatible: (model) => compatible(model),
    chat: (model) => openai.chat(model),
    responses: (model) => openai.responses(model),
    messages: (model) => anthropic(model),
  };
}

const ASKING = { prompt: "Hello!", maxOutputTokens: 1000, maxRetries: 0 } as const;

/** What the model calls: the results come back as the gateway gives them. */
const TOOLS = Object.fromEntries(
  CALLS.map(({ name }) => [
    name,
    tool({
      inputSchema: jsonSchema<{ city: string }>(CITY_SCHEMA),
      execute: ({ city }) => `${name} in ${city}`,
    }),
  ]),
);

/** Does the same with each provider in turn. */
async function each(
  providers: Record<string, Provider>,
  check: (provider: Provider, name: string) => Promise<void>,
): Promise<void> {
  for (const [name, provider] of Object.entries(providers)) await check(provider, name);
}

function failing({ error }: { readonly error: unknown }): never {
  throw error;
}

/** See the module. */
export const aiSdkTests: GatewayTests = {
  "text, whole and streamed": (place) =>
    each(aiProviders(place), async (provider, name) => {
      const whole = await generateText({ ...ASKING, model: provider(MODEL) });
      assert.equal(whole.text, mockText(16), name);
      assert.equal(whole.usage.outputTokens, 16, name);
      const streamed = streamText({ ...ASKING, model: provider(MODEL), onError: failing });
      let text = "";
      for await (const piece of streamed.textStream) text += piece;
      assert.equal(text, mockText(16), name);
      assert.equal((await streamed.usage).outputTokens, 16, name);
    }),

  "tools are called, two at once and in pieces, and what they gave is answered": (place) =>
    each(aiProviders(place), async (provider, name) => {
      let steps = 0;
      await behaving(place.vllm, { toolCall: CALLS }, async () => {
        const result = streamText({
          ...ASKING,
          model: provider(MODEL),
          tools: TOOLS,
          stopWhen: stepCountIs(2),
          onStepFinish() {
            if (++steps === 1) delete place.vllm.options.toolCall;
          },
          onError: failing,
        });
        assert.equal(await result.text, mockText(16), name);
        const [first] = await result.steps;
        assert.deepEqual(
          first?.toolCalls.map(({ toolName, input }) => ({ toolName, input })),
          CALLS.map((call) => ({ toolName: call.name, input: JSON.parse(call.arguments) })),
          name,
        );
      });
      const messages = place.vllm.requests.at(-1)?.body.messages as { content: unknown }[];
      assert.deepEqual(messages.slice(-2).map(({ content }) => content), [
        "weather in Köln",
        "time in Zürich",
      ], name);
    }),

  async "a schema goes only to who keeps to it, and a picture to who sees it"(place) {
    const { able, plain, shared } = place;
    const { compatible, chat, responses } = aiProviders(place, { "X-Lloom-Prefer": plain.peerId });
    await behaving(
      shared.able,
      { text: '{"city":"Köln"}' },
      () =>
        each({ compatible, chat, responses }, async (provider, name) => {
          const { output, response } = await generateText({
            model: provider(SHARED_MODEL),
            messages: [{
              role: "user",
              content: [{ type: "file", mediaType: "image/png", data: PICTURE }],
            }],
            output: Output.object({ schema: jsonSchema<{ city: string }>(CITY_SCHEMA) }),
            maxRetries: 0,
          });
          assert.deepEqual(output, { city: "Köln" }, name);
          assert.equal(response.headers?.["x-lloom-executor"], able.peerId, name);
          const { messages, response_format: format } = shared.able.requests.at(-1)!.body;
          assert.match(JSON.stringify(messages), /data:image\/png;base64,iVBOR/, name);
          assert.equal((format as { type: string }).type, "json_schema", name);
        }),
    );
  },

  async "vectors"({ url }) {
    const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: KEY });
    const values = ["one", "two"];
    const { embeddings } = await embedMany({ model: openai.embedding(EMBEDDING_MODEL), values });
    assert.deepEqual(embeddings, values.map((value) => mockVector(value)));
  },

  "errors, early with their status and late as the end of a stream": (place) =>
    each(aiProviders(place), async (provider, name) => {
      const [stranger] = [aiProviders(place, {}, "another-key")[name as "chat"]];
      await assert.rejects(
        generateText({ ...ASKING, model: stranger(MODEL) }),
        (error) => APICallError.isInstance(error) && error.statusCode === 401,
        name,
      );
      await behaving(place.vllm, { failure: { kind: "truncate", afterTokens: 3 } }, async () => {
        const errors: unknown[] = [];
        let text = "";
        const { fullStream } = streamText({ ...ASKING, model: provider(MODEL), onError: () => {} });
        for await (const part of fullStream) {
          if (part.type === "text-delta") text += part.text;
          if (part.type === "error") errors.push(part.error);
        }
        assert.equal(text, mockText(3), name);
        assert.equal(errors.length, 1, name);
      });
    }),

  "a client that hangs up ends the server's request": (place) =>
    each(aiProviders(place), async (provider, name) => {
      await hangingUp(place.vllm, `ai by ${name}, streamed`, async () => {
        const controller = new AbortController();
        const { textStream } = streamText({
          ...ASKING,
          model: provider(MODEL),
          abortSignal: controller.signal,
          onError: failing,
        });
        await textStream[Symbol.asyncIterator]().next();
        return () => controller.abort();
      });
    }),
};
