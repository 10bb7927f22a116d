import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "@lloom/host";
import { type BatchDefaults, type BatchRow, readBatch } from "./batch_input.ts";

const DEFAULTS: BatchDefaults = {
  model: "default-model",
  maxTokens: 64,
  systemPrompt: "Be brief.",
};

function read(text: string, defaults: BatchDefaults = DEFAULTS): readonly BatchRow[] {
  return readBatch(text, defaults);
}

const PROMPT = { prompt: "Hi" };
const CHAT = {
  model: "m",
  messages: [{ role: "user", content: "Hi" }],
  max_completion_tokens: 9,
  seed: 1,
};
const OPENAI = { custom_id: "a", method: "POST", url: "/v1/chat/completions", body: CHAT };

Deno.test("a row is a prompt, a chat request, or a row of an OpenAI batch, and takes the defaults it leaves open", () => {
  const text = [PROMPT, CHAT, OPENAI].map((row) => JSON.stringify(row)).join("\n\n");
  const [prompt, chat, openai] = read(text);
  assert.deepEqual(prompt!.request, {
    model: "default-model",
    max_tokens: 64,
    messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }],
  });
  assert.deepEqual(chat!.request, CHAT);
  assert.deepEqual([openai!.index, openai!.customId, openai!.request], [2, "a", CHAT]);
});

Deno.test("a list of JSON and lines of JSON say the same", () => {
  const rows = [PROMPT, CHAT, OPENAI];
  const lines = rows.map((row) => JSON.stringify(row)).join("\r\n");
  assert.deepEqual(read(`\n ${JSON.stringify(rows, null, 2)}`), read(lines));
});

Deno.test("what is no batch is refused before anything is asked, with its place", () => {
  const cases: [string, RegExp][] = [
    ["", /no rows/],
    ["[]", /no rows/],
    ["[1", /the list: it is not JSON/],
    [`{"prompt":"a"}\n{"prompt":`, /line 2: it is not JSON/],
    [`[{"prompt":"a"},7]`, /entry 2: it must be an object/],
    [`{"prompt":""}`, /line 1: it must have prompt/],
    [`{"custom_id":7,"prompt":"a"}`, /custom_id must be text/],
    [`{"custom_id":"x","prompt":"a"}\n{"custom_id":"x","prompt":"b"}`, /line 2: .* line 1/],
    [JSON.stringify({ ...OPENAI, url: "/v1/embeddings" }), /POST/],
    [JSON.stringify({ ...OPENAI, body: { model: "m" } }), /no messages/],
    [JSON.stringify({ ...OPENAI, priority: 1 }), /beside body/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => read(text), { name: "UsageError", message }, text);
  }
  assert.throws(() => read(`{"prompt":"a"}`, { maxTokens: 1 }), /line 1: it names no model/);
});

Deno.test("any input is read or refused as wrong usage", () => {
  const row = fc.record({
    prompt: fc.oneof(fc.string(), fc.jsonValue()),
    messages: fc.jsonValue(),
    body: fc.jsonValue(),
    custom_id: fc.oneof(fc.string(), fc.jsonValue()),
  }, { requiredKeys: [] });
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.array(row).map((rows) => rows.map((one) => JSON.stringify(one)).join("\n")),
    fc.array(row).map((rows) => JSON.stringify(rows)),
  );
  fc.assert(fc.property(text, (text) => {
    try {
      read(text).forEach(({ index, request }, i) => {
        assert.equal(index, i);
        assert.ok(Array.isArray(request.messages));
      });
    } catch (error) {
      assert.ok(error instanceof UsageError, String(error));
    }
  }));
});

Deno.test("the digest tells rows apart by what was written, not by the defaults", () => {
  const [first] = read(`{"prompt":"a"}`);
  assert.equal(read(`{"prompt":"a"}`, { ...DEFAULTS, maxTokens: 9 })[0]!.digest, first!.digest);
  assert.notEqual(read(`{"prompt":"b"}`)[0]!.digest, first!.digest);
});
