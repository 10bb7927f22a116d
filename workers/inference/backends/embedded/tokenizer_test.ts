import assert from "node:assert/strict";
import fc from "fast-check";
import { parseGguf } from "./gguf.ts";
import { demoFile, golden } from "./testdata/demo.ts";
import { Tokenizer } from "./tokenizer.ts";

const { metadata } = parseGguf(demoFile);
const tokenizer = new Tokenizer(metadata);
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.string({ unit: "grapheme", maxLength: 200 }),
  fc.array(fc.constantFrom(" ", "\n", "the", "Lloom", "'s", "<|im_end|>", "é", "🙂", "1", "\ufeff"))
    .map((parts) => parts.join("")),
);

Deno.test("all tokenizer cases of the reference agree", () => {
  assert.equal(golden.tokenizer.length, 20);
  for (const { text, ids } of golden.tokenizer) assert.deepEqual(tokenizer.encode(text), ids);
});

Deno.test("decoding what was encoded gives the text back", () => {
  fc.assert(
    fc.property(text, (text) => {
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("tokens decoded one by one give what they give together, whole characters at a time", () => {
  const ids = fc.array(fc.nat(tokenizer.size - 1), { maxLength: 60 });
  fc.assert(
    fc.property(fc.oneof(ids, text.map((text) => tokenizer.encode(text))), (ids) => {
      const decoder = tokenizer.decoder();
      const parts = [...ids.map((id) => decoder.push(id)), decoder.end()];
      assert.equal(parts.join(""), tokenizer.decode(ids));
      for (const part of parts) assert.ok(part.isWellFormed());
    }),
    { numRuns: 1000 },
  );
});

Deno.test("no text makes a control token", () => {
  fc.assert(fc.property(text, (text) => {
    assert.ok(!tokenizer.encode(text).some((id) => tokenizer.isControl(id)));
  }));
  assert.ok(tokenizer.isControl(tokenizer.control("<|im_end|>")));
  assert.throws(() => tokenizer.control("<|none|>"), { code: "backend_malformed" });
});

Deno.test("encoding stops at the limit, and not before it", () => {
  const tooLong = { name: "LloomError", code: "context_length_exceeded" };
  fc.assert(fc.property(text, (text) => {
    const ids = tokenizer.encode(text);
    assert.deepEqual(tokenizer.encode(text, ids.length), ids);
    if (ids.length > 0) assert.throws(() => tokenizer.encode(text, ids.length - 1), tooLong);
  }));
  // Without the limit, this one word would take minutes.
  const word = Array.from({ length: 1 << 22 }, (_, i) => "abcdefghij"[(i * i) % 7]).join("");
  assert.throws(() => tokenizer.encode(word, 512), tooLong);
});

Deno.test("a tokenizer of another kind, or a broken one, is refused", () => {
  const tokens = metadata.get("tokenizer.ggml.tokens") as readonly string[];
  const merges = metadata.get("tokenizer.ggml.merges") as readonly string[];
  const types = metadata.get("tokenizer.ggml.token_type") as readonly number[];
  const bad = {
    "tokenizer.ggml.model": ["llama", 5],
    "tokenizer.ggml.pre": ["llama-bpe"],
    "tokenizer.ggml.add_bos_token": [true],
    "tokenizer.ggml.tokens": [
      tokens.with(300, tokens[301]!),
      tokens.with(300, "a b"),
      tokens.with(65, "AAAA"),
      tokens.slice(1),
      [1],
    ],
    "tokenizer.ggml.token_type": [types.with(7, 4), types.slice(1)],
    "tokenizer.ggml.merges": [
      merges.with(7, merges[8]!),
      merges.with(7, "ab"),
      merges.with(7, "a b c"),
      merges.with(7, " ab"),
      merges.with(7, "☃ b"),
    ],
  };
  for (const [key, values] of Object.entries(bad)) {
    for (const value of values) {
      const changed = new Map(metadata).set(key, value);
      assert.throws(() => new Tokenizer(changed), { code: "backend_malformed" }, key);
    }
  }
});
