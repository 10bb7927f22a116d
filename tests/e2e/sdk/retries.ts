/** Official clients that come back when they are told to. @module */
import { generateText } from "ai";
import assert from "node:assert/strict";
import { behaving, busyOnce, type GatewayTests, MODEL } from "../../support/gateway.ts";
import { mockText } from "../../support/mock_llm_server.ts";
import { aiProviders } from "./ai_sdk.ts";
import { anthropicClient, ASKING_ANTHROPIC } from "./anthropic.ts";
import { openaiClient } from "./openai.ts";

/** See the module. */
export const retryTests: GatewayTests = {
  async "where a server is busy they come back once, not before the time that it told"(place) {
    const user = (content: string) => [{ role: "user" as const, content }];
    const ask = {
      openai: () =>
        openaiClient(place, { maxRetries: 1 }).chat.completions.create({
          model: MODEL,
          messages: user("openai"),
        }),
      anthropic: () =>
        anthropicClient(place, { maxRetries: 1 }).messages.create({
          ...ASKING_ANTHROPIC,
          messages: user("anthropic"),
        }),
      ai: () =>
        generateText({
          model: aiProviders(place).chat(MODEL),
          messages: user("ai"),
          maxRetries: 1,
        }),
    };
    const before = place.vllm.requests.length;
    await behaving(place.vllm, busyOnce(place.vllm, 429), async () => {
      for (const answer of await Promise.all(Object.values(ask).map((one) => one()))) {
        assert.ok(JSON.stringify(answer).includes(mockText(16)));
      }
    });
    const requests = place.vllm.requests.slice(before);
    for (const name of Object.keys(ask)) {
      const [first, second, ...others] = requests.filter(({ body }) =>
        JSON.stringify(body.messages) === JSON.stringify(user(name))
      );
      assert.equal(others.length, 0, name);
      assert.ok(second!.receivedAt - first!.receivedAt >= 1000, name);
    }
  },
};
