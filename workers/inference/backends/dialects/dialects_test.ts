import type { Feature } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import {
  type MockLlmOptions,
  startMockLlmServer,
} from "../../../../tests/support/mock_llm_server.ts";
import type { BackendModel } from "../backend.ts";
import { OpenAiCompatibleBackend } from "../openai_compatible.ts";
import { DIALECTS, type ServerKind } from "./mod.ts";

const never = new AbortController().signal;

async function modelsOf(
  options: MockLlmOptions,
  kind: ServerKind = options.dialect ?? "openai",
): Promise<readonly BackendModel[]> {
  const mock = startMockLlmServer(options);
  const backend = new OpenAiCompatibleBackend({
    kind,
    endpoint: mock.url,
    connectTimeoutMs: 5000,
    idleTimeoutMs: 5000,
  });
  try {
    return await backend.models(never);
  } finally {
    await mock.stop();
  }
}

/** What servers answer that is not in the mock. */
async function modelsFrom(
  kind: ServerKind,
  answers: Readonly<Record<string, unknown>>,
): Promise<readonly BackendModel[]> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    await request.body?.cancel();
    const answer = answers[new URL(request.url).pathname];
    return answer === undefined ? new Response(null, { status: 404 }) : Response.json(answer);
  });
  const endpoint = `http://127.0.0.1:${server.addr.port}`;
  const times = { connectTimeoutMs: 5000, idleTimeoutMs: 5000 };
  try {
    return await new OpenAiCompatibleBackend({ kind, endpoint, ...times }).models(never);
  } finally {
    await server.shutdown();
  }
}

const EMBEDDING_MODEL = "nomic-embed-text";
const VECTORS: readonly Feature[] = ["embeddings"];

const EXPECTED: Readonly<Record<Exclude<ServerKind, "custom">, readonly BackendModel[]>> = {
  openai: [
    { id: "m", features: ["chat"] },
    { id: EMBEDDING_MODEL, features: VECTORS },
  ],
  vllm: [
    {
      id: "m",
      features: [
        ...["chat", "completions", "json_mode", "json_schema", "logprobs"] as const,
        ...["seed", "stop", "n", "continue"] as const,
      ],
      contextLength: 8192,
    },
    { id: EMBEDDING_MODEL, features: VECTORS, contextLength: 8192 },
  ],
  llamacpp: [
    {
      id: "m",
      features: [
        ...["chat", "completions", "json_mode", "json_schema", "logprobs"] as const,
        ...["seed", "stop", "continue", "tools", "parallel_tools", "vision"] as const,
      ],
      contextLength: 4096,
      size: "7000000000",
    },
    { id: EMBEDDING_MODEL, features: VECTORS, contextLength: 4096, size: "7000000000" },
  ],
  lmstudio: [
    {
      id: "m",
      features: ["chat", "completions", "json_schema", "seed", "stop", "tools"],
      contextLength: 4096,
      architecture: "qwen2",
    },
    { id: EMBEDDING_MODEL, features: VECTORS, contextLength: 2048 },
  ],
  ollama: [
    {
      id: "m",
      features: [
        ...["chat", "completions", "json_mode", "json_schema", "seed", "stop"] as const,
        ...["tools", "reasoning", "logprobs"] as const,
      ],
      contextLength: 4096,
      architecture: "llama",
      size: "8.0B",
    },
    {
      id: EMBEDDING_MODEL,
      features: VECTORS,
      contextLength: 131072,
      architecture: "llama",
      size: "8.0B",
    },
  ],
};

for (const dialect of ["openai", "vllm", "llamacpp", "lmstudio", "ollama"] as const) {
  Deno.test(`${dialect} tells what its server knows, and what is documented of it`, async () => {
    const embeddingModels = [EMBEDDING_MODEL];
    const found = await modelsOf({ dialect, models: ["m"], embeddingModels });
    assert.deepEqual(found, EXPECTED[dialect]);
  });
}

Deno.test("of an unknown server, chat is all that is known; models for other uses are left out", async () => {
  const models = ["m", "bge-m3", "whisper-1", "bge-reranker-v2", "gpt-4o-realtime"];
  const found = await modelsOf({ models }, "custom");
  assert.deepEqual(found.map(({ id, features }) => [id, features]), [
    ["m", ["chat"]],
    ["bge-m3", ["embeddings"]],
  ]);
});

Deno.test("OpenAI's models are told apart by their families", async () => {
  const featuresOf = async (id: string) => (await modelsOf({ models: [id] }))[0]!.features;
  const cases: [string, Feature[], Feature[]][] = [
    ["gpt-4o-mini", ["tools", "vision", "json_schema", "logprobs", "stop", "n"], ["reasoning"]],
    ["chatgpt-4o-latest", ["chat", "vision"], []],
    ["ft:gpt-4o-mini:org", ["chat", "tools"], []],
    ["gpt-5-mini", ["chat", "reasoning", "parallel_tools"], ["logprobs", "stop"]],
    ["gpt-5-chat-latest", ["chat", "logprobs", "stop"], ["reasoning"]],
    ["o4-mini", ["chat", "reasoning"], ["parallel_tools", "logprobs", "stop"]],
    ["gpt-4o-audio-preview", ["chat", "audio"], ["vision"]],
    ["gpt-3.5-turbo-instruct", ["completions"], ["chat"]],
    ["gpt-3.5-turbo", ["chat", "tools", "json_mode"], ["vision", "json_schema"]],
    ["davinci-002", ["completions", "logprobs"], ["chat"]],
    ["text-embedding-3-small", ["embeddings"], ["chat", "completions"]],
  ];
  for (const [id, has, lacks] of cases) {
    const features = await featuresOf(id);
    assert.deepEqual(has.filter((feature) => !features.includes(feature)), [], id);
    assert.deepEqual(lacks.filter((feature) => features.includes(feature)), [], id);
  }
});

Deno.test("an Ollama model that is not loaded has the context it was trained with", async () => {
  const models = await modelsOf({ dialect: "ollama", models: ["a", "b"] });
  assert.deepEqual(models.map(({ contextLength }) => contextLength), [4096, 131072]);
});

Deno.test("Ollama has log-probabilities since 0.12.11, and an old one tells no abilities", async () => {
  const features = async (version: unknown, show: object) => {
    const models = await modelsFrom("ollama", {
      "/api/tags": { models: [{ name: "m" }] },
      "/api/ps": { models: null },
      "/api/show": show,
      ...(version !== undefined && { "/api/version": { version } }),
    });
    return models.flatMap(({ features }) => features);
  };
  const writes = { capabilities: ["completion"] };
  for (const version of ["0.12.11", "0.12.11-rc0", "0.13.0", "1.0.0", "0.100.0"]) {
    assert.ok((await features(version, writes)).includes("logprobs"), version);
  }
  for (const version of ["0.12.10", "0.6.4", "0.0.0", "odd", undefined]) {
    assert.ok(!(await features(version, writes)).includes("logprobs"), String(version));
  }
  assert.ok((await features("0.5.0", {})).includes("chat"));
  assert.deepEqual(await features("0.13.0", { capabilities: ["image"] }), []);
});

Deno.test("the servers that can go on with an answer are told to, by their own fields", () => {
  const continued = (kind: ServerKind, raw: object = {}) =>
    DIALECTS[kind].continueAnswer?.({ seed: 1, ...raw });
  assert.deepEqual(continued("vllm"), {
    seed: 1,
    continue_final_message: true,
    add_generation_prompt: false,
  });
  assert.deepEqual(continued("llamacpp", { chat_template_kwargs: { a: 1 } }), {
    seed: 1,
    chat_template_kwargs: { a: 1, enable_thinking: false },
  });
  for (const kind of ["openai", "ollama", "lmstudio", "custom"] as const) {
    assert.equal(continued(kind), undefined, kind);
  }
});
