import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import {
  decodeTrailer,
  type ModelRequest,
  TEMPLATE_TOKENS,
  type Trailer,
  UNSEEN_TOKENS,
} from "@lloom/core/protocol";
import type { BackendEvent, ModelBackend, TokenUsage } from "./backends/backend.ts";
import { ModelRun, type ModelRunOptions } from "./model_run.ts";
import { keccakOf, makeJob, makeJobOf, RecordingSink } from "./testing/jobs.ts";

const COUNTED: TokenUsage = { promptTokens: 11, completionTokens: 7, countedBy: "tokenizer" };
const CANCEL = new LloomError("aborted", "test: cancelled").toData();

const chunk = (...choices: unknown[]): BackendEvent => ({ type: "part", part: { choices } });
const text = (content: string, reason: string | null = null): BackendEvent =>
  chunk({ index: 0, delta: { content }, finish_reason: reason });
const usage = (completionTokens: number): BackendEvent => ({
  type: "usage",
  usage: { promptTokens: 3, completionTokens, countedBy: "backend" },
});

/** A backend that plays a script; a function in it is awaited, and may throw. */
class ScriptedBackend implements ModelBackend {
  readonly requests: { readonly model: string; readonly request: ModelRequest }[] = [];
  readonly counted: string[] = [];
  pulls = 0;
  closed = false;
  readonly #script: readonly (BackendEvent | ((signal: AbortSignal) => unknown))[];
  readonly #count: (signal: AbortSignal) => Promise<TokenUsage>;

  constructor(
    script: readonly (BackendEvent | ((signal: AbortSignal) => unknown))[],
    count: (signal: AbortSignal) => Promise<TokenUsage> = () => Promise.resolve(COUNTED),
  ) {
    this.#script = script;
    this.#count = count;
  }

  models(): Promise<[]> {
    return Promise.resolve([]);
  }

  async *answer(model: string, request: ModelRequest, signal: AbortSignal) {
    this.requests.push({ model, request });
    try {
      for (const step of this.#script) {
        this.pulls++;
        if (typeof step === "function") await step(signal);
        else yield step;
      }
    } finally {
      this.closed = true;
    }
  }

  count(_model: string, _request: ModelRequest, completion: string, signal: AbortSignal) {
    this.counted.push(completion);
    return this.#count(signal);
  }
}

/** A step that waits until the answer is aborted, as a fetch would. */
const hang = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

interface Played {
  readonly sink: RecordingSink;
  readonly backend: ScriptedBackend;
  readonly warnings: string[];
  readonly run: ModelRun;
}

function play(
  backend: ScriptedBackend,
  job = makeJob(),
  options: Partial<ModelRunOptions> & { contextLength?: number } = {},
): Played {
  const sink = new RecordingSink();
  const warnings: string[] = [];
  const { contextLength, ...times } = options;
  const run = new ModelRun(job, sink, {
    backend,
    model: "its-own-name",
    warn: (message) => warnings.push(message),
    ...(contextLength !== undefined && { contextLength }),
  }, { totalTimeoutMs: 5000, countTimeoutMs: 1000, ...times });
  run.run();
  return { sink, backend, warnings, run };
}

/** The end of an answer, after checking that its hash and numbers say what was delivered. */
async function endOf({ sink }: Played): Promise<Trailer & { readonly success: boolean }> {
  const { end, error } = await sink.over;
  assert.ok(end !== undefined, `failed: ${error?.code} ${error?.message}`);
  assert.equal(end.contentHash, keccakOf([...sink.batches, end.trailer]));
  const trailer = decodeTrailer(end.trailer);
  assert.equal(trailer.promptTokens, end.promptTokens);
  assert.equal(trailer.completionTokens, end.completionTokens);
  return { ...trailer, success: end.success };
}

async function failureOf({ sink }: Played): Promise<string> {
  const { error } = await sink.over;
  assert.ok(error !== undefined, "ended, did not fail");
  return error.code;
}

const linesOf = (sink: RecordingSink): unknown[] =>
  sink.text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));

Deno.test("choices become lines, in order, and the receipt's hash covers them and the trailer", async () => {
  const choices = [{
    index: 0,
    delta: { content: "é\n", odd: [{ x: null }] },
    finish_reason: null,
  }];
  const played = play(
    new ScriptedBackend([chunk(...choices), text("b", "stop"), usage(2)]),
  );
  assert.deepEqual(await endOf(played), {
    finish: "stop",
    promptTokens: 3,
    completionTokens: 2,
    countedBy: "backend",
    success: true,
  });
  assert.deepEqual(linesOf(played.sink), [
    { choices },
    { choices: [{ index: 0, delta: { content: "b" }, finish_reason: "stop" }] },
  ]);
  assert.equal(played.backend.requests[0]!.model, "its-own-name");
});

Deno.test("lines that are ready in one tick leave together, a later one leaves by itself", async () => {
  const later = Promise.withResolvers<void>();
  const played = play(
    new ScriptedBackend([text("a"), text("b"), text("c"), () => later.promise, text("d", "stop")]),
  );
  await played.sink.nextBatch();
  assert.equal(linesOf(played.sink).length, 3);
  assert.equal(played.sink.batches.length, 1);
  later.resolve();
  await endOf(played);
  assert.equal(played.sink.batches.length, 2);
});

Deno.test("a body that its commitment does not speak of is refused", async () => {
  const system = { messages: [{ role: "system", content: "Be brief." }] };
  const zero = `0x${"0".repeat(64)}` as const;
  const jobs = [
    makeJob({}, { model: "other" }),
    { ...makeJob(), model: "other" },
    makeJob({ max_tokens: 65 }),
    makeJob({ max_completion_tokens: 65, max_tokens: 1 }),
    makeJob({ temperature: 0.7 }, { temperature: 7001 }),
    makeJob({ temperature: 0 }, { temperature: 0xffff_ffff }),
    makeJob({}, { temperature: 0 }),
    makeJob(system, { systemPromptHash: zero }),
    makeJob({}, { systemPromptHash: `0x${"1".repeat(64)}` }),
    { ...makeJob(system), salt: new Uint8Array(32) },
    makeJob({ n: 3 }, { maxTokens: 2 }),
    { ...makeJob(), body: new TextEncoder().encode("{") },
    { ...makeJob(), body: new Uint8Array([0xff]) },
    { ...makeJob(), body: new TextEncoder().encode('{"model":"mock-model","messages":[]}') },
  ];
  for (const job of jobs) {
    const played = play(new ScriptedBackend([text("a", "stop")]), job);
    assert.equal(await failureOf(played), "request_invalid");
    assert.equal(played.backend.requests.length, 0);
  }
});

Deno.test("a body that agrees passes: temperature, system and developer prompt, several answers", async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "developer", content: [{ type: "text", text: "é" }] },
    { role: "user", content: "hi" },
  ];
  const cases: [Record<string, unknown>, number][] = [
    [{ messages, temperature: 0.7 }, 64],
    [{ max_tokens: 5 }, 5],
    [{ n: 4 }, 16],
    [{ n: 4, max_tokens: 10 }, 10],
  ];
  for (const [fields, maxTokens] of cases) {
    const played = play(new ScriptedBackend([text("a", "stop")]), makeJob(fields));
    assert.ok((await endOf(played)).success);
    assert.equal(played.backend.requests[0]!.request.maxTokens, maxTokens);
  }
});

Deno.test("a prompt far above the context is refused unsent, one that may fit is sent", async () => {
  const prompt = (chars: number) =>
    makeJob({ messages: [{ role: "user", content: "x".repeat(chars) }] });
  const long = play(new ScriptedBackend([text("a", "stop")]), prompt(1601), { contextLength: 100 });
  assert.equal(await failureOf(long), "context_length_exceeded");
  assert.equal(long.backend.requests.length, 0);
  const short = play(new ScriptedBackend([text("a", "stop")]), prompt(1600), {
    contextLength: 100,
  });
  assert.ok((await endOf(short)).success);
});

Deno.test("without a usage, the backend's tokenizer counts all text: reasoning, tool calls, refusals", async () => {
  const delta = {
    reasoning_content: "why ",
    content: "text ",
    refusal: "no ",
    tool_calls: [{ index: 0, function: { name: "f", arguments: "{}" } }],
  };
  const choices = [{ index: 0, delta, finish_reason: "tool_calls" }];
  const played = play(new ScriptedBackend([chunk(...choices)]));
  const end = await endOf(played);
  assert.equal(end.countedBy, "tokenizer");
  assert.equal(end.completionTokens, 7);
  assert.equal(end.finish, "tool_calls");
  assert.deepEqual(played.backend.counted, ["why text no f{}"]);
});

Deno.test("a backend that claims more than maxTokens is paid maxTokens, and the operator is told", async () => {
  const played = play(new ScriptedBackend([text("a", "stop"), usage(65)]));
  assert.equal((await endOf(played)).completionTokens, 64);
  assert.equal(played.warnings.length, 1);
});

Deno.test("tokens that nobody saw are counted, but not charged where they have a price", async () => {
  const events = [text("abcd", "stop"), usage(60)];
  const free = play(new ScriptedBackend(events));
  assert.equal((await endOf(free)).completionTokens, 60);
  assert.equal(free.warnings.length, 0);
  const priced = play(new ScriptedBackend(events), makeJob({}, { outboundPrice: 1n }));
  assert.equal((await endOf(priced)).completionTokens, 4 + UNSEEN_TOKENS);
  assert.equal(priced.warnings.length, 1);
});

Deno.test("a prompt is charged for no more tokens than a client accepts", async () => {
  const job = makeJob();
  const counted = { promptTokens: 1 << 20, completionTokens: 1, countedBy: "backend" } as const;
  const played = play(new ScriptedBackend([text("a"), { type: "usage", usage: counted }]), job);
  assert.equal((await endOf(played)).promptTokens, job.body.length + TEMPLATE_TOKENS);
});

Deno.test("an answer that fails before any text is charged no more than was paid in advance", async () => {
  const job = makeJob({}, { inboundPrice: 1n });
  const usage = { promptTokens: 1 << 20, completionTokens: 1, countedBy: "backend" } as const;
  const choices = [{ index: 0, delta: { role: "assistant" }, finish_reason: null }];
  const failure = () => Promise.reject(new LloomError("backend_failed", "test: boom"));
  const backend = new ScriptedBackend([
    chunk(...choices),
    { type: "usage", usage },
    failure,
  ]);
  const end = await endOf(play(backend, job));
  assert.equal(end.finish, "error");
  assert.deepEqual([end.promptTokens, end.completionTokens], [Math.ceil(job.body.length / 4), 0]);
});

Deno.test("vectors are lines of their own, have no tokens, and cost their prompt", async () => {
  const vector = (index: number): BackendEvent => ({
    type: "part",
    part: { data: [{ index, embedding: "AACAPw==" }] },
  });
  const job = makeJobOf({ input: ["a", "b"] }, {
    maxTokens: 1,
    inboundPrice: 1n,
    outboundPrice: 1n,
  });
  const told = { promptTokens: 5, completionTokens: 9, countedBy: "backend" } as const;
  const played = play(
    new ScriptedBackend([vector(0), vector(1), { type: "usage", usage: told }]),
    job,
  );
  const end = await endOf(played);
  assert.deepEqual([end.finish, end.promptTokens, end.completionTokens], ["stop", 5, 0]);
  assert.equal(played.sink.tokens, 0);
  assert.deepEqual(linesOf(played.sink), [
    { data: [{ index: 0, embedding: "AACAPw==" }] },
    { data: [{ index: 1, embedding: "AACAPw==" }] },
  ]);
});

Deno.test("a completion's text is counted and charged as a chat's", async () => {
  const said = (text: string, reason: string | null = null) =>
    chunk({ index: 0, text, logprobs: null, finish_reason: reason });
  const job = makeJobOf({ prompt: ["a", "b"] }, { outboundPrice: 1n, maxTokens: 8 });
  const played = play(new ScriptedBackend([said("ab"), said("c", "length")]), job);
  const end = await endOf(played);
  assert.deepEqual([end.finish, end.completionTokens], ["length", 7]);
  assert.deepEqual(played.backend.counted, ["abc"]);
  assert.equal(played.sink.tokens, 2);
  // Two prompts share what the client committed to.
  assert.equal(played.backend.requests[0]!.request.maxTokens, 4);
});

Deno.test("no prompt of several, nor any input, may be longer than the context for sure", async () => {
  const long = "x".repeat(1601);
  const bodies = [{ prompt: ["a", long] }, { input: ["a", long] }, {
    input: [Array.from({ length: 101 }, () => 1)],
  }];
  for (const body of bodies) {
    const played = play(new ScriptedBackend([text("a", "stop")]), makeJobOf(body), {
      contextLength: 100,
    });
    assert.equal(await failureOf(played), "context_length_exceeded");
  }
});

Deno.test("while an answer goes on, its tokens are its pieces, or a fourth of its bytes", async () => {
  for (
    const [pieces, tokens] of [
      [["a", "b", "c"], 3],
      [["a".repeat(41)], 11],
      [["", ""], 0],
      [["é"], 1],
    ] as const
  ) {
    const backend = new ScriptedBackend([...pieces.map((piece) => text(piece)), text("", "stop")]);
    const played = play(backend);
    await endOf(played);
    assert.equal(played.sink.tokens, tokens);
  }
});

Deno.test("an answer far above maxTokens is stopped", async () => {
  const endless = Array.from({ length: 1000 }, () => text("word ".repeat(20)));
  const played = play(new ScriptedBackend(endless), makeJob({}, { maxTokens: 5 }));
  const end = await endOf(played);
  assert.equal(end.finish, "length");
  assert.equal(end.completionTokens, 5);
  assert.ok(end.success);
  assert.ok(played.backend.closed && played.backend.pulls < 20);
});

Deno.test("a failure before anything was delivered is a failure, one after it ends the answer", async () => {
  const boom = () => Promise.reject(new LloomError("backend_failed", "test: boom"));
  assert.equal(await failureOf(play(new ScriptedBackend([boom]))), "backend_failed");
  const end = await endOf(play(new ScriptedBackend([text("a"), boom])));
  assert.equal(end.finish, "error");
  assert.deepEqual(end.error, { code: "backend_failed", message: "test: boom" });
  assert.equal(end.countedBy, "tokenizer");
  assert.ok(!end.success);
});

Deno.test("an error that nobody foresaw does not show its text", async () => {
  const boom = () => Promise.reject(new TypeError("the prompt was: secret"));
  const played = play(new ScriptedBackend([boom]));
  const { error } = await played.sink.over;
  assert.equal(error?.code, "internal");
  assert.ok(!error.message.includes("secret") && !played.warnings.join().includes("secret"));
});

Deno.test("an answer without anything in it is malformed", async () => {
  assert.equal(await failureOf(play(new ScriptedBackend([usage(0)]))), "backend_malformed");
});

Deno.test("a server that gave up did not finish", async () => {
  const end = await endOf(play(new ScriptedBackend([text("a", "abort"), usage(1)])));
  assert.equal(end.error?.code, "backend_failed");
  assert.equal(end.finish, "error");
});

Deno.test("a cancel ends what was delivered, and fails what was not", async () => {
  const idle = play(new ScriptedBackend([hang]));
  idle.run.cancel(CANCEL);
  assert.equal(await failureOf(idle), "aborted");

  const started = play(new ScriptedBackend([text("a"), hang]));
  await started.sink.nextBatch();
  started.run.cancel(CANCEL);
  const end = await endOf(started);
  assert.equal(end.finish, "cancelled");
  assert.deepEqual(end.error, CANCEL);
  assert.ok(!end.success && started.backend.closed);
});

Deno.test("a paused answer is not read, and a cancel ends it all the same", async () => {
  const played = play(new ScriptedBackend([text("a"), text("b"), text("c", "stop"), usage(3)]));
  played.run.pause();
  await played.sink.nextBatch();
  assert.equal(played.backend.pulls, 1);
  played.run.resume();
  assert.equal((await endOf(played)).completionTokens, 3);

  const cancelled = play(new ScriptedBackend([text("a"), text("b", "stop")]));
  cancelled.run.pause();
  await cancelled.sink.nextBatch();
  cancelled.run.cancel(CANCEL);
  cancelled.run.pause();
  assert.equal((await endOf(cancelled)).finish, "cancelled");
});

Deno.test("an answer that takes too long is ended with an error", async () => {
  const played = play(new ScriptedBackend([text("a"), hang]), makeJob(), { totalTimeoutMs: 30 });
  const end = await endOf(played);
  assert.equal(end.finish, "error");
  assert.equal(end.error?.code, "backend_timeout");
});

Deno.test("what cannot be counted in time, or at all, is not charged", async () => {
  const counts = [
    () => new Promise<never>(() => {}),
    () => Promise.reject(new LloomError("backend_failed", "test: no count")),
  ];
  for (const count of counts) {
    const backend = new ScriptedBackend([text("a", "stop")], count);
    const played = play(backend, makeJob(), { countTimeoutMs: 20 });
    const end = await endOf(played);
    assert.deepEqual([end.promptTokens, end.completionTokens], [0, 0]);
    assert.equal(end.countedBy, "estimate");
    assert.equal(played.warnings.length, 1);
  }
});

Deno.test("a line too long for a frame, and an answer too long, are malformed", async () => {
  const job = makeJob({}, { maxTokens: 2 ** 31 });
  const line = play(new ScriptedBackend([text("x".repeat(1 << 20))]), job);
  assert.equal(await failureOf(line), "backend_malformed");
  const part = text("x".repeat(900_000));
  const whole = play(new ScriptedBackend(Array.from({ length: 50 }, () => part)), job);
  const end = await endOf(whole);
  assert.equal(end.error?.code, "backend_malformed");
  const bytes = whole.sink.batches.reduce((sum, batch) => sum + batch.length, 0);
  assert.ok(bytes > 31 << 20 && bytes <= 32 << 20);
});
