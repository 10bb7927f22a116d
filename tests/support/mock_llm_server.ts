/**
 * A model server without a model: it speaks the dialects of OpenAI, Ollama, LM Studio, vLLM and
 * llama.cpp on 127.0.0.1, fails on demand, and records what it was asked.
 *
 * As a script: `deno run -A tests/support/mock_llm_server.ts --port 0 --tokens 32`.
 * @module
 */
import { parseArgs } from "node:util";
import {
  chunk,
  type MockAnswer,
  mockBegun,
  mockLength,
  mockPromptTokens,
  mockText,
  mockVector,
  type Script,
  sse,
  writeScript,
  writeVectors,
  writeWhole,
} from "./mock_llm_answers.ts";
import { errorBody, listing, type MockDialect, tokenizing } from "./mock_llm_dialects.ts";
import type {
  MockFailure,
  MockLlmOptions,
  MockLlmServer,
  MockRequest,
} from "./mock_llm_options.ts";

export type { MockFailure, MockLlmOptions, MockLlmServer, MockRequest };
export { type MockDialect, mockPromptTokens, mockText, mockVector };

const encoder = new TextEncoder();
const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  Response.json(value, { status, headers });

const MODEL_PATHS = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);
const KEEP_ALIVE = encoder.encode(": keep-alive\n\n");

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Starts a mock on 127.0.0.1. */
export function startMockLlmServer(initial: MockLlmOptions = {}): MockLlmServer {
  const options: MockLlmOptions = { ...initial };
  const requests: MockRequest[] = [];
  const paths: string[] = [];
  const scripts = new Map<string, Script>();
  const abortWaiters: ((request: MockRequest) => void)[] = [];
  const requestWaiters: ((request: MockRequest) => void)[] = [];
  const hanging = new Set<() => void>();

  const scriptFor = (answer: MockAnswer): Script => {
    const { dialect, reasoningTokens, toolCall, tokenPadding, text } = options;
    const key = JSON.stringify([dialect, reasoningTokens, toolCall, tokenPadding, text, answer]);
    let script = scripts.get(key);
    if (script === undefined) {
      script = writeScript(options, answer);
      scripts.set(key, script);
    }
    return script;
  };

  const usageOf = (record: MockRequest, completionTokens: number): object => {
    const promptTokens = mockPromptTokens(record.body.messages ?? record.body.prompt);
    return {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    };
  };

  const stream = (
    record: MockRequest,
    answer: MockAnswer,
    failure: MockFailure | undefined,
  ): Response => {
    const { delayMs = 0, firstTokenMs = 0, coalesce = false, keepAliveEvery = 0, usage = true } =
      options;
    const script = scriptFor(answer);
    const { tokens } = script;
    const stopAt =
      failure !== undefined && "afterTokens" in failure && failure.afterTokens !== "headers"
        ? failure.afterTokens
        : Infinity;
    const wantsUsage = usage &&
      (record.body.stream_options as { include_usage?: boolean } | undefined)?.include_usage ===
        true;
    const tail = (): Uint8Array<ArrayBuffer> => {
      const parts = [script.finish];
      if (wantsUsage) {
        const usage = usageOf(record, tokens.length * answer.answers);
        parts.push(sse({ ...chunk(answer.kind, answer.model, []), usage }));
      }
      return join([...parts, script.done]);
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wake: (() => void) | undefined;
    const pause = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        wake = resolve;
        timer = setTimeout(resolve, ms);
      });
    let cancelled = false;
    let opened = false;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (!opened) {
          opened = true;
          await options.gate;
          if (firstTokenMs > 0) await pause(firstTokenMs);
          if (cancelled) return;
          if (script.opening.length > 0) return controller.enqueue(join(script.opening));
        }
        if (record.sent >= stopAt) {
          if (failure?.kind === "truncate") throw new Error("cut on purpose");
          if (failure?.kind === "error") {
            const message = failure.message ?? "the model crashed";
            const error = { message, type: "server_error", code: 500 };
            // llama.cpp has a field of its own for this.
            const field = options.dialect === "llamacpp" ? "error" : "data";
            const value = field === "error" ? error : { error };
            controller.enqueue(encoder.encode(`${field}: ${JSON.stringify(value)}\n\n`));
            return controller.close();
          }
          return new Promise((resolve) => hanging.add(resolve));
        }
        if (record.sent < tokens.length) {
          if (delayMs > 0) await pause(delayMs);
          if (cancelled) return;
          if (coalesce && delayMs === 0) {
            const upTo = Math.min(tokens.length, stopAt);
            controller.enqueue(join(tokens.slice(record.sent, upTo)));
            record.sent = upTo;
            return;
          }
          if (keepAliveEvery > 0 && record.sent % keepAliveEvery === 0) {
            controller.enqueue(KEEP_ALIVE);
          }
          controller.enqueue(tokens[record.sent]!);
          record.sent++;
          return;
        }
        controller.enqueue(tail());
        record.finishedAt = Date.now();
        controller.close();
      },
      cancel() {
        cancelled = true;
        clearTimeout(timer);
        wake?.();
        if (record.finishedAt !== undefined) return;
        record.abortedAt = Date.now();
        for (const waiter of abortWaiters.splice(0)) waiter(record);
      },
    }, { highWaterMark: 0 });
    return new Response(body, {
      headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
    });
  };

  const whole = (record: MockRequest, answer: MockAnswer): Response => {
    record.sent = answer.count;
    record.finishedAt = Date.now();
    const usage = usageOf(record, answer.count * answer.answers);
    return json(writeWhole(options, answer, options.usage === false ? undefined : usage));
  };

  /** The text that a request asks for. */
  const answerTo = ({ path, body }: MockRequest): MockAnswer => {
    const { tokens = 16, honoursLimit = true } = options;
    const { max_completion_tokens: a, max_tokens: b } = body;
    const limit = honoursLimit ? Number(a ?? b ?? Infinity) : Infinity;
    const from = mockBegun(options, body);
    const left = Math.max(0, mockLength(options, tokens) - from);
    return {
      kind: path === "/v1/completions" ? "completion" : "chat",
      model: body.model,
      from,
      count: Math.min(left, limit),
      limited: left > limit,
      answers: typeof body.n === "number" ? body.n : 1,
      logprobs: body.logprobs === true,
    };
  };

  const ask = (record: MockRequest, request: Request): Response | Promise<Response> => {
    const { dialect = "openai", failure: rule } = options;
    const number = requests.length;
    requests.push(record);
    for (const waiter of requestWaiters.splice(0)) waiter(record);
    if (options.apiKey !== undefined && record.authorization !== `Bearer ${options.apiKey}`) {
      // OpenAI quotes the key that it refuses.
      const key = record.authorization?.replace("Bearer ", "") ?? "";
      return json(errorBody(dialect, 401, `Incorrect API key provided: ${key}`), 401);
    }
    const failure = typeof rule === "function" ? rule(number) : rule;
    if (failure?.kind === "status") {
      const headers = failure.retryAfter === undefined ? {} : { "retry-after": failure.retryAfter };
      const body = failure.body ??
        errorBody(dialect, failure.status, `refused with ${failure.status}`);
      return typeof body === "string"
        ? new Response(body, { status: failure.status, headers })
        : json(body, failure.status, headers);
    }
    if (failure?.kind === "redirect") {
      return new Response(null, { status: 307, headers: { location: failure.location } });
    }
    if (failure?.kind === "garbage") {
      return new Response("data: {not json\n\n", {
        headers: { "content-type": "text/event-stream" },
      });
    }
    if (failure?.kind === "hang" && failure.afterTokens === "headers") {
      return new Promise((resolve) => {
        const end = () => resolve(new Response(null, { status: 503 }));
        hanging.add(end);
        request.signal.addEventListener("abort", () => {
          record.abortedAt = Date.now();
          for (const waiter of abortWaiters.splice(0)) waiter(record);
          end();
        });
      });
    }
    if (options.replay !== undefined) {
      record.finishedAt = Date.now();
      // A stream begins with a field or a comment, a document with a brace.
      const type = options.replay[0] === 0x7b ? "application/json" : "text/event-stream";
      return new Response(options.replay, { headers: { "content-type": type } });
    }
    if (record.path === "/v1/embeddings") {
      record.finishedAt = Date.now();
      return json(writeVectors(options, record.body, options.usage !== false));
    }
    const answer = answerTo(record);
    return options.ignoresStream === true || record.body.stream !== true
      ? whole(record, answer)
      : stream(record, answer, failure);
  };

  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: options.port ?? 0,
    onListen() {},
    // What a cut stream throws is asked for, and is no news.
    onError: () => new Response(null, { status: 500 }),
  }, async (request) => {
    const { dialect = "openai", models = ["mock-model"], embeddingModels = [] } = options;
    const path = new URL(request.url).pathname;
    paths.push(`${request.method} ${path}`);
    const body = request.method === "POST" ? await request.json() : undefined;
    if (MODEL_PATHS.has(path) && body !== undefined) {
      const record: MockRequest = {
        path,
        authorization: request.headers.get("authorization"),
        body,
        receivedAt: Date.now(),
        sent: 0,
      };
      return ask(record, request);
    }
    const answer = listing(dialect, path, models, embeddingModels, body) ??
      (body === undefined ? undefined : tokenizing(dialect, path, body));
    return answer === undefined ? json(errorBody(dialect, 404, "not found"), 404) : json(answer);
  });

  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    port: server.addr.port,
    options,
    requests,
    paths,
    nextAbort: () => new Promise((resolve) => abortWaiters.push(resolve)),
    nextRequest: () => new Promise((resolve) => requestWaiters.push(resolve)),
    async stop() {
      for (const end of hanging) end();
      await server.shutdown();
    },
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "0" },
      dialect: { type: "string", default: "openai" },
      model: { type: "string", multiple: true, default: ["mock-model"] },
      tokens: { type: "string", default: "16" },
      "delay-ms": { type: "string", default: "0" },
      coalesce: { type: "boolean", default: false },
    },
  });
  const dialects: readonly string[] = ["openai", "ollama", "lmstudio", "vllm", "llamacpp"];
  if (!dialects.includes(values.dialect)) throw new RangeError(`no dialect ${values.dialect}`);
  const server = startMockLlmServer({
    port: Number(values.port),
    dialect: values.dialect as MockDialect,
    models: values.model,
    tokens: Number(values.tokens),
    delayMs: Number(values["delay-ms"]),
    coalesce: values.coalesce,
  });
  // The line that a parent process waits for.
  await Deno.stdout.write(encoder.encode(`${server.port}\n`));
}
