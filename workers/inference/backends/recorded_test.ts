/**
 * Answers as the servers' documentation shows them, with their quirks, byte by byte through the
 * backend (`tests/fixtures/backends/`).
 */
import type { ErrorCode } from "@lloom/core/errors";
import { isJsonObject, readModelRequest, type RequestKind } from "@lloom/core/protocol";
import fc from "fast-check";
import assert from "node:assert/strict";
import { startMockLlmServer } from "../../../tests/support/mock_llm_server.ts";
import { choicesOf, contentOf, partsOf, reasonsOf } from "../testing/backend_suite.ts";
import type { BackendEvent } from "./backend.ts";
import type { ServerKind } from "./dialects/mod.ts";
import { OpenAiCompatibleBackend } from "./openai_compatible.ts";

const FOLDER = new URL("../../../tests/fixtures/backends/", import.meta.url);
const never = new AbortController().signal;

/** What an answer says, told apart from how it is written. */
interface Said {
  readonly text?: string;
  readonly reasoning?: string;
  /** Of each tool called: its name, and its arguments joined. */
  readonly calls?: readonly string[];
  readonly finish?: readonly string[];
  /** Tokens of prompt and answer. */
  readonly usage?: readonly [number, number];
  /** Vectors, as numbers. */
  readonly vectors?: readonly (readonly number[])[];
  /** How it breaks. */
  readonly error?: ErrorCode;
}

const EXPECTED: Readonly<Record<string, Said>> = {
  "openai_chat.sse": { text: "Grüße aus 東京 👋", finish: ["stop"], usage: [19, 7] },
  "openai_choices.sse": { text: "TailsHeads!", finish: ["stop", "length"], usage: [12, 5] },
  "openai_tools.sse": {
    calls: ['get_weather {"city":"Zürich"}', 'get_time {"zone":"CET"}'],
    finish: ["tool_calls"],
    usage: [88, 41],
  },
  "openai_refusal.json": { finish: ["stop"], usage: [30, 9] },
  "openai_completion.sse": { text: "\n\nOnce upon a time", finish: ["length"], usage: [4, 5] },
  "openai_embeddings.json": { vectors: [[1, -0.5, 0.125], [-1, 0.25, 0]], usage: [8, 0] },
  "ollama_chat.sse": {
    text: "Olá, mundo",
    reasoning: "The user greets.",
    finish: ["stop"],
    usage: [14, 11],
  },
  "ollama_tools.sse": {
    calls: ['get_weather {"city":"Köln"}', "get_time {}"],
    finish: ["tool_calls"],
    usage: [160, 44],
  },
  "ollama_error.sse": { text: "One", error: "backend_failed" },
  "ollama_completion.sse": { text: "def f():", finish: ["stop"], usage: [3, 4] },
  "ollama_embeddings.json": { vectors: [[0.010071029, -0.0017594862, 0.05007221]], usage: [6, 0] },
  "lmstudio_chat.sse": { text: "Yes.", reasoning: "Hmm…", finish: ["stop"], usage: [9, 6] },
  "lmstudio_error.sse": { text: "Ye", error: "backend_failed" },
  "lmstudio_embeddings.json": { vectors: [[0.25, -1.5e-5, 1], [-0.5, 0.125, 2]], usage: [0, 0] },
  "vllm_chat.sse": {
    text: "\n\nПривет",
    reasoning: "Let me see.",
    finish: ["stop"],
    usage: [21, 8],
  },
  "vllm_tools.sse": {
    calls: ['get_weather {"city": "São Paulo"}'],
    finish: ["tool_calls"],
    usage: [170, 21],
  },
  "vllm_error.sse": { text: "A", error: "backend_failed" },
  "vllm_completion.sse": { text: " ist schön.", finish: ["length"], usage: [5, 3] },
  "llamacpp_chat.sse": { text: "¡Hola 🇪🇸!", finish: ["stop"], usage: [12, 5] },
  "llamacpp_error.sse": { text: "Ho", error: "context_length_exceeded" },
  "llamacpp_embeddings.json": { vectors: [[1, 0.5]], usage: [5, 0] },
  "custom_crlf.sse": { text: "Ça va 🙂?", finish: ["stop"], usage: [10, 6] },
  "custom_no_done.sse": { text: "Finał", finish: ["stop"] },
};

const bytesOf = (file: string): Uint8Array<ArrayBuffer> => Deno.readFileSync(new URL(file, FOLDER));

function requestFor(file: string, vectors: number) {
  const kind: RequestKind = file.includes("embeddings")
    ? "embedding"
    : file.includes("completion")
    ? "completion"
    : "chat";
  const body = {
    chat: { messages: [{ role: "user", content: "x" }], n: file.includes("choices") ? 2 : 1 },
    completion: { prompt: "x" },
    embedding: { input: Array.from({ length: vectors }, () => "x") },
  }[kind];
  return readModelRequest({ model: "m", ...body });
}

interface Replayed {
  readonly events: readonly BackendEvent[];
  readonly error?: unknown;
}

/** An answer in these pieces, each of which the backend reads by itself. */
async function replay(file: string, pieces: readonly Uint8Array[]): Promise<Replayed> {
  let next = 0;
  const body = new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (next < pieces.length) return controller.enqueue(pieces[next++]!.slice());
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
  const type = file.endsWith(".sse") ? "text/event-stream; charset=utf-8" : "application/json";
  const { fetch } = globalThis;
  globalThis.fetch = () =>
    Promise.resolve(new Response(body, { headers: { "content-type": type } }));
  const events: BackendEvent[] = [];
  try {
    const request = requestFor(file, EXPECTED[file]!.vectors?.length ?? 0);
    for await (const event of backendOf(file).answer("m", request, never)) events.push(event);
    return { events };
  } catch (error) {
    return { events, error };
  } finally {
    globalThis.fetch = fetch;
  }
}

const backends = new Map<string, OpenAiCompatibleBackend>();

function backendOf(file: string): OpenAiCompatibleBackend {
  const kind = file.split("_", 1)[0]!;
  const backend = backends.get(kind) ?? new OpenAiCompatibleBackend({
    kind: kind as ServerKind,
    endpoint: "http://127.0.0.1:1",
    connectTimeoutMs: 5000,
    idleTimeoutMs: 5000,
  });
  backends.set(kind, backend);
  return backend;
}

/** What a stream's chunks say, read by plain means from the whole. */
function choicesIn(bytes: Uint8Array): unknown[] {
  return new TextDecoder().decode(bytes).split(/\r?\n/)
    .filter((line) => line.startsWith("data:") && !line.endsWith("[DONE]"))
    .map((line) => JSON.parse(line.slice("data:".length)).choices ?? [])
    .filter((choices) => choices.length > 0);
}

function callsOf(events: readonly BackendEvent[]): string[] {
  const calls: { name: string; said: string }[] = [];
  for (const { delta } of choicesOf(events)) {
    if (!isJsonObject(delta) || !Array.isArray(delta.tool_calls)) continue;
    for (const { index, function: { name, arguments: said = "" } } of delta.tool_calls) {
      calls[index] ??= { name, said: "" };
      calls[index].said += said;
    }
  }
  return calls.map(({ name, said }) => `${name} ${said}`);
}

/** What came out, in the terms of the table. */
function saidBy({ events, error }: Replayed): Said {
  const text = contentOf(events);
  const reasoning = choicesOf(events).map(({ delta }) =>
    isJsonObject(delta) ? delta.reasoning ?? delta.reasoning_content ?? "" : ""
  ).join("");
  const calls = callsOf(events);
  const finish = reasonsOf(events) as string[];
  const vectors = partsOf(events).flatMap((part) => "data" in part ? part.data : [])
    .map(({ embedding }) => [...new Float32Array(Uint8Array.fromBase64(embedding).buffer)]);
  const last = events.at(-1);
  return {
    ...(text !== "" && { text }),
    ...(reasoning !== "" && { reasoning }),
    ...(calls.length > 0 && { calls }),
    ...(finish.length > 0 && { finish }),
    ...(last?.type === "usage" && {
      usage: [last.usage.promptTokens, last.usage.completionTokens] as const,
    }),
    ...(vectors.length > 0 && { vectors }),
    ...(error !== undefined && { error: (error as { code: ErrorCode }).code }),
  };
}

Deno.test("every recorded answer is in the table, and the other way round", () => {
  const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
  assert.deepEqual(files, Object.keys(EXPECTED).sort());
});

for (const [file, expected] of Object.entries(EXPECTED)) {
  Deno.test(`${file} reads the same, cut anywhere into any pieces`, async () => {
    const bytes = bytesOf(file);
    const wanted = {
      ...expected,
      ...(expected.vectors && { vectors: expected.vectors.map((one) => one.map(Math.fround)) }),
    };
    const check = async (pieces: readonly Uint8Array[]) => {
      const replayed = await replay(file, pieces);
      assert.deepEqual(saidBy(replayed), wanted);
      if (!file.endsWith(".sse")) return;
      const lines = partsOf(replayed.events).map((part) => "choices" in part && part.choices);
      assert.deepEqual(lines, choicesIn(bytes));
    };
    await check([bytes]);
    await check(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
    const cuts = fc.array(fc.nat({ max: bytes.length }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cuts, async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        await check(pieces.filter(({ length }) => length > 0));
      }),
      { numRuns: 40 },
    );
  });
}

Deno.test("a recorded answer reads the same over a connection", async () => {
  for (const file of ["openai_tools.sse", "openai_refusal.json"]) {
    const mock = startMockLlmServer({ replay: bytesOf(file) });
    const times = { connectTimeoutMs: 5000, idleTimeoutMs: 5000 };
    const backend = new OpenAiCompatibleBackend({ kind: "openai", endpoint: mock.url, ...times });
    const events = await Array.fromAsync(backend.answer("m", requestFor(file, 0), never));
    assert.deepEqual(saidBy({ events }), EXPECTED[file]);
    await mock.stop();
  }
});

Deno.test("an answer cut off anywhere before its end is never taken for a whole one", async () => {
  for (const file of ["openai_chat.sse", "ollama_tools.sse", "custom_crlf.sse"]) {
    const bytes = bytesOf(file);
    const text = new TextDecoder().decode(bytes);
    // From its reason to end on it is whole: what is missing then is the usage, or the end mark.
    const said = text.lastIndexOf('"finish_reason":null');
    const until = new TextEncoder().encode(text.slice(0, text.indexOf("\n", said))).length;
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: until }), async (length) => {
        const { events, error } = await replay(
          file,
          length === 0 ? [] : [bytes.subarray(0, length)],
        );
        // Cut before its first event is whole, it may seem to be something else altogether.
        const code = events.length > 0 ? /^backend_truncated$/ : /^backend_(truncated|malformed)$/;
        assert.match(String((error as { code?: string } | undefined)?.code), code);
      }),
      { numRuns: 40 },
    );
  }
});
