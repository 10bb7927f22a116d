/** A model that nobody has, asked for by every official client. @module */
import Anthropic from "@anthropic-ai/sdk";
import { APICallError, generateText } from "ai";
import assert from "node:assert/strict";
import OpenAI from "openai";
import type { GatewayPlace } from "../../support/gateway.ts";
import { aiProviders } from "./ai_sdk.ts";
import { anthropicClient, ASKING_ANTHROPIC } from "./anthropic.ts";
import { openaiClient } from "./openai.ts";

const model = "nobody/has-this";

/** Asks for it. Whoever is not known is looked for a while: other tests need not wait for that. */
export function askForUnknown(place: GatewayPlace): Promise<PromiseSettledResult<unknown>[]> {
  const openai = openaiClient(place);
  return Promise.allSettled([
    openai.chat.completions.create({ model, messages: [{ role: "user", content: "Hello!" }] }),
    openai.responses.create({ model, input: "Hello!" }),
    anthropicClient(place).messages.create({ ...ASKING_ANTHROPIC, model }),
    generateText({ model: aiProviders(place).chat(model), prompt: "Hello!", maxRetries: 0 }),
  ]);
}

/** Checks that each was told, in its own form. */
export function checkNotFound(results: readonly PromiseSettledResult<unknown>[]): void {
  const reasons = results.map((result) => {
    assert.equal(result.status, "rejected");
    return result.reason as unknown;
  });
  const [chat, response, message, text] = reasons;
  for (const error of [chat, response]) {
    assert.ok(error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  }
  assert.ok(message instanceof Anthropic.NotFoundError && message.type === "not_found_error");
  assert.ok(APICallError.isInstance(text) && text.statusCode === 404);
}
