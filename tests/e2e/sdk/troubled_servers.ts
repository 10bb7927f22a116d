/** Official clients whose model's server is busy, or down. @module */
import Anthropic from "@anthropic-ai/sdk";
import { APICallError, generateText } from "ai";
import assert from "node:assert/strict";
import OpenAI from "openai";
import { behaving, type GatewayTests, MODEL, OLLAMA_MODEL } from "../../support/gateway.ts";
import { type MockFailure, type MockLlmServer, mockText } from "../../support/mock_llm_server.ts";
import { aiProviders } from "./ai_sdk.ts";
import { anthropicClient, ASKING_ANTHROPIC } from "./anthropic.ts";
import { openaiClient } from "./openai.ts";

const CLIENTS = ["openai", "anthropic", "ai"] as const;
/** Too many requests, and a server that is not available for a while. */
const STATUSES = [429, 503] as const;

const user = (content: string) => [{ role: "user" as const, content }];

/** See the module. */
export const troubledServerTests: GatewayTests = {
  async "where a server is busy they come back once, not before the time that it told"(place) {
    const openai = openaiClient(place, { maxRetries: 1 });
    const anthropic = anthropicClient(place, { maxRetries: 1 });
    const model = aiProviders(place).chat(MODEL);
    const ask: Record<typeof CLIENTS[number], (messages: ReturnType<typeof user>) => unknown> = {
      openai: (messages) => openai.chat.completions.create({ model: MODEL, messages }),
      anthropic: (messages) => anthropic.messages.create({ ...ASKING_ANTHROPIC, messages }),
      ai: (messages) => generateText({ model, messages, maxRetries: 1 }),
    };
    const asked = CLIENTS.flatMap((name) =>
      STATUSES.map((status) => ({ name, messages: user(`${name} after ${status}`) }))
    );
    const before = place.vllm.requests.length;
    const answers = await behaving(
      place.vllm,
      { failure: busyOnce(place.vllm) },
      () => Promise.all(asked.map(({ name, messages }) => ask[name](messages))),
    );
    for (const answer of answers) assert.ok(JSON.stringify(answer).includes(mockText(16)));
    for (const { messages } of asked) {
      const said = JSON.stringify(messages);
      const [first, second, ...others] = place.vllm.requests.slice(before)
        .filter(({ body }) => JSON.stringify(body.messages) === said);
      assert.equal(others.length, 0, said);
      assert.ok(second!.receivedAt - first!.receivedAt >= 1000, said);
    }
  },

  async "a server that is down is told as such"(place) {
    await place.ollama.stop();
    const messages = user("Hello!");
    const model = OLLAMA_MODEL;
    await assert.rejects(
      openaiClient(place).chat.completions.create({ model, messages }),
      (error) => error instanceof OpenAI.APIError && isDown(error.status),
    );
    await assert.rejects(
      anthropicClient(place).messages.create({ ...ASKING_ANTHROPIC, model }),
      (error) => error instanceof Anthropic.APIError && isDown(error.status),
    );
    await assert.rejects(
      generateText({ model: aiProviders(place).compatible(model), messages, maxRetries: 0 }),
      (error) => APICallError.isInstance(error) && isDown(error.statusCode),
    );
  },
};

/** The executor could not reach it, or has said meanwhile that it offers the model no more. */
function isDown(status: number | undefined): boolean {
  return status === 502 || status === 503;
}

/** Refuses each conversation once, with the status that it names, for a second. */
function busyOnce(mock: MockLlmServer): (request: number) => MockFailure | undefined {
  const seen = new Set<string>();
  return (number) => {
    const said = JSON.stringify(mock.requests[number]!.body.messages);
    if (seen.has(said)) return undefined;
    seen.add(said);
    const status = STATUSES.find((status) => said.includes(`${status}`))!;
    return { kind: "status", status, retryAfter: "1" };
  };
}
