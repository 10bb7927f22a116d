/** Lines of answers, from executors that may send anything. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "@lloom/core/errors";
import { readLines } from "./answer_lines.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string) => [...readLines(bytes(text))];

Deno.test("lines are read as they were written", () => {
  const lines = [
    '{"choices":[{"index":0,"delta":{"content":"h\\n\\u0069"}}]}',
    '{"choices": [{"index":0,"text":"é"}]}',
    '{"data":[{"index":0,"embedding":"AACAPw=="}]}',
  ];
  const result = read(`${lines.join("\n")}\n`);
  assert.deepEqual(result.map(({ text }) => text), lines);
  assert.deepEqual(result.map(({ value }) => value), lines.map((line) => JSON.parse(line)));
});

Deno.test("what is no line of an answer is a coded error", () => {
  for (const line of ["[]", "1", "null", "{}", '{"choices":1}', '{"error":{}}', '{"data":"x"}']) {
    assert.throws(() => read(`${line}\n`), { code: "protocol_violation" }, line);
  }
  assert.throws(() => read('{"choices":[]\n'), { code: "frame_malformed" });
});

Deno.test("whatever comes, a line's text is one object of one field on one line", () => {
  const field = fc.constantFrom("choices", "data", "id", "model", "__proto__", "usage");
  const space = fc.constantFrom("", " ", "\r", "\t");
  const line = fc.tuple(space, fc.array(fc.tuple(field, space, fc.jsonValue())), space).map(
    ([before, fields, after]) =>
      `${before}{${
        fields.map(([name, gap, value]) => `"${name}":${gap}${JSON.stringify(value)}`).join(",")
      }}${after}`,
  );
  fc.assert(fc.property(line, (line) => {
    try {
      for (const { text, value } of read(`${line}\n`)) {
        assert.match(text, /^\{[^\r\n]*\}$/);
        assert.deepEqual(JSON.parse(text), value);
        assert.equal(Object.keys(value).length, 1);
        assert.ok(Array.isArray(value.choices ?? value.data));
      }
    } catch (error) {
      assert.ok(error instanceof LloomError, String(error));
    }
  }));
});
