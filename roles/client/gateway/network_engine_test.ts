import type { Candidate } from "@lloom/core/routing";
import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import type { Completion, CompletionEvent } from "../asking/completion.ts";
import type { CompleteOptions, LloomClient } from "../client.ts";
import type { AnswerPiece, Ask } from "./answer.ts";
import { NetworkEngine } from "./network_engine.ts";

type Step = CompletionEvent | LloomError | "wait";

const PEER = "16Uiu2HAmExecutor";
const HASH = `0x${"cd".repeat(32)}` as const;
// What the engine reads of a candidate.
const CANDIDATE = {
  announcement: { peerId: PEER, executor: `0x${"11".repeat(20)}` },
  offer: { backend: "vllm", inboundPrice: 5n, outboundPrice: 7n },
} as Candidate;
const ANSWERING: CompletionEvent = { type: "answering", candidate: CANDIDATE };
const lines = (text: string): CompletionEvent => ({
  type: "lines",
  lines: new TextEncoder().encode(text),
});

/** A client whose answers are scripted, and what it was asked. */
function clientOf(steps: readonly Step[], known: readonly string[] = ["m"]) {
  const asked: { request: unknown; options: CompleteOptions }[] = [];
  const ended = Promise.withResolvers<void>();
  async function* events(signal: AbortSignal): AsyncGenerator<CompletionEvent, void> {
    try {
      for (const step of steps) {
        if (step instanceof LloomError) throw step;
        if (step !== "wait") yield step;
        else {
          await new Promise((_, reject) => {
            if (signal.aborted) reject(signal.reason);
            signal.addEventListener("abort", () => reject(signal.reason));
          });
        }
      }
    } finally {
      ended.resolve();
    }
  }
  const client = {
    complete(request: unknown, options: CompleteOptions) {
      asked.push({ request, options });
      return {
        events: () => events(options.signal!),
        usage: () => ({ promptTokens: 3, completionTokens: 4, estimated: false, cost: 131n }),
        parts: [
          { candidate: CANDIDATE, delivers: false, error: new LloomError("timeout", "ask: late") },
          {
            candidate: CANDIDATE,
            delivers: true,
            requestHash: HASH,
            receipt: { trailer: { finish: "length" } },
          },
        ],
      } as unknown as Completion;
    },
    known: (model?: string) => known.filter((name) => model === undefined || name === model),
  } as unknown as Pick<LloomClient, "complete" | "known">;
  return { client, asked, ended: ended.promise };
}

function engineOf(steps: readonly Step[], known?: readonly string[]) {
  const made = clientOf(steps, known);
  let failures = 0;
  const engine = new NetworkEngine({
    terms: { routing: {}, asset: { address: `0x${"00".repeat(20)}`, symbol: "X", decimals: 0 } },
    aliases: { "gpt-4o": "m" },
    defaultModel: "m",
    maxConcurrent: 2,
  }, { client: made.client, onFailures: (count) => failures += count });
  return { ...made, engine, failures: () => failures };
}

function askOf(request: Ask["request"] = { model: "m" }, signal = new AbortController().signal) {
  return { api: "chat", request, wishes: { cache: "use" }, signal } as const;
}

Deno.test("an answer tells who gives it, its lines, and what it came to", async () => {
  const line = '{"choices":[]}';
  const { engine, failures } = engineOf([ANSWERING, lines(`${line}\n${line}\n`)]);
  const answer = await engine.ask(askOf());
  const answering = await answer.answering;
  assert.deepEqual([answering.peerId, answering.inboundPrice], [PEER, "5"]);
  const pieces: AnswerPiece[] = await Array.fromAsync(answer.pieces());
  const [first] = pieces;
  assert.equal(first?.type === "lines" && first.lines.length, 2);
  assert.deepEqual(pieces.at(-1), {
    type: "end",
    end: {
      finish: "length",
      promptTokens: 3,
      completionTokens: 4,
      estimated: false,
      cost: "0.000131",
      asset: "X",
      parts: [{ peerId: PEER, address: answering.address, requestHash: HASH }],
      cached: false,
    },
  });
  assert.deepEqual([engine.active, failures()], [0, 1]);
});

Deno.test("an alias is asked by its model's name, and answered by its own", async () => {
  const { engine, asked } = engineOf([ANSWERING]);
  const answer = await engine.ask(askOf({ model: "gpt-4o" }));
  await Array.fromAsync(answer.pieces());
  assert.deepEqual([answer.model, asked[0]!.request], ["gpt-4o", { model: "m" }]);
  const unnamed = await engine.ask(askOf({}));
  await Array.fromAsync(unnamed.pieces());
  assert.deepEqual(asked[1]!.request, { model: "m" });
});

Deno.test("a model that nobody has is not one that nobody can serve now", async () => {
  const none = new LloomError("no_executor", "select executor: none");
  const cases = [[["other"], "model_unavailable"], [["m"], "no_executor"], [[], "no_executor"]];
  for (const [known, code] of cases) {
    const { engine } = engineOf([none], known as string[]);
    const answer = await engine.ask(askOf());
    await assert.rejects(answer.answering, { code });
    assert.equal(engine.active, 0);
  }
});

Deno.test("a client that goes away ends its request, whether it has begun to read or not", async () => {
  for (const steps of [["wait"], [ANSWERING, lines('{"choices":[]}\n'), "wait"]] as const) {
    const client = new AbortController();
    const { engine, ended } = engineOf(steps);
    const answer = await engine.ask(askOf({ model: "m" }, client.signal));
    client.abort();
    await ended;
    await assert.rejects(Array.fromAsync(answer.pieces()), { code: "aborted" });
    assert.equal(engine.active, 0);
  }
});

Deno.test("leaving the pieces early ends the request", async () => {
  const { engine, ended } = engineOf([ANSWERING, lines('{"choices":[]}\n'), "wait"]);
  const answer = await engine.ask(askOf());
  for await (const _ of answer.pieces()) break;
  await ended;
  assert.equal(engine.active, 0);
});

Deno.test("more requests than are allowed are told to come back", async () => {
  const { engine } = engineOf(["wait"]);
  const client = new AbortController();
  const asks = [1, 2].map(() => engine.ask(askOf({ model: "m" }, client.signal)));
  const answers = await Promise.all(asks);
  await assert.rejects(engine.ask(askOf()), { code: "overloaded", retryAfterMs: 1000 });
  client.abort();
  await Promise.allSettled(answers.map((answer) => Array.fromAsync(answer.pieces())));
  assert.equal(engine.active, 0);
});

Deno.test("when the gateway stops, answers have their time, and then end with an error", async () => {
  const { engine } = engineOf([ANSWERING, lines('{"choices":[]}\n'), "wait"]);
  const answer = await engine.ask(askOf());
  const read = Array.fromAsync(answer.pieces());
  const stopped = engine.stop(1);
  await assert.rejects(engine.ask(askOf()), { code: "shutting_down" });
  await assert.rejects(read, { code: "shutting_down" });
  await stopped;
});
