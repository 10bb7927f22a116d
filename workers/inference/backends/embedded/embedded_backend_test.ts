import assert from "node:assert/strict";
import fc from "fast-check";
import type { JsonObject } from "@lloom/core/protocol";
import { readChat } from "../../testing/backend_suite.ts";
import type { BackendEvent } from "../backend.ts";
import { EmbeddedBackend } from "./embedded_backend.ts";
import { demoFile, golden } from "./testdata/demo.ts";

const MODEL = "lloom-demo";
const backend = new EmbeddedBackend(demoFile);
const never = new AbortController().signal;
const introduce: JsonObject = {
  messages: [{ role: "user", content: "Please introduce yourself" }],
};
const request = (fields: JsonObject) => readChat({ model: MODEL, ...introduce, ...fields });

function chat(fields: JsonObject = {}, signal: AbortSignal = never): AsyncIterable<BackendEvent> {
  return backend.answer(MODEL, request(fields), signal);
}

interface Answer {
  readonly text: string;
  readonly finish: unknown;
  readonly completionTokens: number;
  readonly promptTokens: number;
  /** Events with text. */
  readonly deltas: number;
}

/** Reads an answer, and checks the order and form of its events. */
async function collect(events: AsyncIterable<BackendEvent>): Promise<Answer> {
  const all = await Array.fromAsync(events);
  const usage = all.pop();
  assert.ok(usage?.type === "usage");
  assert.equal(usage.usage.countedBy, "tokenizer");
  const list = all.map((event) => {
    assert.ok(event.type === "part" && "choices" in event.part && event.part.choices.length === 1);
    return event.part.choices[0] as {
      index: 0;
      delta: { content?: string };
      finish_reason: unknown;
    };
  });
  const first = { index: 0, delta: { role: "assistant", content: "" }, finish_reason: null };
  assert.deepEqual(list.shift(), first);
  const last = list.pop();
  assert.deepEqual(last, { index: 0, delta: {}, finish_reason: last?.finish_reason });
  for (const { index, delta, finish_reason } of list) {
    assert.deepEqual([index, finish_reason], [0, null]);
    assert.ok(delta.content !== undefined && delta.content !== "");
  }
  const text = list.map(({ delta }) => delta.content).join("");
  return { text, finish: last?.finish_reason, deltas: list.length, ...usage.usage };
}

/** Stops an answer after so many events. */
async function readSome(events: AsyncIterable<BackendEvent>, count: number): Promise<void> {
  for await (const _ of events) if (--count === 0) return;
}

Deno.test("the demo model is described", async () => {
  assert.deepEqual(await backend.models(never), [{
    id: MODEL,
    contextLength: 512,
    features: ["chat", "completions", "continue", "seed", "stop"],
    architecture: "llama",
    size: "2.8M",
  }]);
});

Deno.test("answers are those of the reference, with exact counts", async () => {
  for (const { messages, prompt_ids, greedy_ids, greedy_text } of golden.generation) {
    const answer = await collect(chat({ messages, max_tokens: 32 }));
    const isEnded = greedy_ids.at(-1) === 2047;
    assert.equal(answer.text, greedy_text);
    assert.equal(answer.finish, isEnded ? "stop" : "length");
    assert.equal(answer.promptTokens, prompt_ids.length);
    assert.equal(answer.completionTokens, greedy_ids.length - Number(isEnded));
  }
});

Deno.test("count agrees with the usage of an answer", async () => {
  for (const { messages } of golden.generation) {
    const { text, completionTokens, promptTokens } = await collect(chat({ messages }));
    const usage = { promptTokens, completionTokens, countedBy: "tokenizer" };
    assert.deepEqual(await backend.count(MODEL, request({ messages }), text, never), usage);
  }
});

Deno.test("an answer ends before a stop string, of which no part comes out", async () => {
  const whole = (await collect(chat())).text;
  for (const stop of ["a very small", "million", "demo,", "I"]) {
    const { text, finish } = await collect(chat({ stop: ["☃", stop] }));
    assert.equal(text, whole.slice(0, whole.indexOf(stop)));
    assert.equal(finish, "stop");
  }
});

Deno.test("maxTokens and the context bound an answer, and a longer prompt is refused", async () => {
  const digits = (count: number) => ({ messages: [{ role: "user", content: "1".repeat(count) }] });
  const { promptTokens } = await backend.count(MODEL, request(digits(1)), "", never);
  const fill = (prompt: number) => digits(prompt - promptTokens + 1);
  for (
    const [prompt, fields, most] of [[40, { max_tokens: 1 }, 1], [511, {}, 1], [509, {
      max_tokens: 9,
    }, 3]] as const
  ) {
    const answer = await collect(chat({ ...fill(prompt), ...fields }));
    assert.equal(answer.promptTokens, prompt);
    assert.ok(answer.completionTokens <= most);
    if (answer.completionTokens === most) assert.equal(answer.finish, "length");
  }
  const tooLong = { name: "LloomError", code: "context_length_exceeded" };
  await assert.rejects(collect(chat(fill(512))), tooLong);
  await assert.rejects(backend.count(MODEL, request(fill(512)), "", never), tooLong);
});

Deno.test("a seed repeats an answer, at a temperature where answers differ", async () => {
  const story = {
    messages: [{ role: "user", content: "Tell me a story about a penguin" }],
    temperature: 1,
  };
  const answer = async (seed: number) => (await collect(chat({ ...story, seed }))).text;
  assert.equal(await answer(1), await answer(1));
  const texts = new Set(await Promise.all([1, 2, 3, 4, 5, 6].map(answer)));
  assert.ok(texts.size > 1);
});

Deno.test("chats that run together get the answers they get alone, and take turns", async () => {
  const fields = golden.generation.map(({ messages }, seed) => ({
    messages,
    temperature: 0.7,
    seed,
  }));
  const alone: Answer[] = [];
  for (const item of fields) alone.push(await collect(chat(item)));
  assert.deepEqual(await Promise.all(fields.map((item) => collect(chat(item)))), alone);

  // The same chat twice: neither is ever far ahead.
  const counts: [number, number] = [0, 0];
  let furthest = 0;
  await Promise.all(counts.map(async (_, i) => {
    for await (const _ of chat()) {
      counts[i]!++;
      // Once one has ended, the other goes on alone.
      if (Math.min(...counts) > 0) furthest = Math.max(furthest, Math.abs(counts[0] - counts[1]));
    }
  }));
  assert.ok(furthest <= 3, `${furthest} events ahead`);
});

Deno.test("an abort takes effect before another token, wherever it comes", async () => {
  const { deltas } = await collect(chat());
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: deltas }), async (after) => {
      const controller = new AbortController();
      let count = 0;
      await assert.rejects(async () => {
        for await (const _ of chat({}, controller.signal)) {
          if (++count === after) controller.abort();
        }
      }, { name: "LloomError", code: "aborted" });
      assert.equal(count, after);
    }),
    { numRuns: 20 },
  );
});

Deno.test("an abort from outside the stream, and a timeout, stop a chat within a token", async () => {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  let atAbort = 0;
  const reading = (async () => {
    for await (const _ of chat({}, controller.signal)) if (++count === 5) resolve();
  })();
  // From another macrotask, as a message from the main isolate would.
  promise.then(() =>
    setTimeout(() => {
      atAbort = count;
      controller.abort(new DOMException("too slow", "TimeoutError"));
    }, 0)
  );
  await assert.rejects(reading, { name: "LloomError", code: "timeout" });
  assert.ok(count <= atAbort + 1, `${count - atAbort} events after the abort`);
});

Deno.test("an aborted prompt, and an aborted signal, give no event", async () => {
  const controller = new AbortController();
  const messages = [{ role: "user", content: "1".repeat(480) }];
  setTimeout(() => controller.abort(), 0);
  await assert.rejects(async () => {
    for await (const _ of chat({ messages }, controller.signal)) assert.fail("an event");
  }, { code: "aborted" });
  await assert.rejects(collect(chat({}, controller.signal)), { code: "aborted" });
  await assert.rejects(backend.models(controller.signal), { code: "aborted" });
  await assert.rejects(backend.count(MODEL, request({}), "", controller.signal), {
    code: "aborted",
  });
});

Deno.test("a chat's place is free again however it ended, and one too many is refused", async () => {
  const small = new EmbeddedBackend(demoFile, { maxChats: 1 });
  const start = (fields: JsonObject = {}, signal = never) =>
    small.answer(MODEL, request(fields), signal);
  await collect(start());
  await readSome(start(), 3);
  await assert.rejects(collect(start({}, AbortSignal.abort())), { code: "aborted" });
  const running = start()[Symbol.asyncIterator]();
  await running.next();
  await assert.rejects(collect(start()), { name: "LloomError", code: "overloaded" });
  await running.return!();
  await collect(start());
});

Deno.test("another model, an unsupported feature and a bad setting are refused", async () => {
  await assert.rejects(collect(backend.answer("other", request({}), never)), {
    code: "model_unavailable",
  });
  await assert.rejects(backend.count("other", request({}), "", never), {
    code: "model_unavailable",
  });
  await assert.rejects(collect(chat({ tools: [{}] })), { code: "feature_unsupported" });
  for (const maxChats of [0, 1.5, NaN]) {
    assert.throws(() => new EmbeddedBackend(demoFile, { maxChats }), RangeError);
  }
});

Deno.test("it runs in a worker without any permission", async () => {
  const worker = new Worker(new URL("./testdata/bare_worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: "none" },
  });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<
      { text: string; granted: string[] }
    >();
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    worker.postMessage(demoFile);
    const { text, granted } = await promise;
    assert.deepEqual(granted, []);
    assert.equal(text, (await collect(chat())).text);
  } finally {
    worker.terminate();
  }
});
