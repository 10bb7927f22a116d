import assert from "node:assert/strict";
import type { ErrorCode } from "@lloom/core/errors";
import { LloomError } from "@lloom/core/errors";
import {
  type MockFailure,
  type MockLlmOptions,
  type MockLlmServer,
  mockText,
  startMockLlmServer,
} from "../../../tests/support/mock_llm_server.ts";
import {
  chatRequest,
  choicesOf,
  collect,
  contentOf,
  reasonsOf,
  testBackend,
} from "../testing/backend_suite.ts";
import type { ServerKind } from "./dialects/mod.ts";
import { OpenAiCompatibleBackend, type OpenAiCompatibleOptions } from "./openai_compatible.ts";

const MODEL = "mock-model";
const never = (): AbortSignal => new AbortController().signal;

function backendOf(
  endpoint: string,
  options: Partial<OpenAiCompatibleOptions> = {},
): OpenAiCompatibleBackend {
  return new OpenAiCompatibleBackend({
    kind: "openai",
    endpoint,
    connectTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    ...options,
  });
}

async function withMock(
  options: MockLlmOptions,
  run: (backend: OpenAiCompatibleBackend, mock: MockLlmServer) => Promise<void>,
  backendOptions: Partial<OpenAiCompatibleOptions> = {},
): Promise<void> {
  const mock = startMockLlmServer(options);
  try {
    await run(backendOf(mock.url, { kind: options.dialect ?? "openai", ...backendOptions }), mock);
  } finally {
    await mock.stop();
  }
}

/** Serves one fixed answer. */
async function withAnswer(
  body: BodyInit | null,
  init: ResponseInit,
  run: (backend: OpenAiCompatibleBackend) => Promise<void>,
  kind: ServerKind = "custom",
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    await request.body?.cancel();
    return new Response(body, init);
  });
  try {
    await run(backendOf(`http://127.0.0.1:${server.addr.port}`, { kind }));
  } finally {
    await server.shutdown();
  }
}

const STREAM = { headers: { "content-type": "text/event-stream" } };
const ask = (backend: OpenAiCompatibleBackend, fields: Record<string, unknown> = {}) =>
  collect(backend.answer(MODEL, chatRequest(MODEL, fields), never()));

for (const dialect of ["openai", "ollama", "lmstudio", "vllm", "llamacpp"] as const) {
  testBackend(dialect, () => {
    const mock = startMockLlmServer({ dialect });
    return {
      backend: backendOf(mock.url, { kind: dialect }),
      model: MODEL,
      stop: () => mock.stop(),
    };
  });
}
testBackend("custom, below /v1, without usage", () => {
  const mock = startMockLlmServer({ usage: false });
  return {
    backend: backendOf(`${mock.url}/v1/`, { kind: "custom" }),
    model: MODEL,
    stop: () => mock.stop(),
  };
});

Deno.test("a list that is no list is malformed, too long a one too", async () => {
  const json = { headers: { "content-type": "application/json" } };
  await withAnswer('{"data":7}', json, async (backend) => {
    await assert.rejects(backend.models(never()), { code: "backend_malformed" });
  });
  await withAnswer(`{"data":["${"x".repeat(9 << 20)}"]}`, json, async (backend) => {
    await assert.rejects(backend.models(never()), { code: "backend_malformed" });
  });
});

Deno.test("the client's fields reach the server untouched, but for the few that we own", async () => {
  await withMock({}, async (backend, mock) => {
    const request = chatRequest("announced", {
      stream: false,
      stream_options: { include_usage: false, x: 1 },
      max_completion_tokens: 9,
      top_k: 40,
      tools: [{ type: "function", function: { name: "f", parameters: { a: [1, null] } } }],
      seed: 7,
    });
    await collect(backend.answer("its-own-name", { ...request, maxTokens: 5 }, never()));
    const { raw } = request;
    assert.deepEqual(mock.requests[0]!.body, {
      ...raw,
      model: "its-own-name",
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 5,
    });
  });
});

Deno.test("the limit goes where the server reads it", async () => {
  const cases: [ServerKind, Record<string, unknown>, Record<string, unknown>][] = [
    ["openai", {}, { max_completion_tokens: 5 }],
    ["openai", { max_tokens: 9 }, { max_tokens: 5 }],
    ["custom", {}, { max_tokens: 5 }],
    ["custom", { max_completion_tokens: 9 }, { max_completion_tokens: 5 }],
    ["ollama", { max_completion_tokens: 9 }, { max_completion_tokens: 5, max_tokens: 5 }],
    ["vllm", { max_tokens: null }, { max_tokens: 5 }],
    ["llamacpp", { n_predict: -1, max_tokens: 9 }, { max_tokens: 5 }],
  ];
  for (const [kind, fields, sent] of cases) {
    await withMock({}, async (backend, mock) => {
      await collect(
        backend.answer(MODEL, { ...chatRequest(MODEL, fields), maxTokens: 5 }, never()),
      );
      const { body } = mock.requests[0]!;
      const limits = ["max_tokens", "max_completion_tokens", "n_predict"]
        .filter((field) => field in body).map((field) => [field, body[field]]);
      assert.deepEqual(Object.fromEntries(limits), sent, kind);
    }, { kind });
  }
});

Deno.test("tool calls, reasoning and unknown fields survive untouched", async () => {
  const choice = {
    index: 0,
    delta: { reasoning_content: "hm", tool_calls: [{ index: 0, id: "c", odd: { deep: [1] } }] },
    logprobs: { content: [{ token: "x", logprob: -0.5 }] },
    vendor: true,
    finish_reason: null,
  };
  const stream = `data: ${JSON.stringify({ choices: [choice] })}\n\ndata: [DONE]\n\n`;
  await withAnswer(stream, STREAM, async (backend) => {
    assert.deepEqual(await ask(backend), [{ type: "part", part: { choices: [choice] } }]);
  });
});

Deno.test("the usage is found in a chunk without choices, in the last one, and in running ones", async () => {
  const delta = { choices: [{ index: 0, delta: { content: "x" }, finish_reason: null }] };
  const last = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };
  const usage = (completion_tokens: number) => ({ usage: { prompt_tokens: 3, completion_tokens } });
  const streams = [
    [delta, last, { choices: [], ...usage(4) }],
    [delta, { ...last, ...usage(4) }],
    [{ ...delta, ...usage(1) }, { ...last, ...usage(3) }, { ...usage(4) }],
  ];
  for (const chunks of streams) {
    const text = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
    await withAnswer(`${text}data: [DONE]\n\n`, STREAM, async (backend) => {
      assert.deepEqual((await ask(backend)).at(-1), {
        type: "usage",
        usage: { promptTokens: 3, completionTokens: 4, countedBy: "backend" },
      });
    });
  }
});

Deno.test("a usage that cannot be is no usage", async () => {
  for (const completion of [-1, 1.5, 2 ** 32, "4", null]) {
    const chunk = {
      choices: [{ index: 0, delta: { content: "x" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 1, completion_tokens: completion },
    };
    await withAnswer(
      `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`,
      STREAM,
      async (backend) => {
        assert.deepEqual((await ask(backend)).map(({ type }) => type), ["part"]);
      },
    );
  }
});

Deno.test("a reason to end and a clean end of the stream are an end; an end without either is not", async () => {
  const chunk = (reason: string | null) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: reason }] })}\n\n`;
  await withAnswer(chunk("stop"), STREAM, async (backend) => {
    assert.deepEqual(reasonsOf(await ask(backend)), ["stop"]);
  });
  for (const text of [chunk(null), chunk(""), "", chunk(null) + 'data: {"choi']) {
    await withAnswer(text, STREAM, async (backend) => {
      await assert.rejects(ask(backend), { code: "backend_truncated" });
    });
  }
  await withAnswer(chunk("stop"), STREAM, async (backend) => {
    // Two answers were asked for, one has ended.
    await assert.rejects(ask(backend, { n: 2 }), { code: "backend_truncated" });
  });
});

Deno.test("comments between events change nothing", async () => {
  await withMock({ keepAliveEvery: 1, tokens: 5 }, async (backend) => {
    assert.equal(contentOf(await ask(backend)), mockText(5));
  });
});

Deno.test("one JSON document instead of a stream is taken as one piece", async () => {
  await withMock({ ignoresStream: true, tokens: 5 }, async (backend) => {
    const events = await ask(backend);
    assert.equal(contentOf(events), mockText(5));
    assert.deepEqual(reasonsOf(events), ["stop"]);
    assert.equal(events.at(-1)?.type, "usage");
  });
  const toolCall = { name: "f", arguments: '{"a":1}' };
  await withMock({ ignoresStream: true, toolCall }, async (backend) => {
    const [choice] = choicesOf(await ask(backend));
    assert.deepEqual(choice!.delta, {
      role: "assistant",
      content: null,
      tool_calls: [{ index: 0, id: "call_1", type: "function", function: toolCall }],
    });
  });
});

Deno.test("every failure has its code", async () => {
  const status = (code: number, body?: unknown): MockFailure => ({
    kind: "status",
    status: code,
    body,
  });
  const tooLong = (message: string) => ({ error: { message, code: 400 } });
  const cases: [MockFailure, ErrorCode][] = [
    [status(401), "backend_unauthorized"],
    [status(403), "backend_unauthorized"],
    [status(429), "rate_limited"],
    [status(400), "backend_rejected"],
    [status(404), "backend_rejected"],
    [status(500), "backend_failed"],
    [status(503, "<html>busy</html>"), "backend_failed"],
    [status(400, { error: { code: "context_length_exceeded" } }), "context_length_exceeded"],
    [
      status(400, tooLong("This model's maximum context length is 4096 tokens.")),
      "context_length_exceeded",
    ],
    [
      status(400, { error: { type: "exceed_context_size_error", message: "too big", code: 400 } }),
      "context_length_exceeded",
    ],
    [{ kind: "garbage" }, "backend_malformed"],
    [{ kind: "truncate", afterTokens: 2 }, "backend_truncated"],
    [{ kind: "error", afterTokens: 2 }, "backend_failed"],
    [{ kind: "redirect", location: "http://127.0.0.1:9/" }, "backend_rejected"],
  ];
  for (const dialect of ["openai", "llamacpp"] as const) {
    for (const [failure, code] of cases) {
      await withMock({ dialect, failure }, async (backend) => {
        await assert.rejects(ask(backend), { code }, JSON.stringify(failure));
      });
    }
  }
});

Deno.test("an answer that is neither a stream nor JSON, or holds no event, is malformed", async () => {
  const html = { headers: { "content-type": "text/html" } };
  const json = { headers: { "content-type": "application/json" } };
  const cases: [string, ResponseInit][] = [
    ["<html></html>", html],
    ["no event here\n\n", STREAM],
    ["data: 7\n\n", STREAM],
    ['data: {"choices":7}\n\n', STREAM],
    ['data: {"choices":[7]}\n\n', STREAM],
    ["{", json],
    ["[]", json],
    ['{"choices":[]}', json],
    ['{"choices":[{}]}', json],
  ];
  for (const [body, init] of cases) {
    await withAnswer(body, init, async (backend) => {
      await assert.rejects(ask(backend), { code: "backend_malformed" }, body);
    });
  }
});

Deno.test("a refusal for now says when to try again", async () => {
  const failure = { kind: "status", status: 429, retryAfter: "7" } as const;
  await withMock({ failure }, async (backend) => {
    await assert.rejects(ask(backend), { code: "rate_limited", retryAfterMs: 7000 });
  });
});

Deno.test("a server that is not there is unreachable", async () => {
  const mock = startMockLlmServer();
  await mock.stop();
  const backend = backendOf(mock.url);
  await assert.rejects(ask(backend), { code: "backend_unreachable" });
  await assert.rejects(backend.models(never()), { code: "backend_unreachable" });
});

Deno.test("silence before the head and between two pieces is a timeout", async () => {
  for (const afterTokens of ["headers", 2] as const) {
    await withMock({ failure: { kind: "hang", afterTokens } }, async (backend, mock) => {
      const aborted = mock.nextAbort();
      await assert.rejects(ask(backend), { code: "backend_timeout" });
      await aborted;
    }, { connectTimeoutMs: 60, idleTimeoutMs: 60 });
  }
});

Deno.test("a caller who is slow to read does not time out the server", async () => {
  await withMock({ tokens: 3 }, async (backend) => {
    let text = "";
    for await (const event of backend.answer(MODEL, chatRequest(MODEL), never())) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      text += contentOf([event]);
    }
    assert.equal(text, mockText(3));
  }, { idleTimeoutMs: 50 });
});

Deno.test("an abort reaches the server, before the head and in the stream", async () => {
  for (const afterTokens of ["headers", 2] as const) {
    await withMock({ failure: { kind: "hang", afterTokens } }, async (backend, mock) => {
      const controller = new AbortController();
      const received = mock.nextRequest();
      const aborted = mock.nextAbort();
      const answer = assert.rejects(
        collect(backend.answer(MODEL, chatRequest(MODEL), controller.signal)),
        { code: "aborted" },
      );
      await received;
      controller.abort(new LloomError("aborted", "test: cancelled"));
      await answer;
      assert.ok((await aborted).abortedAt !== undefined);
    });
  }
});

Deno.test("the API key goes to the server and into no message", async () => {
  const apiKey = "sk-test-0123456789abcdef";
  await withMock({ apiKey }, async (backend, mock) => {
    assert.equal(contentOf(await ask(backend)), mockText(16));
    assert.equal(mock.requests[0]!.authorization, `Bearer ${apiKey}`);
    assert.ok(!Deno.inspect(backend, { depth: 9, showHidden: true }).includes(apiKey));
    const quoting = [
      { error: { message: `the key ${apiKey} and Bearer ${apiKey} are known` } },
      { detail: apiKey },
      { error: apiKey },
    ];
    for (const body of quoting) {
      for (const status of [400, 401, 429, 500]) {
        mock.options.failure = { kind: "status", status, body };
        const error = await ask(backend).then(() => undefined, (thrown) => thrown);
        assert.ok(error instanceof LloomError);
        assert.ok(!error.message.includes("0123456789"), error.message);
      }
    }
    mock.options.failure = { kind: "error", afterTokens: 1, message: `lost ${apiKey}` };
    const error = await ask(backend).then(() => undefined, (thrown) => thrown);
    assert.ok(error instanceof LloomError && !error.message.includes(apiKey));
  }, { apiKey });
});

Deno.test("settings that cannot be are refused without repeating them", () => {
  const cases: Partial<OpenAiCompatibleOptions>[] = [
    { endpoint: "nonsense-secret" },
    { endpoint: "ftp://secret/" },
    { endpoint: "http://user:secret@127.0.0.1/" },
    { endpoint: "http://127.0.0.1/?key=secret" },
    { apiKey: "secret\nheader: x" },
    { apiKey: "sécret" },
  ];
  for (const options of cases) {
    assert.throws(() => backendOf("http://127.0.0.1:1", options), (thrown) => {
      assert.ok(thrown instanceof LloomError && thrown.code === "config_invalid");
      return !thrown.message.includes("secret");
    });
  }
});

Deno.test("tokens are counted by the server where it can, and by a tokenizer where it is gone", async () => {
  for (const dialect of ["vllm", "llamacpp"] as const) {
    await withMock({ dialect }, async (backend, mock) => {
      const count = () => backend.count(MODEL, chatRequest(MODEL), "one two three", never());
      const counted = await count();
      assert.equal(counted.completionTokens, 3);
      assert.equal(counted.countedBy, "tokenizer");
      mock.options.dialect = "openai";
      assert.equal((await count()).countedBy, "estimate");
    });
  }
});
