import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import { decodesOrRefuses, mutated } from "../../tests/support/hostile.ts";
import { messageText, parseChatRequest, requiredFeatures, systemPrompt } from "./chat_request.ts";
import { MAX_BODY_BYTES } from "./limits.ts";

const bytes = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));
const parse = (json: unknown) => parseChatRequest(bytes(json));
const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;
const hello = { model: "m", messages: [{ role: "user", content: "hello" }] };

Deno.test("what Lloom needs of a chat request is read, and everything is kept", () => {
  const raw = {
    ...hello,
    max_tokens: 5,
    temperature: 0.7,
    top_p: 0.9,
    seed: -7,
    stop: ["a", "b"],
    n: 2,
    logit_bias: { "1": 2 },
  };
  assert.deepEqual(parse(raw), {
    model: "m",
    messages: hello.messages,
    maxTokens: 5,
    temperature: 0.7,
    topP: 0.9,
    seed: -7,
    stop: ["a", "b"],
    n: 2,
    raw,
  });
});

Deno.test("absent and null settings are the same", () => {
  const nulls = {
    max_tokens: null,
    temperature: null,
    top_p: null,
    seed: null,
    stop: null,
    n: null,
  };
  const { raw: _, ...request } = parse({ ...hello, ...nulls });
  const { raw: __, ...plain } = parse(hello);
  assert.deepEqual(request, plain);
  assert.deepEqual(plain, { model: "m", messages: hello.messages, stop: [], n: 1 });
});

Deno.test("max_completion_tokens counts before max_tokens", () => {
  assert.equal(parse({ ...hello, max_tokens: 5, max_completion_tokens: 9 }).maxTokens, 9);
});

Deno.test("what is out of range is refused", () => {
  const bad = [
    null,
    [],
    {},
    { ...hello, model: "" },
    { ...hello, model: 1 },
    { ...hello, model: "€".repeat(86) }, // 258 bytes
    { ...hello, messages: [] },
    { ...hello, messages: {} },
    { ...hello, messages: ["hello"] },
    { ...hello, messages: [{ content: "no role" }] },
    { ...hello, max_tokens: 0 },
    { ...hello, max_tokens: 1.5 },
    { ...hello, max_tokens: 2 ** 31 },
    { ...hello, max_tokens: "5" },
    { ...hello, temperature: 2.1 },
    { ...hello, temperature: -0.1 },
    { ...hello, top_p: 1.1 },
    { ...hello, n: 17 },
    { ...hello, stop: Array.from({ length: 17 }, () => "x") },
    { ...hello, stop: "x".repeat(1025) },
    { ...hello, stop: [1] },
  ];
  for (const value of bad) {
    assert.throws(() => parse(value), code("request_invalid"), JSON.stringify(value));
  }
  assert.equal(parse({ ...hello, model: "€".repeat(85) }).model.length, 85);
});

Deno.test("the system prompt is all system and developer messages, with their text parts", () => {
  const request = parse({
    ...hello,
    messages: [
      { role: "system", content: "one" },
      { role: "user", content: "not this" },
      {
        role: "developer",
        content: [{ type: "text", text: "tw" }, { type: "image_url" }, { type: "text", text: "o" }],
      },
      { role: "system", content: null },
    ],
  });
  assert.equal(systemPrompt(request), "one\ntwo\n");
  assert.equal(systemPrompt(parse(hello)), "");
  assert.equal(messageText({ role: "assistant" }), "");
});

Deno.test("tools, images and schemas require their features", () => {
  assert.deepEqual(requiredFeatures(parse(hello)), []);
  assert.deepEqual(requiredFeatures(parse({ ...hello, tools: [] })), []);
  const demanding = parse({
    model: "m",
    messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:" } }] }],
    tools: [{ type: "function" }],
    response_format: { type: "json_schema" },
  });
  assert.deepEqual(requiredFeatures(demanding), ["tools", "json_schema", "vision"]);
});

Deno.test("a body above the limit is refused before it is read", () => {
  assert.throws(
    () => parseChatRequest(new Uint8Array(MAX_BODY_BYTES + 1)),
    code("frame_too_large"),
  );
});

Deno.test("hostile bodies give coded errors only", () => {
  const refused = [
    ["", "frame_malformed"],
    ["[".repeat(MAX_BODY_BYTES), "frame_too_large"],
    ['{"a":'.repeat(MAX_BODY_BYTES / 5), "frame_too_large"],
    ['{"model":"m","messages":[{"role":"user"}]', "frame_malformed"],
  ] as const;
  for (const [text, why] of refused) {
    const body = new TextEncoder().encode(text);
    assert.throws(() => parseChatRequest(body), code(why));
  }
  const proto = new TextEncoder().encode(`{"__proto__":${JSON.stringify(hello)}}`);
  assert.throws(() => parseChatRequest(proto), code("request_invalid"));
  const decode = (b: Uint8Array) =>
    decodesOrRefuses((body) => {
      const request = parseChatRequest(body);
      systemPrompt(request);
      requiredFeatures(request);
    }, b);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode));
  const values = fc.record({
    model: fc.constant("m"),
    messages: fc.array(
      fc.record({
        role: fc.constantFrom("user", "system", "developer"),
        content: fc.oneof(
          fc.jsonValue(),
          fc.array(fc.record({ type: fc.constant("text"), text: fc.jsonValue() })),
        ),
      }),
      { minLength: 1 },
    ),
    tools: fc.jsonValue(),
    response_format: fc.jsonValue(),
    stop: fc.jsonValue(),
    seed: fc.jsonValue(),
    n: fc.jsonValue(),
  }, { requiredKeys: ["model", "messages"] });
  fc.assert(fc.property(values.map(bytes), decode), { numRuns: 300 });
  fc.assert(fc.property(mutated(values.map(bytes)), decode), { numRuns: 300 });
});
