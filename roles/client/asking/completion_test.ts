/** One request over several executors: who is asked when, and whose pieces and proofs the caller gets. */
import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { ScriptedExecutors } from "../../../tests/support/scripted_executors.ts";
import { textOf } from "./chat_chunk.ts";
import type { Completion } from "./completion.ts";

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };

/** Reads an answer's text to its end. */
async function textIn(completion: Completion): Promise<string> {
  let text = "";
  for await (const chunk of completion) text += textOf(chunk);
  return text;
}

Deno.test("after a failover, pieces and receipt are those of the executor that answered", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const completion = executors.complete(CHAT);
  const text = textIn(completion);
  (await executors.next()).fail("stream_broken");
  (await executors.next()).say("he", "llo").end({ tokens: 2, promptTokens: 5 });
  assert.equal(await text, "hello");
  assert.equal((await completion.receipt).executor.peerId, "b");
  assert.deepEqual(executors.failovers, ["a stream_broken"]);
  assert.deepEqual(executors.observed, ["a stream_broken", "b first token", "b succeeded"]);
  assert.deepEqual(executors.answered, ["b"]);
});

Deno.test("after the first piece, a failure is the caller's: pieces of two executors never mix", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = executors.complete(CHAT);
  const text = textIn(completion);
  (await executors.next()).say("he").fail("stream_broken");
  await assert.rejects(text, { code: "stream_broken" });
  await assert.rejects(completion.receipt, { code: "stream_broken" });
  assert.deepEqual(executors.names, ["a"]);
});

Deno.test("a part that broke is proven all the same, where its executor signed for it", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = executors.complete(CHAT);
  const text = textIn(completion);
  (await executors.next()).say("he").fail("backend_failed", { tokens: 1, promptTokens: 5 });
  await assert.rejects(text, { code: "backend_failed" });
  assert.equal((await completion.receipt).executor.peerId, "a");
  assert.deepEqual(completion.usage(), {
    promptTokens: 5,
    completionTokens: 1,
    estimated: false,
    cost: 0n,
  });
});

Deno.test("one executor's word that a request is none ends nothing: others are asked", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const text = textIn(executors.complete(CHAT));
  (await executors.next()).fail("request_invalid");
  (await executors.next()).say("hello").end({ tokens: 1, promptTokens: 5 });
  assert.equal(await text, "hello");
  const all = textIn(executors.complete(CHAT));
  (await executors.next()).fail("request_invalid");
  (await executors.next()).fail("request_invalid");
  await assert.rejects(all, { code: "request_invalid" });
});

Deno.test("where all fail, the last one's error is the caller's", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = executors.complete(CHAT);
  const text = textIn(completion);
  (await executors.next()).fail("stream_broken");
  (await executors.next()).fail("overloaded", undefined, 700);
  await assert.rejects(text, (error) => {
    assert.ok(error instanceof LloomError);
    assert.deepEqual([error.code, error.retryAfterMs], ["overloaded", 700]);
    assert.ok(error.cause instanceof AggregateError && error.cause.errors.length === 2);
    return true;
  });
  await assert.rejects(completion.receipt, { code: "overloaded" });
});

Deno.test("a caller that leaves early still gets the receipt for what was delivered", async () => {
  const executors = new ScriptedExecutors("a");
  const completion = executors.complete(CHAT);
  const read = (async () => {
    for await (const _ of completion) break;
  })();
  const answer = (await executors.next()).say("a", "b", "c");
  await read;
  assert.equal(answer.cancelled, "aborted");
  assert.equal((await completion.receipt).executor.peerId, "a");
  assert.deepEqual(executors.observed, ["a first token", "a aborted"]);
});

Deno.test("a caller that cancels has nobody else asked, and gets the receipt for the part", async () => {
  for (const said of [[], ["he"]]) {
    const executors = new ScriptedExecutors("a", "b");
    const caller = new AbortController();
    const completion = executors.complete(CHAT, { signal: caller.signal });
    const text = textIn(completion);
    (await executors.next()).say(...said);
    caller.abort();
    await assert.rejects(text, { code: "aborted" });
    assert.deepEqual(executors.names, ["a"]);
    assert.equal((await completion.receipt).executor.peerId, "a");
  }
});

Deno.test("executors share the time: who is asked later has less, and with none left nobody is", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const text = textIn(executors.complete(CHAT, { timeoutMs: 1000 }));
  const a = await executors.next();
  assert.equal(a.timeoutMs, 1000);
  executors.clock.advance(600);
  a.fail("stream_broken");
  const b = await executors.next();
  assert.equal(b.timeoutMs, 400);
  executors.clock.advance(400);
  b.fail("timeout");
  await assert.rejects(text, { code: "timeout" });
  assert.deepEqual(executors.names, ["a", "b"]);
});

Deno.test("an executor's own timeout is no reason to give up", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const text = textIn(executors.complete(CHAT, { timeoutMs: 1000 }));
  (await executors.next()).fail("timeout");
  (await executors.next()).say("hi").end({ tokens: 1, promptTokens: 5 });
  assert.equal(await text, "hi");
});

Deno.test("without fallbacks only the first choice is asked, once or again", async () => {
  const retry = { maxAttempts: 2, initialDelayMs: 100 };
  for (const [options, names] of [[{}, ["a"]], [{ retry }, ["a", "a"]]] as const) {
    const executors = new ScriptedExecutors("a", "b");
    const text = textIn(executors.complete(CHAT, { ...options, allowFallbacks: false }));
    const outcome = assert.rejects(text, { code: "stream_broken" });
    (await executors.next()).fail("stream_broken");
    if (names.length > 1) {
      await executors.pausing();
      executors.clock.advance(50);
      (await executors.next()).fail("stream_broken");
    }
    await outcome;
    assert.deepEqual(executors.names, names);
  }
});

Deno.test("events tell who answers, before the first lines, and nothing is read twice", async () => {
  const executors = new ScriptedExecutors("a");
  const completion = executors.complete(CHAT);
  const events = completion.events();
  const first = events.next();
  (await executors.next()).say("hi").end({ tokens: 1, promptTokens: 5 });
  const { value } = await first;
  assert.ok(value?.type === "answering" && value.candidate.announcement.peerId === "a");
  assert.equal((await events.next()).value?.type, "lines");
  assert.equal((await events.next()).done, true);
  await assert.rejects(completion.events().next(), TypeError);
});

Deno.test("what was paid to executors that failed counts, and each part says what it came to", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = executors.complete(CHAT);
  const text = textIn(completion);
  const a = await executors.next();
  a.spent = 3n;
  a.fail("stream_broken");
  const b = (await executors.next()).say("hello");
  b.spent = 40n;
  b.end({ tokens: 2, promptTokens: 5 });
  await text;
  const parts = completion.parts.map(({ candidate, receipt, error, ...part }) => ({
    ...part,
    peerId: candidate.announcement.peerId,
    proven: receipt !== undefined,
    code: error?.code,
  }));
  assert.deepEqual(parts, [
    {
      ...{ peerId: "a", delivers: false, requestHash: a.requestHash, proven: false },
      ...{ code: "stream_broken", inboundPrice: 0n, outboundPrice: 0n, tokens: 0, cost: 3n },
    },
    {
      ...{ peerId: "b", delivers: true, requestHash: b.requestHash, proven: true },
      ...{ code: undefined, inboundPrice: 1n, outboundPrice: 2n, tokens: 2, cost: 40n },
    },
  ]);
  assert.deepEqual(completion.usage(), {
    ...{ promptTokens: 5, completionTokens: 2, estimated: false, cost: 43n },
  });
});
