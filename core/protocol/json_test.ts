import assert from "node:assert/strict";
import fc from "fast-check";
import { parseModelRequest } from "./model_request.ts";
import { parseJson, parseJsonText } from "./json.ts";
import { MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_JSON_VALUES } from "./limits.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const tooLarge = { name: "LloomError", code: "frame_too_large" };
const malformed = { name: "LloomError", code: "frame_malformed" };

/** How many values there are, counted after parsing. */
function count(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, inner) => sum + count(inner), 1);
}

Deno.test("a body of very many small values is refused before it is parsed", () => {
  const head = '{"model":"m","messages":[{"role":"user","content":"x"}],"x":[';
  const times = Math.floor((MAX_BODY_BYTES - head.length - 8) / 3);
  const bomb = encode(`${head}${"{},".repeat(times)}{}]}`);
  assert.ok(bomb.length <= MAX_BODY_BYTES);
  const before = Deno.memoryUsage().heapUsed;
  assert.throws(() => parseModelRequest(bomb), tooLarge);
  assert.ok(Deno.memoryUsage().heapUsed - before < 64 << 20);
});

Deno.test("a value nested too deep is refused, and the deepest allowed can be written again", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  // Padding, so that it is long enough to be looked at.
  const padded = (depth: number) => `[${JSON.stringify("x".repeat(2048))},${nested(depth - 1)}]`;
  for (const parse of [parseJsonText, (text: string) => parseJson(encode(text), 1 << 24)]) {
    const deepest = padded(MAX_JSON_DEPTH);
    assert.equal(JSON.stringify(parse(deepest)), deepest);
    assert.throws(() => parse(padded(MAX_JSON_DEPTH + 1)), tooLarge);
    assert.throws(() => parse(nested(2_000_000)), tooLarge);
    // One that is not looked at is too short to overflow anything.
    const short = nested(4 * MAX_JSON_DEPTH);
    assert.equal(JSON.stringify(parse(short)), short);
  }
});

Deno.test("values are counted as they are, whatever is inside strings", () => {
  const tricky = fc.string({ unit: fc.constantFrom(...'"\\,[]{}:a\u{1F980}\n'), maxLength: 12 });
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      tricky,
      fc.constantFrom(null, true, 0, -1.5e3),
      fc.array(tie("value"), { maxLength: 5 }),
      fc.dictionary(tricky, tie("value"), { maxKeys: 5, noNullPrototype: true }),
    ),
  })).value;
  fc.assert(fc.property(json, fc.constantFrom(undefined, 2), (value, indent) => {
    const padded = ["x".repeat(2048), value];
    const bytes = encode(JSON.stringify(padded, undefined, indent));
    const values = count(padded);
    // Each container may count for one more, as it may be empty: never for less.
    assert.deepEqual(parseJson(bytes, 1 << 20, 2 * values), padded);
    assert.throws(() => parseJson(bytes, 1 << 20, Math.floor((values - 1) / 2)), tooLarge);
  }));
});

Deno.test("a usual request of many messages and tools is within the bounds", () => {
  const tools = Array.from({ length: 128 }, (_, i) => ({
    type: "function",
    function: {
      name: `tool_${i}`,
      parameters: {
        type: "object",
        properties: Object.fromEntries(
          Array.from(
            { length: 30 },
            (_, k) => [`p${k}`, { type: "string", enum: ["a", "b", "c"] }],
          ),
        ),
      },
    },
  }));
  const messages = Array.from({ length: 2000 }, () => ({ role: "user", content: "hello" }));
  const body = { model: "m", messages, tools };
  assert.ok(count(body) < MAX_JSON_VALUES);
  assert.deepEqual(parseModelRequest(encode(JSON.stringify(body))).raw, body);
});

Deno.test("what is not JSON is malformed, also where a string does not end", () => {
  for (const text of ["", "{", '["' + "x".repeat(5000), `["${"\\".repeat(5001)}"]`]) {
    assert.throws(() => parseJsonText(text), malformed);
    assert.throws(() => parseJson(encode(text), 1 << 20), malformed);
  }
});
