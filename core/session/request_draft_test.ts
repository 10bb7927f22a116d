import assert from "node:assert/strict";
import { ZERO_ADDRESS } from "../bytes.ts";
import { readModelRequest } from "../protocol/model_request.ts";
import { MAX_DEADLINE_AHEAD_S } from "../protocol/limits.ts";
import { TEMPERATURE_UNSET } from "../signing/typed_data.ts";
import { DEFAULT_MAX_TOKENS, draftRequest } from "./request_draft.ts";
import { checkTerms } from "./terms.ts";

const NOW_MS = 1_700_000_000_000;
const offer = {
  id: "m",
  backend: "custom",
  features: [],
  available: true,
  inboundPrice: 0n,
  outboundPrice: 0n,
};

function draft(fields: Record<string, unknown> = {}, contextLength?: number, timeoutMs = 60_000) {
  const chat = readModelRequest({ model: "m", messages: [{ role: "user" }], ...fields });
  return draftRequest(chat, {
    executor: ZERO_ADDRESS,
    offer: { ...offer, ...(contextLength !== undefined && { contextLength }) },
    nowMs: NOW_MS,
    timeoutMs,
    nonce: 1n,
  });
}

Deno.test("a draft commits to the limit of all answers together", () => {
  assert.equal(draft({ max_tokens: 100 }).maxTokens, 100);
  assert.equal(draft({ max_tokens: 100, n: 3 }).maxTokens, 300);
  assert.equal(draft({ max_tokens: 2 ** 31 - 1, n: 16 }).maxTokens, 2 ** 32 - 1);
});

Deno.test("without a limit, a draft commits to the default, or to the context if that is less", () => {
  assert.equal(draft().maxTokens, DEFAULT_MAX_TOKENS);
  assert.equal(draft({}, 512).maxTokens, 512);
});

Deno.test("a temperature is signed in ten-thousandths, and its absence as such", () => {
  assert.equal(draft({ temperature: 0.7 }).temperature, 7000);
  assert.equal(draft().temperature, TEMPERATURE_UNSET);
});

Deno.test("a draft meets the executor's terms whatever its time-out, also with clocks apart", () => {
  const terms = { executor: ZERO_ADDRESS, offer: () => offer };
  const commitment = { promptHash: "0x", systemPromptHash: "0x" } as const;
  for (const timeoutMs of [1, 60_000, 1000 * MAX_DEADLINE_AHEAD_S, Number.MAX_SAFE_INTEGER]) {
    for (const skewMs of [-29_000, 0, 29_000]) {
      const asked = { ...draft({}, undefined, timeoutMs), ...commitment };
      const request = { commitment: asked, signature: new Uint8Array(65) };
      const open = { request, body: new Uint8Array(2) };
      assert.equal(checkTerms(open, ZERO_ADDRESS, terms, undefined, NOW_MS + skewMs), undefined);
    }
  }
});
