import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { createKeccak } from "hash-wasm";
import { readModelRequest } from "@lloom/core/protocol";
import { checkRequest } from "./request_check.ts";
import { restrictRequest } from "./request_fields.ts";
import { readChat } from "./testing/backend_suite.ts";
import { makeJob } from "./testing/jobs.ts";

const PIXEL = "data:image/png;base64,iVBORw0KGgo=";

function restrict(fields: Record<string, unknown>, extra: readonly string[] = []) {
  const messages = [{ role: "user", content: "hello" }];
  const request = readChat({ model: "m", messages, ...fields });
  const restricted = restrictRequest(request, new Set(extra));
  assert.ok(restricted.kind === "chat");
  return restricted;
}

function assertRefused(fields: Record<string, unknown>): string {
  try {
    restrict(fields);
  } catch (thrown) {
    assert.ok(thrown instanceof LloomError);
    assert.equal(thrown.code, "feature_unsupported");
    return thrown.message;
  }
  assert.fail(`passed: ${JSON.stringify(fields)}`);
}

const withParts = (...content: unknown[]) => ({ messages: [{ role: "user", content }] });
const withMessage = (fields: object) => ({ messages: [{ role: "user", content: "x", ...fields }] });

Deno.test("what a request of an agent holds passes untouched: tools, reasoning, schemas, media, sampling", () => {
  const raw = {
    model: "m",
    messages: [
      { role: "system", content: [{ type: "text", text: "see http://intranet/ for rules" }] },
      {
        role: "user",
        name: "ann",
        content: [
          { type: "text", text: "http://127.0.0.1:8080/ is down" },
          { type: "image_url", image_url: { url: PIXEL, detail: "high" } },
          { type: "image_url", image_url: PIXEL },
          { type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } },
          {
            type: "file",
            file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" },
          },
        ],
      },
      {
        role: "assistant",
        content: null,
        reasoning_content: "file:///etc/passwd?",
        tool_calls: [{ id: "c1", type: "function", function: { name: "get", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "https://example.org" },
    ],
    tools: [{
      type: "function",
      function: {
        name: "get",
        description: "reads http://example.org",
        parameters: {
          type: "object",
          properties: { $ref: { type: "string" }, node: { $ref: "#/$defs/node" } },
          $defs: { node: { type: "object" } },
        },
      },
    }],
    tool_choice: "auto",
    parallel_tool_calls: false,
    response_format: { type: "json_schema", json_schema: { name: "a", schema: { $ref: "#" } } },
    reasoning_effort: "low",
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    repeat_penalty: 1.1,
    presence_penalty: 0.1,
    frequency_penalty: 0.1,
    logit_bias: { "50256": -100 },
    logprobs: true,
    top_logprobs: 3,
    seed: 7,
    stop: ["END"],
    n: 2,
    max_completion_tokens: 100,
  };
  const request = readChat(raw);
  assert.deepEqual(restrictRequest(request, new Set()), request);
});

Deno.test("media that lie elsewhere, in whatever field of whatever part, are refused", () => {
  const elsewhere = [
    "http://169.254.169.254/latest/meta-data",
    "https://example.org/a.png",
    "file:///etc/passwd",
    "/etc/passwd",
    " http://127.0.0.1/",
    "//10.0.0.1/a",
    "",
  ];
  for (const url of elsewhere) {
    for (const field of ["image_url", "audio_url", "video_url", "input_audio", "file"]) {
      assertRefused(withParts({ type: field, [field]: { url } }));
      assertRefused(withParts({ type: field, [field]: url }));
      assertRefused(withParts({ type: "text", text: "x", [field]: { url } }));
      assertRefused(withParts({ [field]: { url: PIXEL, uri: url } }));
    }
  }
  assertRefused(withParts({ type: "input_audio", input_audio: { data: "http://10.0.0.1/a.wav" } }));
  assertRefused(withParts({ type: "file", file: { file_id: "file-abc" } }));
  assertRefused(withParts({ type: "image_url", image_url: { url: { url: "http://10.0.0.1/" } } }));
  assertRefused(withParts({ type: "image_url", image_url: ["http://10.0.0.1/"] }));
  assertRefused(withParts({ type: "image", image: PIXEL }));
  assertRefused(withParts({ type: "image_url", image_url: { url: PIXEL }, uuid: "of another" }));
  assertRefused(withMessage({ images: ["http://10.0.0.1/a.png"] }));
  assertRefused(withMessage({ audio: { id: "audio_of_another" } }));
  assertRefused({ prediction: { type: "content", content: [{ image_url: "http://10.0.0.1/" }] } });
});

Deno.test("tools of the server and references to other documents are refused", () => {
  assertRefused({ tools: [{ type: "web_search" }] });
  assertRefused({ tools: [{ type: "mcp", server_url: "http://10.0.0.1/" }] });
  assertRefused({ tools: [{ function: { name: "a" } }] });
  for (const $ref of ["http://10.0.0.1/s.json", "file:///etc/passwd", "other.json"]) {
    const parameters = { type: "object", properties: { a: { anyOf: [{ $ref }] } } };
    assertRefused({ tools: [{ type: "function", function: { name: "a", parameters } }] });
    assertRefused({ functions: [{ name: "a", parameters }] });
    const format = { type: "json_schema", json_schema: { name: "a", schema: parameters } };
    assertRefused({ response_format: format });
  }
});

Deno.test("fields that reach beyond the answer are refused by name, unless they mean nothing", () => {
  const fields = [
    ...["web_search_options", "chat_template", "chat_template_kwargs", "kv_transfer_params"],
    ...["prompt_logprobs", "id_slot", "lora", "grammar", "draft_model", "n_predict", "plugins"],
  ];
  for (const field of fields) {
    assert.ok(assertRefused({ [field]: {} }).includes(`the field ${field} is`));
    assert.equal(field in restrict({ [field]: null }).raw, false);
  }
  for (const odd of ["line\nfeed", "x".repeat(65), "schlüssel"]) {
    assert.ok(!assertRefused({ [odd]: 1 }).includes(odd));
  }
});

Deno.test("fields without which the answer is the same are left out", () => {
  const fields = { user: "u", store: true, metadata: { a: "b" }, service_tier: "priority" };
  const { raw } = restrict({ ...fields, priority: -1, ttl: 1, stream: false, stream_options: {} });
  assert.deepEqual(Object.keys(raw).sort(), ["messages", "model"]);
  const echo = { role: "assistant", content: "x", annotations: [], audio: null, id: "m1" };
  const { messages } = restrict({ messages: [echo] });
  assert.deepEqual(messages, [{ role: "assistant", content: "x" }]);
});

Deno.test("a completion and a request for vectors pass what concerns them, and nothing of a chat", () => {
  const completion = {
    model: "m",
    prompt: ["a", "b"],
    suffix: "z",
    echo: true,
    logprobs: 2,
    max_tokens: 5,
    n: 2,
    stop: "x",
    top_k: 4,
  };
  const pass = (raw: Record<string, unknown>) =>
    restrictRequest(readModelRequest(raw), new Set()).raw;
  const left = { user: "u", stream: true, continues: `0x${"ab".repeat(32)}` };
  assert.deepEqual(pass({ ...completion, ...left }), completion);
  const embedding = { model: "m", input: ["a"], dimensions: 256 };
  assert.deepEqual(pass({ ...embedding, ...left, encoding_format: "float" }), embedding);
  const refused = { code: "feature_unsupported" };
  for (const field of ["best_of", "tools", "response_format", "max_completion_tokens"]) {
    assert.throws(() => pass({ ...completion, [field]: 2 }), refused, field);
  }
  for (const field of ["seed", "tools", "truncate", "task"]) {
    assert.throws(() => pass({ ...embedding, [field]: 2 }), refused, field);
  }
});

Deno.test("that a message is to be continued is told to no server by its own field", () => {
  const begun = { role: "assistant", content: "Once", prefix: true };
  const request = restrict({ messages: [{ role: "user", content: "x" }, begun] });
  assert.ok(request.continues);
  assert.deepEqual(request.raw.messages, [
    { role: "user", content: "x" },
    { role: "assistant", content: "Once" },
  ]);
});

Deno.test("an operator may let more fields pass", () => {
  const kwargs = { enable_thinking: false };
  const { raw } = restrict({ chat_template_kwargs: kwargs }, ["chat_template_kwargs"]);
  assert.deepEqual(raw.chat_template_kwargs, kwargs);
});

Deno.test("no request is run before its fields are checked", async () => {
  const keccak = await createKeccak(256);
  const refused = { code: "feature_unsupported" };
  assert.throws(() => checkRequest(makeJob({ grammar: "root ::= x" }), keccak), refused);
  const job = makeJob({ grammar: "root ::= x", user: "u" });
  const { raw } = checkRequest(job, keccak, new Set(["grammar"]));
  assert.equal(raw.grammar, "root ::= x");
  assert.equal("user" in raw, false);
});
