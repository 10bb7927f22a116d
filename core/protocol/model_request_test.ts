import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import { decodesOrRefuses, mutated } from "../../tests/support/hostile.ts";
import { parameterFeatures, requiredFeatures } from "./features.ts";
import { MAX_BODY_BYTES, MAX_EMBEDDING_INPUTS, MAX_PROMPTS } from "./limits.ts";
import {
  answersOf,
  messageText,
  type ModelRequest,
  parseModelRequest,
  systemPrompt,
} from "./model_request.ts";

const bytes = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));
const parse = (json: unknown): ModelRequest => parseModelRequest(bytes(json));
const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;
const hello = { model: "m", messages: [{ role: "user", content: "hello" }] };
const write = { model: "m", prompt: "hello" };
const embed = { model: "m", input: "hello" };

function assertInvalid(...bodies: readonly unknown[]): void {
  for (const body of bodies) {
    assert.throws(() => parse(body), code("request_invalid"), JSON.stringify(body));
  }
}

Deno.test("what Lloom needs of a request is read, and everything is kept", () => {
  const fields = {
    max_tokens: 5,
    temperature: 0.7,
    top_p: 0.9,
    seed: -7,
    stop: ["a", "b"],
    n: 2,
    logit_bias: { "1": 2 },
  };
  const read = {
    model: "m",
    maxTokens: 5,
    temperature: 0.7,
    topP: 0.9,
    seed: -7,
    stop: ["a", "b"],
    n: 2,
  };
  const chat = { ...hello, ...fields };
  assert.deepEqual(parse(chat), {
    kind: "chat",
    messages: hello.messages,
    continues: false,
    ...read,
    raw: chat,
  });
  const completion = { ...write, ...fields };
  const prompts = ["hello"];
  assert.deepEqual(parse(completion), { kind: "completion", prompts, ...read, raw: completion });
  const embedding = { ...embed, dimensions: 256 };
  assert.deepEqual(parse(embedding), {
    kind: "embedding",
    inputs: ["hello"],
    model: "m",
    stop: [],
    n: 1,
    raw: embedding,
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
    prompt: null,
    input: null,
    continues: null,
  };
  const { raw: _, ...request } = parse({ ...hello, ...nulls });
  const { raw: __, ...plain } = parse(hello);
  assert.deepEqual(request, plain);
});

Deno.test("max_completion_tokens counts before max_tokens", () => {
  assert.equal(parse({ ...hello, max_tokens: 5, max_completion_tokens: 9 }).maxTokens, 9);
});

Deno.test("what is out of range is refused", () => {
  assertInvalid(
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
    { ...hello, continues: 7 },
    { ...hello, continues: "0x12" },
  );
  assert.equal(parse({ ...hello, model: "€".repeat(85) }).model.length, 85);
  assert.equal(parse({ ...hello, continues: `0x${"ab".repeat(32)}` }).kind, "chat");
});

Deno.test("a request is of one kind: its body has messages, a prompt or an input", () => {
  assertInvalid(
    { model: "m" },
    { ...hello, ...write },
    { ...hello, ...embed },
    { ...write, ...embed },
  );
});

Deno.test("a prompt is a text, or some texts, and each has as many answers as were asked for", () => {
  const texts = Array.from({ length: MAX_PROMPTS }, String);
  const request = parse({ ...write, prompt: texts, n: 3 });
  assert.ok(request.kind === "completion");
  assert.deepEqual(request.prompts, texts);
  assert.equal(answersOf(request), 3 * MAX_PROMPTS);
  assert.equal(answersOf(parse({ ...hello, n: 3 })), 3);
  const bad = [[], [...texts, "x"], [1, 2], ["a", 1], [["a"]], {}, 1];
  assertInvalid(...bad.map((prompt) => ({ ...write, prompt })));
  assert.equal(parse({ ...write, prompt: "" }).kind, "completion");
});

Deno.test("an input is a text, its tokens, or many of one kind", () => {
  const many = Array.from({ length: MAX_EMBEDDING_INPUTS }, () => "x");
  const cases: [unknown, unknown][] = [
    ["a", ["a"]],
    [["a", "b"], ["a", "b"]],
    [[1, 2], [[1, 2]]],
    [[[1, 2], [3]], [[1, 2], [3]]],
    [many, many],
  ];
  for (const [input, inputs] of cases) {
    const request = parse({ ...embed, input });
    assert.ok(request.kind === "embedding");
    assert.deepEqual(request.inputs, inputs);
    assert.equal(answersOf(request), 0);
  }
  const bad = ["", [], [""], ["a", 1], ["a", [1]], [[]], [[1], []], [-1], [1.5], [["a"]], {}];
  assertInvalid(...[...bad, [...many, "x"]].map((input) => ({ ...embed, input })));
});

Deno.test("an answer is continued where the last message is its beginning, and nowhere else", () => {
  const begun = { role: "assistant", content: "Once", prefix: true };
  const ask = (...messages: unknown[]) => ({ ...hello, messages });
  const request = parse(ask(...hello.messages, begun));
  assert.ok(request.kind === "chat" && request.continues);
  const plain = parse(ask(...hello.messages, { ...begun, prefix: false }));
  assert.ok(plain.kind === "chat" && !plain.continues);
  assertInvalid(
    ask(begun, ...hello.messages),
    ask(begun, begun),
    ask({ ...begun, role: "user" }),
    ask({ ...begun, content: "" }),
    ask({ ...begun, content: [{ type: "text", text: "Once" }] }),
    ask({ ...begun, tool_calls: [] }),
    ask({ ...begun, prefix: "yes" }),
  );
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
  assert.equal(systemPrompt(parse(write)), "");
  assert.equal(systemPrompt(parse(embed)), "");
  assert.equal(messageText({ role: "assistant" }), "");
});

Deno.test("a body above the limit is refused before it is read", () => {
  assert.throws(
    () => parseModelRequest(new Uint8Array(MAX_BODY_BYTES + 1)),
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
    assert.throws(() => parseModelRequest(body), code(why));
  }
  const proto = new TextEncoder().encode(`{"__proto__":${JSON.stringify(hello)}}`);
  assert.throws(() => parseModelRequest(proto), code("request_invalid"));
  const decode = (b: Uint8Array) =>
    decodesOrRefuses((body) => {
      const request = parseModelRequest(body);
      systemPrompt(request);
      answersOf(request);
      requiredFeatures(request);
      parameterFeatures(request);
    }, b);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode));
  const json = fc.jsonValue();
  const values = fc.record({
    model: fc.constant("m"),
    messages: fc.array(
      fc.record({
        role: fc.constantFrom("user", "system", "developer", "assistant"),
        content: fc.oneof(
          json,
          fc.array(fc.record({ type: fc.constantFrom("text", "image_url"), text: json })),
        ),
        prefix: json,
      }, { requiredKeys: ["role", "content"] }),
      { minLength: 1 },
    ),
    prompt: json,
    input: json,
    tools: json,
    response_format: json,
    modalities: json,
    stop: json,
    seed: json,
    n: json,
  }, { requiredKeys: ["model"] });
  fc.assert(fc.property(values.map(bytes), decode), { numRuns: 300 });
  fc.assert(fc.property(mutated(values.map(bytes)), decode), { numRuns: 300 });
});
