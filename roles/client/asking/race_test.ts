/** Two executors at once: who answers, who is cancelled, and what that costs. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "@lloom/core/errors";
import {
  type ScriptedAnswer,
  ScriptedExecutors,
} from "../../../tests/support/scripted_executors.ts";
import { textOf } from "./chat_chunk.ts";
import type { Completion } from "./completion.ts";

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const END = { tokens: 1, promptTokens: 5 };

async function textIn(completion: Completion): Promise<string> {
  let text = "";
  for await (const chunk of completion) text += textOf(chunk);
  return text;
}

/** Two executors under way: the second was asked as the first said nothing. */
async function hedged(executors: ScriptedExecutors, signal?: AbortSignal): Promise<{
  readonly completion: Completion;
  readonly text: Promise<string>;
  readonly slow: ScriptedAnswer;
  readonly other: ScriptedAnswer;
}> {
  const completion = executors.complete(CHAT, { hedgeAfterMs: 200, ...(signal && { signal }) });
  const text = textIn(completion);
  text.catch(() => undefined);
  const slow = await executors.next();
  await executors.pausing();
  executors.clock.advance(199);
  assert.deepEqual(executors.names, ["a"]);
  executors.clock.advance(1);
  return { completion, text, slow, other: await executors.next() };
}

Deno.test("who speaks first answers; the other is cancelled, and what it was paid counts", async () => {
  for (const fast of ["a", "b"] as const) {
    const executors = new ScriptedExecutors("a", "b", "c");
    const { completion, text, slow: a, other: b } = await hedged(executors);
    const [winner, loser] = fast === "a" ? [a, b] : [b, a];
    loser.spent = 3n;
    winner.say("hi");
    winner.spent = 40n;
    winner.end(END);
    assert.equal(await text, "hi");
    assert.deepEqual([winner.cancelled, loser.cancelled], [undefined, "aborted"]);
    assert.equal((await completion.receipt).executor.peerId, fast);
    const { cost, completionTokens } = completion.usage();
    assert.deepEqual([cost, completionTokens], [43n, 1]);
    const delivering = completion.parts.filter(({ delivers }) => delivers);
    assert.deepEqual(delivering.map(({ candidate }) => candidate.announcement.peerId), [fast]);
    await loser.receipt;
    assert.ok(completion.parts.every(({ receipt }) => receipt !== undefined));
    assert.ok(executors.observed.includes(`${fast === "a" ? "b" : "a"} outrun`));
    assert.deepEqual(executors.names, ["a", "b"]);
    assert.equal(executors.clock.armed, 0);
  }
});

Deno.test("where both fail, the next one is asked; where one does, the other goes on", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const { text, slow, other } = await hedged(executors);
  other.fail("overloaded");
  await executors.pausing();
  assert.deepEqual(executors.names, ["a", "b"], "the first one is still under way");
  slow.fail("stream_broken");
  const c = await executors.next();
  c.say("hi").end(END);
  assert.equal(await text, "hi");
  assert.deepEqual(executors.failovers, ["a stream_broken"]);
  assert.equal(executors.clock.armed, 0);
});

Deno.test("no more than two are under way at once", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const { text, slow } = await hedged(executors);
  assert.equal(executors.clock.armed, 0, "nothing more is asked because of time");
  slow.say("hi").end(END);
  await text;
});

Deno.test("where two at once may cost too much, the second has its turn when the first has failed", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const { text, slow, other } = await hedged(executors);
  other.fail("budget_exceeded");
  for (let tick = 0; tick < 60; tick++) await Promise.resolve();
  assert.equal(executors.clock.armed, 0, "nobody else is asked because of time");
  slow.fail("stream_broken");
  (await executors.next()).say("hi").end(END);
  assert.equal(await text, "hi");
  assert.deepEqual(executors.names, ["a", "b", "b"]);
});

Deno.test("nobody else is asked while the first request waits for its channel", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const text = textIn(executors.complete(CHAT, { hedgeAfterMs: 200 }));
  const a = await executors.next();
  const { requestHash } = a;
  a.requestHash = undefined;
  for (let i = 0; i < 3; i++) {
    await executors.pausing();
    executors.clock.advance(200);
  }
  await executors.pausing();
  assert.deepEqual(executors.names, ["a"]);
  a.requestHash = requestHash;
  executors.clock.advance(200);
  (await executors.next()).say("hi").end(END);
  assert.equal(await text, "hi");
});

Deno.test("a caller that cancels cancels both", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const caller = new AbortController();
  const { text, slow, other } = await hedged(executors, caller.signal);
  caller.abort();
  await assert.rejects(text, { code: "aborted" });
  assert.deepEqual([slow.cancelled, other.cancelled], ["aborted", "aborted"]);
  assert.deepEqual(executors.names, ["a", "b"]);
});

Deno.test("whatever executors do, an answer is one executor's, or an error, and nobody is left running", async () => {
  const script = fc.record({
    /** After how many steps of the clock it does something. */
    at: fc.nat(6),
    does: fc.constantFrom("answer", "answer nothing", "fail", "stay silent"),
  });
  await fc.assert(fc.asyncProperty(
    fc.array(script, { minLength: 1, maxLength: 5 }),
    fc.constantFrom(undefined, 100),
    async (scripts, hedgeAfterMs) => {
      const names = scripts.map((_, i) => `p${i}`);
      const executors = new ScriptedExecutors(...names);
      const caller = new AbortController();
      const completion = executors.complete(CHAT, {
        signal: caller.signal,
        ...(hedgeAfterMs && { hedgeAfterMs }),
      });
      const outcome = textIn(completion).then((text) => ({ text }), (error) => ({ error }));
      let over = false;
      outcome.then(() => over = true);
      const asked: ScriptedAnswer[] = [];
      (async () => {
        for (;;) asked.push(await executors.next());
      })();
      for (let step = 0; step < 40 && !over; step++) {
        for (let i = 0; i < asked.length; i++) {
          const answer = asked[i]!;
          const { at, does } = scripts[i]!;
          if (at > step || answer.isOver) continue;
          if (does === "answer") answer.say(names[i]!).end(END);
          if (does === "answer nothing") answer.end(END);
          if (does === "fail") answer.fail("stream_broken");
        }
        for (let tick = 0; tick < 60; tick++) await Promise.resolve();
        const running = asked.filter(({ isOver }) => !isOver).length;
        assert.ok(running <= (hedgeAfterMs === undefined ? 1 : 2));
        executors.clock.advance(100);
        for (let tick = 0; tick < 60; tick++) await Promise.resolve();
      }
      if (!over) caller.abort();
      const result = await outcome;
      const delivering = completion.parts.filter(({ delivers }) => delivers);
      if ("text" in result) {
        assert.equal(delivering.length, 1);
        const name = delivering[0]!.candidate.announcement.peerId;
        assert.ok(result.text === "" || result.text === name);
      } else {
        assert.ok(result.error instanceof LloomError);
        assert.equal(delivering.length, 0);
      }
      assert.ok(asked.every(({ isOver }) => isOver));
      assert.equal(executors.clock.armed, 0);
    },
  ));
});
