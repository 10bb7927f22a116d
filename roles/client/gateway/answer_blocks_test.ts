import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import fc from "fast-check";
import { AnswerBlocks, type BlockEvent } from "./answer_blocks.ts";

const line = (delta: JsonObject): JsonObject => ({ choices: [{ index: 0, delta }] });

const fragment = (index: number, args: string, call?: { id: string; name: string }): JsonObject =>
  line({
    tool_calls: [{
      index,
      ...(call && { id: call.id, type: "function" }),
      function: { ...(call && { name: call.name }), arguments: args },
    }],
  });

/** All events of some lines. */
function eventsOf(lines: readonly JsonObject[]): BlockEvent[] {
  const blocks = new AnswerBlocks(() => "made");
  return [...lines.flatMap((line) => [...blocks.take(line)]), ...blocks.finish()];
}

/** What the blocks are in the end; fails if they are not one after the other. */
function blocksOf(lines: readonly JsonObject[]): [string, string][] {
  const result: [string, string][] = [];
  let open: { readonly index: number; text: string } | undefined;
  for (const event of eventsOf(lines)) {
    const { block } = event;
    if (event.type === "open") {
      assert.equal(open, undefined);
      assert.equal(block.index, result.length);
      open = { index: block.index, text: "" };
      continue;
    }
    assert.equal(open?.index, block.index);
    if (event.type === "add") open.text += event.text;
    else {
      assert.equal(event.text, open.text);
      result.push([
        block.kind === "call" ? `${block.name} ${block.callId}` : block.kind,
        event.text,
      ]);
      open = undefined;
    }
  }
  assert.equal(open, undefined);
  return result;
}

Deno.test("reasoning, words and calls become blocks in the order of their beginning", () => {
  const lines = [
    line({ role: "assistant", content: "" }),
    line({ reasoning_content: "Hm" }),
    line({ reasoning: "m." }),
    line({ content: "I look" }),
    line({ content: " it up." }),
    fragment(0, "", { id: "a", name: "find" }),
    fragment(0, '{"q":'),
    fragment(0, '"x"}'),
  ];
  assert.deepEqual(blocksOf(lines), [
    ["reasoning", "Hmm."],
    ["text", "I look it up."],
    ["find a", '{"q":"x"}'],
  ]);
});

Deno.test("calls that a server sends interleaved come one after the other", () => {
  const lines = [
    fragment(0, '{"a":', { id: "a", name: "one" }),
    fragment(1, '{"b":', { id: "b", name: "two" }),
    fragment(0, '"}"'),
    line({ content: "words between" }),
    fragment(1, "2}"),
    fragment(0, "}"),
  ];
  assert.deepEqual(blocksOf(lines), [
    ["one a", '{"a":"}"}'],
    ["two b", '{"b":2}'],
    ["text", "words between"],
  ]);
});

Deno.test("calls that all have index 0, no id or no arguments are told apart and made whole", () => {
  const same = [
    fragment(0, "{}", { id: "a", name: "one" }),
    fragment(0, "{}", { id: "b", name: "two" }),
  ];
  assert.deepEqual(blocksOf(same), [["one a", "{}"], ["two b", "{}"]]);
  assert.deepEqual(
    blocksOf([line({ tool_calls: [{ function: { name: "now", arguments: "" } }] })]),
    [["now made", "{}"]],
  );
  assert.deepEqual(
    blocksOf([line({ tool_calls: [{ id: "c", function: { name: "o", arguments: { x: 1 } } }] })]),
    [["o c", '{"x":1}']],
  );
});

Deno.test("a call without a name, one that goes on after its end, and too many are malformed", () => {
  const malformed = (lines: readonly JsonObject[]) =>
    assert.throws(
      () => eventsOf(lines),
      (error) => error instanceof LloomError && error.code === "backend_malformed",
    );
  malformed([fragment(0, "{}")]);
  malformed([
    fragment(0, "{}", { id: "a", name: "one" }),
    line({ content: "then" }),
    fragment(0, "more"),
  ]);
  malformed(Array.from({ length: 129 }, (_, i) => fragment(i, "{}", { id: `${i}`, name: "one" })));
  // White space after a call's end is none of its arguments.
  eventsOf([
    fragment(0, "{}", { id: "a", name: "one" }),
    line({ content: "then" }),
    fragment(0, "\n"),
  ]);
});

Deno.test("other answers than the first are left out, and the stop text is kept", () => {
  const blocks = new AnswerBlocks(() => "made");
  const other = { choices: [{ index: 1, delta: { content: "other" } }] };
  assert.deepEqual([...blocks.take(other)], []);
  assert.deepEqual(
    [...blocks.take({ choices: [{ index: 0, delta: {}, stop_reason: "END" }] })],
    [],
  );
  assert.equal(blocks.stopText, "END");
});

/** An answer: kinds of words, then calls. */
const answers = fc.record({
  words: fc.array(
    fc.tuple(
      fc.constantFrom("reasoning_content", "content", "refusal"),
      fc.string({ minLength: 1 }),
    ),
    { maxLength: 6 },
  ),
  calls: fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 4 }),
});

Deno.test("however an answer is cut and its calls interleaved, its blocks are the same", () => {
  fc.assert(fc.property(
    answers,
    fc.infiniteStream(fc.integer({ min: 1, max: 5 })),
    fc.infiniteStream(fc.nat()),
    ({ words, calls }, lengths, picks) => {
      const whole: JsonObject[] = [];
      const cut: JsonObject[] = [];
      const pieces = (text: string): string[] => {
        const list: string[] = [];
        for (let at = 0; at < text.length;) {
          const length = lengths.next().value;
          list.push(text.slice(at, at + length));
          at += length;
        }
        return list;
      };
      for (const [field, text] of words) {
        whole.push(line({ [field]: text }));
        cut.push(...pieces(text).map((piece) => line({ [field]: piece })));
      }
      const queues = calls.map((value, i) => {
        const call = { id: `call${i}`, name: `tool${i}` };
        const args = JSON.stringify(value);
        whole.push(fragment(i, args, call));
        return [fragment(i, "", call), ...pieces(args).map((piece) => fragment(i, piece))];
      });
      // The first fragments come in order, as servers begin calls; all else at random.
      cut.push(...queues.flatMap((queue) => queue.splice(0, 1)));
      for (let left = queues.filter((q) => q.length > 0); left.length > 0;) {
        cut.push(left[picks.next().value % left.length]!.shift()!);
        left = left.filter((queue) => queue.length > 0);
      }
      assert.deepEqual(blocksOf(cut), blocksOf(whole));
    },
  ));
});

Deno.test("a flood of tiny blocks ends the answer, and what came of it is still told", () => {
  const blocks = new AnswerBlocks(() => "made");
  const flood = (delta: JsonObject) => ({ choices: Array(2000).fill({ delta }) });
  const failure = { code: "backend_malformed", message: /too many blocks/ };
  let opened = 0;
  const count = (events: Iterable<BlockEvent>) => {
    for (const { type } of events) if (type === "open") opened++;
  };
  assert.throws(() => count(blocks.take(flood({ reasoning: "a", content: "b" }))), failure);
  count(blocks.finish());
  assert.equal(opened, 1024);
  // Words that wait for an unfinished call are no way around it.
  const waiting = new AnswerBlocks(() => "made");
  count(waiting.take(fragment(0, "{", { id: "a", name: "find" })));
  assert.throws(() => count(waiting.take(flood({ reasoning: "a", content: "b" }))), failure);
  opened = 0;
  count(waiting.finish());
  assert.equal(opened, 1024);
});
