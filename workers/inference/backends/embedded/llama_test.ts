import assert from "node:assert/strict";
import { type Gguf, type GgufValue, parseGguf } from "./gguf.ts";
import { Llama, type LlamaSequence } from "./llama.ts";
import { demoFile, golden } from "./testdata/demo.ts";

const gguf = parseGguf(demoFile);
const model = new Llama(gguf, 2);

/** Appends a prompt; the logits after it. */
function read(sequence: LlamaSequence, tokens: readonly number[]): Float32Array {
  for (const token of tokens.slice(0, -1)) sequence.skip(token);
  return sequence.push(tokens.at(-1)!);
}

const likeliest = (logits: Float32Array) => logits.indexOf(Math.max(...logits));

Deno.test("logits agree with the reference within 0.01", () => {
  const cases = golden.generation.filter((item) => item.logits_first16 !== undefined);
  assert.ok(cases.length > 0);
  for (const { prompt_ids, logits_first16, logits_argmax } of cases) {
    const sequence = model.open();
    const logits = read(sequence, prompt_ids);
    logits_first16!.forEach((expected, i) => assert.ok(Math.abs(logits[i]! - expected) < 0.01));
    assert.equal(likeliest(logits), logits_argmax);
    sequence.close();
  }
});

Deno.test("all greedy continuations of the reference agree, two sequences at a time", () => {
  assert.equal(golden.generation.length, 8);
  for (let i = 0; i < 8; i += 2) {
    const pair = golden.generation.slice(i, i + 2).map(({ prompt_ids, greedy_ids }) => {
      const sequence = model.open();
      return { sequence, greedy_ids, next: likeliest(read(sequence, prompt_ids)) };
    });
    for (let step = 0; step < 32; step++) {
      for (const state of pair) {
        if (step >= state.greedy_ids.length) continue;
        assert.equal(state.next, state.greedy_ids[step]);
        state.next = likeliest(state.sequence.push(state.next));
      }
    }
    for (const { sequence } of pair) sequence.close();
  }
});

Deno.test("a sequence ends at the context's length, and frees its place once", () => {
  const [first, second] = [model.open(), model.open()];
  assert.throws(() => model.open(), { name: "LloomError", code: "overloaded" });
  for (let i = 0; i < 512; i++) first.skip(i);
  assert.equal(first.length, 512);
  assert.throws(() => first.skip(0), RangeError);
  assert.throws(() => second.push(2048), RangeError);
  assert.throws(() => second.push(-1), RangeError);
  first.close();
  first.close();
  assert.throws(() => first.skip(0), TypeError);
  const third = model.open();
  assert.throws(() => model.open(), { code: "overloaded" });
  // What the place held before leaves no trace.
  const { prompt_ids } = golden.generation[0]!;
  const expected = read(second, prompt_ids).slice();
  assert.deepEqual(read(third, prompt_ids), expected);
  second.close();
  third.close();
});

Deno.test("dimensions that do not fit the tensors or the kernel are refused", () => {
  const bad: Record<string, readonly GgufValue[]> = {
    "general.architecture": ["qwen2"],
    "llama.embedding_length": [0, 191, 384, 192.5, "192"],
    "llama.attention.head_count": [0, 5, 12, 2 ** 31],
    "llama.attention.head_count_kv": [0, 2, 4, 7],
    "llama.block_count": [0, 7, 2 ** 32 - 1],
    "llama.feed_forward_length": [511, 1024],
    "llama.context_length": [0, 2 ** 20, 2 ** 32 - 1],
    "llama.rope.dimension_count": [16],
    "llama.rope.freq_base": [Infinity, "x"],
    "llama.attention.layer_norm_rms_epsilon": [NaN],
  };
  for (const [key, values] of Object.entries(bad)) {
    for (const value of values) {
      const changed: Gguf = { ...gguf, metadata: new Map(gguf.metadata).set(key, value) };
      assert.throws(() => new Llama(changed, 2), { code: "backend_malformed" }, `${key} ${value}`);
    }
  }
  for (const name of gguf.tensors.keys()) {
    const tensors = new Map(gguf.tensors);
    tensors.delete(name);
    assert.throws(() => new Llama({ ...gguf, tensors }, 2), { code: "backend_malformed" }, name);
  }
});

Deno.test("a separate output matrix is used where there is one", () => {
  const tensors = new Map(gguf.tensors);
  const embedding = tensors.get("token_embd.weight")!;
  tensors.set("output.weight", { ...embedding, name: "output.weight" });
  const untied = new Llama({ ...gguf, tensors }, 1);
  const { prompt_ids, greedy_ids } = golden.generation[0]!;
  assert.equal(likeliest(read(untied.open(), prompt_ids)), greedy_ids[0]);
  tensors.set("output.weight", { ...embedding, shape: [2048, 192] });
  assert.throws(() => new Llama({ ...gguf, tensors }, 1), { code: "backend_malformed" });
});
