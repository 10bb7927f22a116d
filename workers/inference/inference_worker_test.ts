import assert from "node:assert/strict";
import { decodeTrailer } from "@lloom/core/protocol";
import {
  type MockLlmOptions,
  type MockLlmServer,
  mockText,
  startMockLlmServer,
} from "../../tests/support/mock_llm_server.ts";
import { workerOptions } from "../sandbox.ts";
import { loadDemoModel } from "./backends/embedded/demo_model.ts";
import { InferenceWorker } from "./inference_worker.ts";
import type { FromTask, ToTask } from "./messages.ts";
import { permissionsOf, type ServerInferenceOptions } from "./options.ts";
import { keccakOf, makeJob, makeJobOf, RecordingSink } from "./testing/jobs.ts";

const never = (): AbortSignal => new AbortController().signal;
const CANCEL = { code: "aborted", message: "test: cancelled" } as const;

async function withWorker(
  mockOptions: MockLlmOptions,
  options: Partial<ServerInferenceOptions>,
  run: (worker: InferenceWorker, mock: MockLlmServer) => Promise<void>,
): Promise<void> {
  const mock = startMockLlmServer(mockOptions);
  const worker = new InferenceWorker({
    name: "test",
    kind: "openai",
    endpoint: mock.url,
    ...options,
  });
  try {
    await run(worker, mock);
  } finally {
    await worker.stop();
    await mock.stop();
  }
}

function start(worker: InferenceWorker, job = makeJob()) {
  const sink = new RecordingSink();
  return { sink, run: worker.run(job, sink) };
}

function contentOf(sink: RecordingSink): string {
  return sink.text.split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line).choices[0].delta.content ?? "").join("");
}

Deno.test("models are told under their announced names, and a backend that is gone is reported", async () => {
  await withWorker({}, { aliases: { mine: "mock-model" } }, async (worker, mock) => {
    const { models, error } = await worker.discover(never());
    assert.deepEqual(models.map(({ name, backendModel }) => [name, backendModel]), [
      ["mine", "mock-model"],
    ]);
    assert.equal(error, undefined);
    await mock.stop();
    const gone = await worker.discover(never());
    assert.deepEqual([gone.models, gone.error?.code], [[], "backend_unreachable"]);
  });
});

Deno.test("an answer comes through the worker, with a hash over what was delivered", async () => {
  await withWorker({ tokens: 30 }, {}, async (worker) => {
    const { sink } = start(worker);
    const { end } = await sink.over;
    assert.ok(end?.success);
    assert.equal(contentOf(sink), mockText(30));
    assert.equal(end.completionTokens, 30);
    assert.equal(end.contentHash, keccakOf([...sink.batches, end.trailer]));
    assert.deepEqual(worker.load(), { active: 0, queued: 0 });
  });
});

Deno.test("a completion and vectors come through the worker as a chat does", async () => {
  await withWorker({ tokens: 4 }, {}, async (worker) => {
    const completion = start(worker, makeJobOf({ prompt: "Count" }));
    assert.equal((await completion.sink.over).end?.completionTokens, 4);
    const texts = completion.sink.text.trimEnd().split("\n")
      .map((line) => JSON.parse(line).choices[0].text);
    assert.equal(texts.join(""), mockText(4));
    const vectors = start(worker, makeJobOf({ input: ["a", "b"] }, { maxTokens: 1 }));
    const { end } = await vectors.sink.over;
    assert.deepEqual([end?.success, end?.promptTokens, end?.completionTokens], [true, 2, 0]);
    const indices = vectors.sink.text.trimEnd().split("\n")
      .map((line) => JSON.parse(line).data[0].index);
    assert.deepEqual(indices, [0, 1]);
  });
});

Deno.test("a cancel reaches the server, and what was delivered is counted", async () => {
  await withWorker({ failure: { kind: "hang", afterTokens: 4 } }, {}, async (worker, mock) => {
    const { sink, run } = start(worker);
    const aborted = mock.nextAbort();
    while (contentOf(sink) !== mockText(4)) await sink.nextBatch();
    run.cancel(CANCEL);
    const { end } = await sink.over;
    await aborted;
    assert.equal(end?.success, false);
    const trailer = decodeTrailer(end.trailer);
    assert.deepEqual(trailer.error, CANCEL);
    assert.equal(trailer.finish, "cancelled");
    assert.equal(trailer.completionTokens, 4);
    assert.equal(trailer.countedBy, "estimate");
  });
});

Deno.test("a paused answer stops reading from the server, and goes on when resumed", async () => {
  // Three times what all buffers between here and the server hold.
  const tokens = 60_000;
  await withWorker({ tokens }, {}, async (worker, mock) => {
    const { sink, run } = start(worker, makeJob({}, { maxTokens: tokens }));
    await sink.nextBatch();
    run.pause();
    // The server writes until the buffers are full, and then no more.
    let sent = -1;
    while (sent !== mock.requests[0]!.sent) {
      sent = mock.requests[0]!.sent;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    assert.ok(sent < tokens, `${sent} tokens were read`);
    run.resume();
    assert.equal((await sink.over).end?.completionTokens, tokens);
  });
});

Deno.test("requests beyond the limit wait, beyond the queue they are refused, and all others end", async () => {
  const options = { maxConcurrent: 2, maxQueue: 2 };
  await withWorker(
    { failure: { kind: "hang", afterTokens: "headers" } },
    options,
    async (worker, mock) => {
      const firstTwo = [start(worker), start(worker)];
      const waiting = [start(worker), start(worker)];
      const refused = start(worker);
      assert.deepEqual(worker.load(), { active: 2, queued: 2 });
      const { error } = await refused.sink.over;
      assert.equal(error?.code, "overloaded");
      assert.ok(error.retryAfterMs! > 0);
      waiting[0]!.run.cancel(CANCEL);
      assert.equal((await waiting[0]!.sink.over).error?.code, "aborted");
      while (mock.requests.length < 2) await mock.nextRequest();
      delete mock.options.failure;
      for (const { run } of firstTwo) run.cancel(CANCEL);
      for (const { sink } of firstTwo) assert.equal((await sink.over).error?.code, "aborted");
      assert.ok((await waiting[1]!.sink.over).end?.success);
      assert.deepEqual(worker.load(), { active: 0, queued: 0 });
    },
  );
});

Deno.test("a request whose deadline passes while it waits is not sent", async () => {
  const mock = startMockLlmServer();
  let now = 1_000_000_000_000;
  const worker = new InferenceWorker(
    { name: "test", kind: "openai", endpoint: mock.url, maxConcurrent: 1 },
    { now: () => now },
  );
  const deadline = BigInt(now / 1000 + 5);
  const first = start(worker, makeJob({}, { deadline }));
  const second = start(worker, makeJob({}, { deadline }));
  now += 6000;
  assert.ok((await first.sink.over).end?.success);
  assert.equal((await second.sink.over).error?.code, "request_expired");
  assert.equal(mock.requests.length, 1);
  await worker.stop();
  await mock.stop();
});

Deno.test("requests above the rate are refused with the wait", async () => {
  await withWorker({}, { requestsPerMinute: 1 }, async (worker) => {
    assert.ok((await start(worker).sink.over).end?.success);
    const { error } = await start(worker).sink.over;
    assert.equal(error?.code, "rate_limited");
    assert.ok(error.retryAfterMs! > 50_000);
  });
});

Deno.test("stop ends answers with what they have, refuses what waits, and nothing starts after it", async () => {
  const failure = { kind: "hang", afterTokens: 2 } as const;
  await withWorker({ failure }, { maxConcurrent: 1 }, async (worker) => {
    const active = start(worker);
    const waiting = start(worker);
    while (contentOf(active.sink) !== mockText(2)) await active.sink.nextBatch();
    await worker.stop();
    const { end } = await active.sink.over;
    assert.equal(decodeTrailer(end!.trailer).error?.code, "shutting_down");
    assert.equal((await waiting.sink.over).error?.code, "shutting_down");
    assert.equal((await start(worker).sink.over).error?.code, "shutting_down");
    assert.equal((await worker.discover(never())).error?.code, "shutting_down");
  });
});

Deno.test("the API key is read from the environment inside the worker; without it, nothing runs", async () => {
  const apiKeyEnv = "LLOOM_TEST_INFERENCE_KEY";
  Deno.env.set(apiKeyEnv, "key-from-env");
  try {
    await withWorker({ apiKey: "key-from-env" }, { apiKeyEnv }, async (worker) => {
      assert.ok((await start(worker).sink.over).end?.success);
    });
  } finally {
    Deno.env.delete(apiKeyEnv);
  }
  await withWorker({}, { apiKeyEnv }, async (worker, mock) => {
    assert.equal((await worker.discover(never())).error?.code, "config_invalid");
    assert.equal((await start(worker).sink.over).error?.code, "config_invalid");
    assert.equal(mock.requests.length, 0);
  });
});

Deno.test("a restricted worker reaches its own server and no other", async () => {
  const other = startMockLlmServer();
  await withWorker({}, { sandbox: true }, async (worker, mock) => {
    assert.ok((await start(worker).sink.over).end?.success);
    // The same permissions, another server.
    const own = { name: "test", kind: "openai", endpoint: mock.url } as const;
    const strayed = new InferenceWorker({ ...own, endpoint: other.url }, {
      createWorker: () => {
        const url = new URL("./inference_task.ts", import.meta.url);
        return new Worker(url, workerOptions("test", true, permissionsOf(own)));
      },
    });
    assert.equal((await start(strayed).sink.over).error?.code, "backend_unreachable");
    assert.equal(other.paths.length, 0);
    await strayed.stop();
  });
  await other.stop();
});

Deno.test("the embedded model answers in a worker without any permission", async () => {
  const weights = await loadDemoModel();
  const worker = new InferenceWorker({ name: "demo", kind: "embedded", weights, sandbox: true });
  const { models: [model] } = await worker.discover(never());
  const { sink } = start(worker, makeJob({ model: model!.name }, { maxTokens: 8 }));
  const { end } = await sink.over;
  assert.ok(end?.success && end.completionTokens > 0 && end.completionTokens <= 8);
  await worker.stop();
});

Deno.test("weights that are no model fail the requests, not the process", async () => {
  const weights = new Uint8Array(100);
  const worker = new InferenceWorker({ name: "demo", kind: "embedded", weights });
  assert.equal((await worker.discover(never())).error?.code, "backend_malformed");
  assert.equal((await start(worker).sink.over).error?.code, "backend_malformed");
  await worker.stop();
});

Deno.test("settings that cannot be are refused", () => {
  const good = { name: "test", kind: "openai", endpoint: "http://127.0.0.1:1" } as const;
  const cases: Partial<ServerInferenceOptions>[] = [
    { endpoint: "nowhere" },
    { maxConcurrent: 0 },
    { maxQueue: -1 },
    { requestsPerMinute: 0.5 },
    { idleTimeoutMs: 0 },
    { totalTimeoutMs: 2 ** 31 },
    { apiKey: "a", apiKeyEnv: "B" },
  ];
  for (const options of cases) {
    assert.throws(() => new InferenceWorker({ ...good, ...options }), { code: "config_invalid" });
  }
});

/** A worker that does what the test says. */
class FakeWorker extends EventTarget {
  onmessage: ((event: MessageEvent<readonly FromTask[]>) => void) | null = null;
  onmessageerror: (() => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly received: ToTask[] = [];
  terminated = false;
  #onCancel: ((message: ToTask & { readonly type: "cancel" }) => void) | undefined;

  postMessage(message: ToTask): void {
    this.received.push(message);
    if (message.type === "cancel") this.#onCancel?.(message);
  }

  nextCancel(): Promise<ToTask & { readonly type: "cancel" }> {
    return new Promise((resolve) => this.#onCancel = resolve);
  }

  terminate(): void {
    this.terminated = true;
  }

  say(message: FromTask): void {
    this.onmessage?.(new MessageEvent("message", { data: [message] }));
  }

  crash(): boolean {
    const event = new ErrorEvent("error", { message: "test: crash", cancelable: true });
    this.onerror?.(event);
    return event.defaultPrevented;
  }

  /** Who asked for each of {@linkcode FakeWorker.runs}. */
  get clients(): (string | undefined)[] {
    return this.received.flatMap((message) => message.type === "run" ? [message.job.client] : []);
  }

  get runs(): number[] {
    return this.received.flatMap((message) => message.type === "run" ? [message.id] : []);
  }
}

function withFakes(options: Partial<ServerInferenceOptions>) {
  const fakes: FakeWorker[] = [];
  const clock = { now: Date.now() };
  const worker = new InferenceWorker(
    { name: "test", kind: "openai", endpoint: "http://127.0.0.1:1", ...options },
    {
      now: () => clock.now,
      createWorker: () => {
        const fake = new FakeWorker();
        fakes.push(fake);
        return fake as unknown as Worker;
      },
    },
  );
  return { worker, fakes, clock };
}

const [GREEDY, MODEST, THIRD] = ["aa", "bb", "cc"].map((byte) => `0x${byte.repeat(20)}` as const);
const FAILED = { code: "backend_failed", message: "test" } as const;

Deno.test("one client may have every slot, but neither all turns nor the whole queue from another", async () => {
  const { worker, fakes } = withFakes({ maxConcurrent: 4, maxQueue: 6 });
  const ask = (client = GREEDY!) => start(worker, { ...makeJob(), client }).sink.over;
  const all = Array.from({ length: 10 }, () => ask());
  const [fake] = fakes as [FakeWorker];
  assert.deepEqual(worker.load(), { active: 4, queued: 6 });
  assert.equal((await ask()).error?.code, "overloaded");
  all.push(ask(MODEST), ask(MODEST));
  assert.deepEqual(worker.load(), { active: 4, queued: 6 });
  for (const displaced of all.splice(8, 2)) {
    const { error } = await displaced;
    assert.equal(error?.code, "overloaded");
    assert.ok(error.retryAfterMs! > 0);
  }
  const finish = (run: number) => fake.say({ type: "fail", id: fake.runs[run]!, error: FAILED });
  finish(0);
  all.push(ask(THIRD));
  for (const run of [1, 2, 3, 4]) finish(run);
  // Who has nothing comes first, then all take turns.
  assert.deepEqual(fake.clients.slice(4), [MODEST, THIRD, GREEDY, MODEST, GREEDY]);
  for (let run = 5; run < fake.runs.length; run++) finish(run);
  await Promise.all(all);
  await worker.stop();
});

Deno.test("who waits long and has nothing gets a slot of who has most: one that is not read, or the oldest", async () => {
  const { worker, fakes, clock } = withFakes({ maxConcurrent: 3, patienceMs: 20 });
  const ask = (client = GREEDY!) => start(worker, { ...makeJob(), client });
  const held = [];
  for (let i = 0; i < 3; i++) {
    held.push(ask());
    clock.now++;
  }
  const [fake] = fakes as [FakeWorker];
  held[2]!.run.pause();
  const waiting = ask(GREEDY);
  clock.now += 1000;
  const finish = (id: number) => fake.say({ type: "fail", id, error: FAILED });
  for (const [victim, client] of [[2, MODEST], [0, THIRD]] as const) {
    const { sink } = ask(client);
    clock.now += 20;
    const cancel = await fake.nextCancel();
    assert.deepEqual([cancel.id, cancel.reason.code], [fake.runs[victim], "overloaded"]);
    finish(cancel.id);
    assert.equal(fake.clients.at(-1), client);
    assert.equal((await held[victim]!.sink.over).error?.code, "backend_failed");
    void sink.over;
  }
  // All have one now: nobody is cut short for the greedy one's fourth.
  clock.now += 1000;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(worker.load(), { active: 3, queued: 1 });
  assert.equal(fake.received.filter(({ type }) => type === "cancel").length, 2);
  for (const id of fake.runs) finish(id);
  for (const id of fake.runs) finish(id);
  assert.equal((await waiting.sink.over).error?.code, "backend_failed");
  await worker.stop();
});

Deno.test("a crash fails what was not delivered, ends what was, and what waits goes to a new worker", async () => {
  const { worker, fakes } = withFakes({ maxConcurrent: 2 });
  const [a, b, c] = [start(worker), start(worker), start(worker)];
  const lines = new TextEncoder().encode('{"choices":[]}\n');
  fakes[0]!.say({ type: "batch", id: fakes[0]!.runs[0]!, lines, tokens: 0 });
  const discovery = worker.discover(never());
  assert.ok(fakes[0]!.crash(), "the error would have ended the process");
  assert.ok(fakes[0]!.terminated);
  const { end } = await a.sink.over;
  assert.equal(end?.contentHash, keccakOf([lines, end!.trailer]));
  assert.equal(decodeTrailer(end.trailer).error?.code, "worker_crashed");
  assert.deepEqual([end.success, end.promptTokens, end.completionTokens], [false, 0, 0]);
  assert.equal((await b.sink.over).error?.code, "worker_crashed");
  assert.equal((await discovery).error?.code, "worker_crashed");
  assert.deepEqual(fakes.length, 2);
  assert.equal(fakes[1]!.received[0]!.type, "start");
  const error = { code: "backend_failed", message: "test" } as const;
  fakes[1]!.say({ type: "fail", id: fakes[1]!.runs[0]!, error });
  assert.equal((await c.sink.over).error?.code, "backend_failed");
  // What a worker that is gone still says is of no account.
  fakes[0]!.say({ type: "fail", id: fakes[0]!.runs[1]!, error });
  await worker.stop();
});

Deno.test("a worker that crashes on every start is started less and less often", async () => {
  const { worker, fakes, clock } = withFakes({ maxConcurrent: 1 });
  // Good for longer than this test's clock runs.
  const job = makeJob({}, { deadline: BigInt(clock.now) });
  const crashOnce = async () => {
    const { sink } = start(worker, job);
    fakes.at(-1)!.crash();
    await sink.over;
  };
  await crashOnce();
  await crashOnce();
  assert.equal(fakes.length, 2);
  const refused = await start(worker, job).sink.over;
  assert.equal(refused.error?.code, "worker_crashed");
  assert.equal(refused.error.retryAfterMs, 500);
  clock.now += 500;
  await crashOnce();
  assert.equal((await start(worker, job).sink.over).error?.retryAfterMs, 1000);
  assert.equal((await worker.discover(never())).error?.code, "worker_crashed");
  for (let i = 0; i < 20; i++) {
    clock.now += 30_000;
    await crashOnce();
  }
  assert.equal((await start(worker, job).sink.over).error?.retryAfterMs, 30_000);
  assert.equal(fakes.length, 23);
  await worker.stop();
});
