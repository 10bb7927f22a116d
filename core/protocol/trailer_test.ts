import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import { decodesOrRefuses, mutated } from "../../tests/support/hostile.ts";
import { uint32 } from "../../tests/support/arbitraries.ts";
import { MAX_TRAILER_BYTES } from "./limits.ts";
import { decodeTrailer, encodeTrailer, type Trailer } from "./trailer.ts";

const trailer: fc.Arbitrary<Trailer> = fc.record({
  finish: fc.string({ maxLength: 340, unit: "binary" }),
  promptTokens: uint32,
  completionTokens: uint32,
  countedBy: fc.constantFrom("backend", "tokenizer", "estimate"),
  error: fc.record({
    code: fc.constantFrom("aborted", "backend_failed"),
    message: fc.string({ maxLength: 340, unit: "binary" }),
  }, { noNullPrototype: true }),
}, {
  noNullPrototype: true,
  requiredKeys: ["finish", "promptTokens", "completionTokens", "countedBy"],
}).map((t) => t.error ? { ...t, finish: t.promptTokens % 2 ? "cancelled" : "error" } : t);

const bytes = (json: unknown) => new TextEncoder().encode(JSON.stringify(json) + "\n");
const malformed = (e: unknown) => e instanceof LloomError && e.code === "frame_malformed";

Deno.test("a trailer comes back as it was encoded, from one line", () => {
  fc.assert(fc.property(trailer, (t) => {
    const line = encodeTrailer(t);
    assert.equal(line.indexOf(0x0a), line.length - 1);
    assert.deepEqual(decodeTrailer(line), t);
  }));
});

Deno.test("a trailer with texts of any length can be sent", () => {
  const long = "\u0001".repeat(5000);
  const counts = {
    promptTokens: 0xffff_ffff,
    completionTokens: 0xffff_ffff,
    countedBy: "tokenizer",
  } as const;
  const error = { code: "context_length_exceeded", message: long } as const;
  const failed = encodeTrailer({ finish: "cancelled", ...counts, error });
  const ended = encodeTrailer({ finish: long, ...counts });
  assert.ok(Math.max(failed.length, ended.length) <= MAX_TRAILER_BYTES);
  assert.equal(decodeTrailer(failed).error?.message, "\u0001".repeat(1024));
  assert.equal(decodeTrailer(ended).finish, "\u0001".repeat(1024));
});

Deno.test("an error code of a later version is internal", () => {
  const usage = { prompt_tokens: 1, completion_tokens: 1 };
  const error = { code: "new", message: "m" };
  assert.deepEqual(
    decodeTrailer(bytes({ finish: "error", usage, counted_by: "backend", error })).error,
    { code: "internal", message: "m" },
  );
});

Deno.test("a trailer without finish, usage or who counted is malformed", () => {
  const usage = { prompt_tokens: 1, completion_tokens: 1 };
  const valid = { finish: "stop", usage, counted_by: "backend" };
  assert.doesNotThrow(() => decodeTrailer(bytes(valid)));
  const bad = [
    null,
    [],
    "stop",
    { ...valid, finish: undefined },
    { ...valid, finish: 1 },
    { ...valid, usage: null },
    { ...valid, usage: { prompt_tokens: 1 } },
    { ...valid, usage: { ...usage, prompt_tokens: -1 } },
    { ...valid, usage: { ...usage, prompt_tokens: 0.5 } },
    { ...valid, usage: { ...usage, prompt_tokens: 2 ** 32 } },
    { ...valid, counted_by: "me" },
    { ...valid, finish: "error", error: "broken" },
    { ...valid, finish: "error", error: { code: "internal" } },
    { ...valid, finish: "error", error: { message: "m" } },
    // Who reads only one of the two must come to the same end as who reads the other.
    { ...valid, error: { code: "internal", message: "m" } },
    { ...valid, finish: "cancelled" },
    { ...valid, choices: [] },
  ];
  for (const value of bad) assert.throws(() => decodeTrailer(bytes(value)), malformed);
  const line = JSON.stringify(valid);
  for (
    const text of [line, `${line}\n\n`, `{\n${line.slice(1)}\n`, ` ${line}\n`, `\ufeff${line}\n`]
  ) {
    assert.throws(() => decodeTrailer(new TextEncoder().encode(text)), malformed);
  }
});

Deno.test("hostile trailers give coded errors only", () => {
  const texts = ["", "[".repeat(MAX_TRAILER_BYTES), '{"__proto__":{"finish":"stop"}}', "1e999"];
  for (const text of texts) {
    assert.throws(() => decodeTrailer(new TextEncoder().encode(text)), malformed);
  }
  const decode = (b: Uint8Array) => decodesOrRefuses(decodeTrailer, b);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode));
  fc.assert(fc.property(fc.json().map((json) => new TextEncoder().encode(json)), decode));
  fc.assert(fc.property(mutated(trailer.map(encodeTrailer)), decode), { numRuns: 300 });
});
