import assert from "node:assert/strict";
import fc from "fast-check";
import { choiceTextBytes, textBytes } from "./answer_text.ts";

const encoder = new TextEncoder();
const line = (...choices: unknown[]) => JSON.stringify({ choices }) + "\n";
const bytes = (text: string) => textBytes(encoder.encode(text));

Deno.test("any text counts as many bytes as its UTF-8 has, however it is written in JSON", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (content) => {
      const expected = encoder.encode(content).length;
      assert.equal(choiceTextBytes({ delta: { content } }), expected);
      assert.equal(bytes(line({ delta: { content } })), expected);
    }),
  );
});

Deno.test("a lone surrogate counts the same before and after it travelled", () => {
  for (const content of ["\ud800", "a\udc00b", "\ud83d\ud83d\ude00"]) {
    assert.equal(bytes(line({ delta: { content } })), choiceTextBytes({ delta: { content } }));
    assert.equal(choiceTextBytes({ delta: { content } }), encoder.encode(content).length);
  }
});

Deno.test("reasoning, refusals and tool calls are text; roles, ids and types are none", () => {
  const call = {
    index: 0,
    id: "call_1",
    type: "function",
    function: { name: "ab", arguments: "{}" },
  };
  assert.equal(bytes(line({ delta: { role: "assistant", tool_calls: [call] } })), 4);
  assert.equal(bytes(line({ delta: { reasoning_content: "abc", refusal: "d" } })), 4);
});

Deno.test("what nobody is shown is no text: padding in a field of its own counts nothing", () => {
  const padded = { content: "ab", padding: "x".repeat(99), logprobs: { content: "y".repeat(99) } };
  assert.equal(bytes(line({ delta: padded })), 2);
  const call = { index: 0, id: "z".repeat(99), extra: "z", function: { name: "f", more: "zz" } };
  assert.equal(bytes(line({ delta: { tool_calls: [call], reasoning: { deep: "zzz" } } })), 1);
  assert.equal(bytes(line({ delta: { audio: { data: "zzz", transcript: "abc" } } })), 3);
  assert.equal(bytes(line({ delta: { content: [{ type: "text", text: "abcd" }] } })), 4);
  assert.equal(bytes(line({ delta: JSON.parse('{"__proto__":{"content":"zzz"}}') })), 0);
});

Deno.test("a completion's choices have their text beside their index, a chat's never", () => {
  assert.equal(bytes(line({ index: 0, text: "é!", logprobs: null, finish_reason: null })), 3);
  assert.equal(bytes(line({ index: 0, text: "zzz", delta: { content: "a" } })), 1);
  assert.equal(bytes(line({ index: 0, text: { deep: "zzz" } })), 0);
});

Deno.test("what is outside of a delta is no text", () => {
  const choice = { index: 0, finish_reason: "stop", logprobs: { content: [{ token: "a" }] } };
  assert.equal(bytes(line({ ...choice, delta: { content: null } })), 0);
  assert.equal(bytes(line(choice)), 0);
  for (const text of ["1\n", "[]\n", "null\n", '{"choices":{"delta":"a"}}\n', '{"text":"a"}\n']) {
    assert.equal(bytes(text), 0);
  }
});

Deno.test("the text of all choices of all lines is added up", () => {
  const one = { delta: { content: "ab" } };
  assert.equal(bytes(line(one, one) + line(one)), 6);
});

Deno.test("a line that is no JSON, or nested without end, is refused with a code", () => {
  assert.throws(() => bytes("{\n"), { code: "frame_malformed" });
  const deep = `{"choices":${"[".repeat(10_000)}${"]".repeat(10_000)}}\n`;
  assert.throws(() => bytes(deep), { code: "frame_too_large" });
});
