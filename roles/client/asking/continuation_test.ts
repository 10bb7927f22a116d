/** Broken answers that another executor continues, and those that none may. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ErrorCode, LloomError } from "@lloom/core/errors";
import { readModelRequest } from "@lloom/core/protocol";
import { line, ScriptedExecutors } from "../../../tests/support/scripted_executors.ts";
import { textOf } from "./chat_chunk.ts";
import type { Completion } from "./completion.ts";
import type { PersistenceOptions } from "./completion_components.ts";
import { asksForText, continuationOf, plainText, withoutPreamble } from "./continuation.ts";

const USER = { role: "user", content: "hi" };
const CHAT = { model: "m", messages: [USER] };
const END = { tokens: 1, promptTokens: 5 };
const ROLE = line({ role: "assistant", content: "" });
const HASH = `0x${"1".repeat(64)}` as const;
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What a reader sees: texts, and a bar with the error where executors change. */
async function seen(completion: Completion): Promise<readonly string[]> {
  const all: string[] = [];
  const decoder = new TextDecoder();
  for await (const event of completion.events()) {
    if (event.type === "answering") all.push(`<${event.candidate.announcement.peerId}>`);
    if (event.type === "continued") {
      all.push(`<${event.candidate.announcement.peerId} after ${event.error.code}>`);
    }
    if (event.type !== "lines") continue;
    for (const text of decoder.decode(event.lines).trimEnd().split("\n")) {
      all.push(textOf(JSON.parse(text)));
    }
  }
  return all;
}

const continuing = (
  executors: ScriptedExecutors,
  request: object = CHAT,
  options: PersistenceOptions = {},
) => executors.complete(request, { continueBroken: true, ...options });

Deno.test("another executor continues a broken answer, under a request that names the broken one", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = continuing(executors, { ...CHAT, max_tokens: 100, temperature: 0 });
  const all = seen(completion);
  const a = (await executors.next()).say(ROLE, "Once ", "upon");
  a.spent = 30n;
  a.fail("stream_broken");
  const b = await executors.next();
  assert.deepEqual(b.asked, {
    model: "m",
    messages: [USER, { role: "assistant", content: "Once upon", prefix: true }],
    // Nine letters are reckoned as three tokens, as there is no receipt for them.
    max_tokens: 97,
    temperature: 0,
    continues: a.requestHash,
  });
  b.say(ROLE, " a time", line({}, "stop"));
  b.spent = 40n;
  b.end({ tokens: 4, promptTokens: 12 });
  assert.deepEqual(await all, [
    "<a>",
    "",
    "Once ",
    "upon",
    "<b after stream_broken>",
    " a time",
    "",
  ]);
  assert.equal((await completion.receipt).executor.peerId, "b");
  assert.deepEqual(
    completion.parts.map(({ delivers, continues, tokens, cost }) =>
      [delivers, continues, tokens, cost] as const
    ),
    [[true, undefined, 3, 30n], [true, a.requestHash, 4, 40n]],
  );
  const { completionTokens, estimated, cost } = completion.usage();
  assert.deepEqual([completionTokens, estimated, cost], [7, true, 70n]);
  assert.deepEqual(executors.answered, ["b"]);
  assert.deepEqual(executors.failovers, ["a stream_broken"]);
});

Deno.test("where the broken part has a receipt, its tokens count, and the prompt's", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = continuing(executors, { ...CHAT, max_completion_tokens: 10, max_tokens: 20 });
  const all = seen(completion);
  (await executors.next()).say("One").fail("backend_failed", { tokens: 6, promptTokens: 5 });
  const b = await executors.next();
  assert.deepEqual([b.asked.max_completion_tokens, b.asked.max_tokens], [4, 14]);
  b.say(" two").end({ tokens: 2, promptTokens: 11 });
  await all;
  assert.deepEqual(completion.usage(), {
    ...{ promptTokens: 5, completionTokens: 8, estimated: false, cost: 0n },
  });
});

Deno.test("an answer that breaks again is continued again, never by who broke it", async () => {
  const executors = new ScriptedExecutors("a", "b", "c");
  const completion = continuing(executors);
  const all = seen(completion);
  const a = (await executors.next()).say("1");
  a.fail("shutting_down", { tokens: 1, promptTokens: 5 });
  const b = await executors.next();
  b.say(ROLE);
  b.say("2").fail("backend_timeout", { tokens: 1, promptTokens: 6 });
  const c = await executors.next();
  assert.deepEqual([c.asked.continues, b.asked.continues], [b.requestHash, a.requestHash]);
  assert.deepEqual((c.asked.messages as object[])[1], {
    ...{ role: "assistant", content: "12", prefix: true },
  });
  c.say("3").end(END);
  assert.deepEqual(
    await all,
    ["<a>", "1", "<b after shutting_down>", "2", "<c after backend_timeout>", "3"],
  );
  assert.deepEqual(executors.names, ["a", "b", "c"]);
  const linked = completion.parts.map(({ requestHash, continues }) => [requestHash, continues]);
  assert.equal(linked[1]![1], linked[0]![0]);
  assert.equal(linked[2]![1], linked[1]![0]);
});

Deno.test("while another is looked for, executors fail over, are hedged and asked again as ever", async () => {
  const executors = new ScriptedExecutors("a", "b", "c", "d");
  const completion = continuing(executors, CHAT, { hedgeAfterMs: 100, retry: { maxAttempts: 2 } });
  const all = seen(completion);
  (await executors.next()).say("1").fail("stream_broken");
  (await executors.next()).fail("overloaded");
  await executors.next();
  await executors.pausing();
  executors.clock.advance(100);
  (await executors.next()).say("2").end(END);
  assert.deepEqual(await all, ["<a>", "1", "<d after stream_broken>", "2"]);
});

Deno.test("where nobody can continue, the error that broke the answer stands", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const completion = continuing(executors);
  const all = seen(completion);
  (await executors.next()).say("1").fail("stream_broken");
  (await executors.next()).fail("overloaded");
  await assert.rejects(all, { code: "stream_broken" });
  await assert.rejects(completion.receipt, { code: "stream_broken" });
});

Deno.test("a caller that cancels while another is looked for is told that it was cancelled", async () => {
  const executors = new ScriptedExecutors("a", "b");
  const caller = new AbortController();
  const all = seen(continuing(executors, CHAT, { signal: caller.signal }));
  (await executors.next()).say("1").fail("stream_broken");
  await executors.next();
  caller.abort();
  await assert.rejects(all, { code: "aborted" });
});

/** Breaks an answer in its middle, and says whether another executor was asked to go on. */
async function isContinued(
  error: ErrorCode,
  { request = CHAT, said = ["text"], options }: {
    readonly request?: object;
    readonly said?: readonly (string | Uint8Array)[];
    readonly options?: PersistenceOptions;
  } = {},
): Promise<boolean> {
  const executors = new ScriptedExecutors("a", "b");
  const all = seen(continuing(executors, request, options));
  (await executors.next()).say(...said).fail(error);
  const asked = executors.next();
  const outcome = await Promise.race([asked, all.catch((thrown: LloomError) => thrown)]);
  if ("code" in outcome) {
    assert.equal(outcome.code, error);
    return false;
  }
  (await asked).end(END);
  await all;
  return true;
}

Deno.test("who breaks the protocol, or cheats, is continued by nobody", async () => {
  const honest = [
    "stream_broken",
    "shutting_down",
    "worker_crashed",
    "timeout",
    "backend_truncated",
  ];
  const others = ["signature_invalid", "receipt_invalid", "overcharged", "protocol_violation"];
  for (const code of honest) assert.ok(await isContinued(code as ErrorCode), code);
  for (const code of [...others, "budget_exceeded", "payment_required", "aborted"]) {
    assert.ok(!await isContinued(code as ErrorCode), code);
  }
});

Deno.test("only one plain text is continued, and only if its reader wants that", async () => {
  const tool = { type: "function", function: { name: "f" } };
  const requests = [
    ...[{ n: 2 }, { tools: [tool] }, { functions: [tool.function] }, { logprobs: true }],
    ...[{ response_format: { type: "json_object" } }, { modalities: ["text", "audio"] }],
  ];
  for (const fields of requests) {
    const request = { ...CHAT, ...fields };
    assert.ok(!await isContinued("stream_broken", { request }), JSON.stringify(fields));
  }
  const plain = { ...CHAT, tools: [], response_format: { type: "text" }, logprobs: false, n: 1 };
  assert.ok(await isContinued("stream_broken", { request: plain }));
  const lines = [
    line({ reasoning_content: "hm" }),
    line({ tool_calls: [{ index: 0 }] }),
    line({ refusal: "no" }),
    line({ content: "all" }, "stop"),
    new TextEncoder().encode('{"choices":[{"index":1,"delta":{"content":"x"}}]}\n'),
  ];
  for (const one of lines) {
    assert.ok(!await isContinued("stream_broken", { said: ["text", one] }), decode(one));
  }
  for (const options of [{ continueBroken: false }, { allowFallbacks: false }]) {
    assert.ok(!await isContinued("stream_broken", { options }));
  }
  assert.ok(!await isContinued("stream_broken", { request: { ...CHAT, max_tokens: 1 } }));
});

Deno.test("an answer of which nothing was said yet is asked for as before, under the same link", () => {
  const request = readModelRequest(CHAT);
  assert.ok(asksForText(request));
  const next = continuationOf(request, { text: "", tokens: 0, requestHash: HASH });
  assert.deepEqual(JSON.parse(decode(next!.body)), { ...CHAT, continues: HASH });
});

Deno.test("an answer that its caller has begun already is continued as one", () => {
  const begun = { role: "assistant", content: "Once", prefix: true };
  const request = readModelRequest({ ...CHAT, messages: [USER, begun] });
  assert.ok(asksForText(request));
  const next = continuationOf(request, { text: " upon", tokens: 1, requestHash: HASH });
  assert.deepEqual(
    JSON.parse(decode(next!.body)).messages,
    [USER, { ...begun, content: "Once upon" }],
  );
});

Deno.test("wherever an answer breaks, and however often, no word of it is lost or comes twice", async () => {
  const word = fc.string({ unit: "grapheme", maxLength: 6 });
  const breaks = fc.array(fc.nat(4), { maxLength: 4 });
  await fc.assert(fc.asyncProperty(
    fc.array(word, { maxLength: 12 }),
    breaks,
    fc.boolean(),
    async (words, breaks, namesRole) => {
      const names = Array.from({ length: breaks.length + 1 }, (_, i) => `p${i}`);
      const executors = new ScriptedExecutors(...names);
      const text = seen(continuing(executors)).then((all) =>
        all.filter((one) => !/^<p\d/.test(one)).join("")
      );
      const whole = words.join("");
      let said = 0;
      for (const count of [...breaks, undefined]) {
        const answer = await executors.next();
        const messages = answer.asked.messages as { content: string }[];
        // The model goes on where the beginning that it is given ends.
        const prefix = messages[1]?.content ?? "";
        assert.equal(prefix, words.slice(0, said).join(""));
        if (namesRole) answer.say(ROLE);
        const rest = words.slice(said, count === undefined ? undefined : said + count);
        answer.say(...rest);
        said += rest.length;
        if (count === undefined) {
          answer.say(line({}, "stop")).end(END);
          break;
        }
        // Who said nothing is followed by another, as ever, or broke after its role.
        answer.fail("stream_broken");
      }
      assert.equal(await text, whole);
    },
  ));
});

Deno.test("lines before the first word are no part of a continuation; after it, all are", () => {
  const lines = (...all: Uint8Array[]) => all.map(decode).join("");
  const encode = (text: string) => new TextEncoder().encode(text);
  const [word, end] = [line({ content: "a" }), line({}, "stop")];
  assert.equal(decode(withoutPreamble(encode(lines(ROLE, ROLE)))), "");
  assert.equal(decode(withoutPreamble(encode(lines(ROLE, word, ROLE)))), lines(word, ROLE));
  assert.equal(decode(withoutPreamble(encode(lines(ROLE, end)))), lines(end));
  assert.equal(plainText(encode(lines(ROLE, word, word))), "aa");
  assert.equal(plainText(encode(lines(word, end))), undefined);
});
