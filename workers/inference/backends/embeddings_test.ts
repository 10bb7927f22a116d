import { readModelRequest } from "@lloom/core/protocol";
import fc from "fast-check";
import assert from "node:assert/strict";
import {
  type MockLlmOptions,
  type MockLlmServer,
  mockPromptTokens,
  mockVector,
  startMockLlmServer,
} from "../../../tests/support/mock_llm_server.ts";
import { collect, partsOf } from "../testing/backend_suite.ts";
import type { BackendEvent } from "./backend.ts";
import { readEmbeddings } from "./embeddings.ts";
import { OpenAiCompatibleBackend } from "./openai_compatible.ts";

const never = new AbortController().signal;
const toBase64 = (numbers: readonly number[]): string =>
  new Uint8Array(new Float32Array(numbers).buffer).toBase64();

async function embed(
  options: MockLlmOptions,
  fields: Record<string, unknown>,
  check: (events: readonly BackendEvent[], mock: MockLlmServer) => void,
): Promise<void> {
  const mock = startMockLlmServer(options);
  const backend = new OpenAiCompatibleBackend({
    kind: options.dialect ?? "openai",
    endpoint: mock.url,
    connectTimeoutMs: 5000,
    idleTimeoutMs: 5000,
  });
  try {
    const request = readModelRequest({ model: "announced", ...fields });
    check(await collect(backend.answer("its-own-name", request, never)), mock);
  } finally {
    await mock.stop();
  }
}

Deno.test("each input has its vector, in base64, whatever form the server writes", async () => {
  const input = ["one two", "three"];
  for (const dialect of ["openai", "ollama", "lmstudio", "vllm", "llamacpp"] as const) {
    await embed({ dialect }, { input, dimensions: 16 }, (events, mock) => {
      assert.deepEqual(
        partsOf(events),
        input.map((text, index) => ({
          data: [{ index, embedding: toBase64(mockVector(text, 16)) }],
        })),
      );
      const promptTokens = mockPromptTokens(input);
      assert.deepEqual(events.at(-1), {
        type: "usage",
        usage: { promptTokens, completionTokens: 0, countedBy: "backend" },
      });
      assert.deepEqual(mock.requests[0]!.body, {
        model: "its-own-name",
        input,
        dimensions: 16,
        encoding_format: "base64",
      });
    });
  }
});

Deno.test("many inputs are asked for in parts, counted through and summed up", async () => {
  const input = Array.from({ length: 600 }, (_, i) => [i, i]);
  await embed({}, { input }, (events, mock) => {
    const vectors = partsOf(events).flatMap((part) => "data" in part ? part.data : []);
    assert.deepEqual(
      vectors,
      input.map((tokens, index) => ({ index, embedding: toBase64(mockVector(tokens)) })),
    );
    assert.deepEqual(mock.requests.map(({ body }) => (body.input as []).length), [256, 256, 88]);
    const usage = events.at(-1);
    assert.ok(usage?.type === "usage");
    assert.equal(usage.usage.promptTokens, 1200);
  });
});

Deno.test("without a usage, none is made up", async () => {
  await embed({ usage: false }, { input: "a" }, (events) => {
    assert.deepEqual(events.map(({ type }) => type), ["part"]);
  });
});

Deno.test("any numbers come out as 32-bit floats, little-endian, in the order of their inputs", () => {
  const vectors = fc.array(
    fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
      minLength: 1,
      maxLength: 8,
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(fc.property(vectors, fc.boolean(), (vectors, reversed) => {
    const data = vectors.map((embedding, index) => ({ index, embedding }));
    if (reversed) data.reverse();
    const read = readEmbeddings(JSON.parse(JSON.stringify({ data })), vectors.length, "");
    assert.deepEqual(read, {
      embeddings: vectors.map((vector, index) => ({
        index,
        // JSON knows no negative zero.
        embedding: toBase64(vector.map((value) => value === 0 ? 0 : value)),
      })),
    });
  }));
});

Deno.test("an answer that is not a vector for each input is malformed", () => {
  const good = { index: 0, embedding: [1] };
  const bodies: unknown[] = [
    [],
    {},
    { data: {} },
    { data: [] },
    { data: [good, good, good] },
    { data: [good, good] },
    { data: [good, { ...good, index: 2 }] },
    { data: [good, { ...good, index: -1 }] },
    { data: [good, { ...good, index: 0.5 }] },
    { data: [good, { ...good, index: "1" }] },
    { data: [good, { index: 1 }] },
    { data: [good, { index: 1, embedding: [] }] },
    { data: [good, { index: 1, embedding: ["1"] }] },
    { data: [good, { index: 1, embedding: [null] }] },
    { data: [good, { index: 1, embedding: Array(1 << 16).fill(0) }] },
    { data: [good, { index: 1, embedding: "" }] },
    { data: [good, { index: 1, embedding: "AAAA" }] },
    { data: [good, { index: 1, embedding: "no base64" }] },
    { data: [good, null] },
  ];
  for (const body of bodies) {
    assert.throws(
      () => readEmbeddings(body, 2, ""),
      { code: "backend_malformed" },
      JSON.stringify(body),
    );
  }
  const error = { error: { message: "no such model sk-secret-key" } };
  assert.throws(() => readEmbeddings(error, 2, ""), { code: "backend_failed" });
});
