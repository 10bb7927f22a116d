import assert from "node:assert/strict";
import { type Feature, parameterFeatures, requiredFeatures } from "./features.ts";
import type { JsonObject } from "./json.ts";
import { readModelRequest } from "./model_request.ts";

const messages = [{ role: "user", content: "hello" }];
const chat = (fields: JsonObject = {}) => readModelRequest({ model: "m", messages, ...fields });
const withPart = (type: string) => chat({ messages: [{ role: "user", content: [{ type }] }] });

Deno.test("a request needs a model for its kind", () => {
  assert.deepEqual(requiredFeatures(chat()), ["chat"]);
  assert.deepEqual(requiredFeatures(readModelRequest({ model: "m", prompt: "a" })), [
    "completions",
  ]);
  assert.deepEqual(requiredFeatures(readModelRequest({ model: "m", input: "a" })), ["embeddings"]);
});

Deno.test("a chat needs a model that can do what it asks for", () => {
  const begun = { role: "assistant", content: "a", prefix: true };
  const cases: [JsonObject, Feature[]][] = [
    [{ tools: [] }, []],
    [{ tools: [{ type: "function" }] }, ["tools"]],
    [{ functions: [{ name: "f" }] }, ["tools"]],
    [{ response_format: { type: "text" } }, []],
    [{ response_format: { type: "json_object" } }, ["json_mode"]],
    [{ response_format: { type: "json_schema" } }, ["json_schema"]],
    [{ logprobs: false }, []],
    [{ logprobs: true }, ["logprobs"]],
    [{ n: 1 }, []],
    [{ n: 2 }, ["n"]],
    [{ modalities: ["text", "audio"] }, ["audio"]],
    [{ messages: [...messages, begun] }, ["continue"]],
    [{ seed: 1, stop: "a", reasoning_effort: "low", parallel_tool_calls: false }, []],
  ];
  for (const [fields, features] of cases) {
    assert.deepEqual(
      requiredFeatures(chat(fields)),
      ["chat", ...features],
      JSON.stringify(fields),
    );
  }
  for (const type of ["image_url", "video_url", "file"]) {
    assert.deepEqual(requiredFeatures(withPart(type)), ["chat", "vision"]);
  }
  for (const type of ["input_audio", "audio_url"]) {
    assert.deepEqual(requiredFeatures(withPart(type)), ["chat", "audio"]);
  }
  assert.deepEqual(requiredFeatures(withPart("text")), ["chat"]);
});

Deno.test("a completion's log-probabilities are a number of them, and none is one", () => {
  const features = (fields: JsonObject) =>
    requiredFeatures(readModelRequest({ model: "m", prompt: ["a", "b"], ...fields }));
  assert.deepEqual(features({ logprobs: 0, n: 2 }), ["completions", "logprobs", "n"]);
  assert.deepEqual(features({ logprobs: null }), ["completions"]);
});

Deno.test("parameters that a server may pass over are told apart", () => {
  const cases: [JsonObject, Feature[]][] = [
    [{}, []],
    [{ seed: null, stop: [], parallel_tool_calls: null }, []],
    [{ seed: 0 }, ["seed"]],
    [{ stop: "a" }, ["stop"]],
    [{ parallel_tool_calls: false }, ["parallel_tools"]],
    ...["reasoning_effort", "reasoning", "think"].map((field): [JsonObject, Feature[]] => [
      { [field]: "low" },
      ["reasoning"],
    ]),
  ];
  for (const [fields, features] of cases) {
    assert.deepEqual(parameterFeatures(chat(fields)), features, JSON.stringify(fields));
  }
});
