import assert from "node:assert/strict";
import { chatRequest } from "../testing/backend_suite.ts";
import { countWithTokenizer, tokenizerFor } from "./tokenizers.ts";

const never = (): AbortSignal => new AbortController().signal;
const count = (model: string, text: string, content = "hi") =>
  countWithTokenizer(
    model,
    chatRequest(model, { messages: [{ role: "user", content }] }),
    text,
    never(),
  );

Deno.test("OpenAI's models and gpt-oss have their own tokenizer, all others an estimate", () => {
  for (const model of ["gpt-oss-20b", "openai/gpt-oss:120b", "gpt-4o-mini", "gpt-4.1", "o3-mini"]) {
    assert.ok(tokenizerFor(model).exact, model);
  }
  for (const model of ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-5.1"]) {
    assert.ok(tokenizerFor(model).exact, model);
  }
  for (const model of ["llama3", "gpt-j", "qwen2.5-coder", "olmo-1b", "phi-o1"]) {
    assert.ok(!tokenizerFor(model).exact, model);
  }
});

Deno.test("tokens of a known text", async () => {
  // Published example of OpenAI's cookbook: 6 tokens in o200k_base and in cl100k_base.
  for (const model of ["gpt-4o", "gpt-4", "gpt-oss-20b"]) {
    const { completionTokens, countedBy } = await count(model, "tiktoken is great!");
    assert.equal(completionTokens, 6);
    assert.equal(countedBy, "tokenizer");
  }
  assert.equal((await count("llama3", "tiktoken is great!")).countedBy, "estimate");
});

Deno.test("text that spells a special token is counted like any text", async () => {
  assert.ok((await count("gpt-4o", "<|endoftext|>")).completionTokens > 1);
});

Deno.test("cutting a text into slices changes its count by at most one token a slice", async () => {
  const sentence = "The quick brown fox jumps over the lazy dog. ";
  const one = (await count("gpt-4o", sentence)).completionTokens;
  const text = sentence.repeat(1000);
  const { completionTokens, countedBy } = await count("gpt-4o", text);
  assert.equal(countedBy, "tokenizer");
  assert.ok(Math.abs(completionTokens - one * 1000) <= 1000 + text.length / 4096);
  const emoji = await count("gpt-4o", "😀".repeat(5000));
  assert.ok(emoji.completionTokens >= 2500);
});

Deno.test("a very long text is extrapolated, and called an estimate", async () => {
  const text = "word ".repeat(200_000);
  const { completionTokens, countedBy } = await count("gpt-4o", text);
  assert.equal(countedBy, "estimate");
  assert.ok(Math.abs(completionTokens - 200_000) < 4000);
});

Deno.test("an abort ends the counting", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(countWithTokenizer("gpt-4o", chatRequest("gpt-4o"), "x", signal), /enough/);
});
