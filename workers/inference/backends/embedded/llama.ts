/**
 * The forward pass of Llama-style models: RMSNorm, rotary positions, grouped-query attention, SwiGLU.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import { type Gguf, integerOf, numberOf, readTensor, textOf } from "./gguf.ts";
import { createKernel, type Kernel, LANES } from "./kernel.ts";

/** A model's dimensions. */
export interface LlamaShape {
  /** Width of the residual stream. */
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Key and value heads; each serves `heads / kvHeads` query heads. */
  readonly kvHeads: number;
  readonly headSize: number;
  /** Hidden units of the feed-forward part. */
  readonly hidden: number;
  readonly vocabulary: number;
  /** Most tokens of one sequence. */
  readonly contextLength: number;
  /** Added to the mean square in RMSNorm. */
  readonly epsilon: number;
  /** Base of the rotary frequencies. */
  readonly ropeBase: number;
}

/** One sequence being read and written. Close it to let another begin. */
export interface LlamaSequence {
  /** Tokens so far. */
  readonly length: number;
  /**
   * Appends a token.
   * @returns the logits of the next one: a view that the next call on any sequence overwrites
   */
  push(token: number): Float32Array;
  /** Appends a token whose logits are not needed, as in all of a prompt but its last. */
  skip(token: number): void;
  close(): void;
}

/** All memory of a model, weights as f32 and caches: far above the demo model's, below what wasm can address. */
const MAX_FLOATS = 1 << 28;

interface Layer {
  readonly attentionNorm: number;
  readonly query: number;
  readonly key: number;
  readonly value: number;
  readonly attentionOutput: number;
  readonly feedNorm: number;
  readonly gate: number;
  readonly up: number;
  readonly down: number;
}

function fail(what: string): never {
  throw new LloomError("backend_malformed", `load model: ${what}`);
}

function readShape({ metadata, tensors }: Gguf): LlamaShape {
  const integer = (key: string, high: number) => integerOf(metadata, `llama.${key}`, 1, high);
  if (textOf(metadata, "general.architecture") !== "llama") fail("not of the llama architecture");
  const width = integer("embedding_length", 1 << 16);
  const heads = integer("attention.head_count", 1 << 10);
  const shape: LlamaShape = {
    width,
    heads,
    layers: integer("block_count", 1 << 10),
    kvHeads: integer("attention.head_count_kv", heads),
    headSize: width / heads,
    hidden: integer("feed_forward_length", 1 << 18),
    vocabulary: tensors.get("token_embd.weight")?.shape[1] ?? fail("token_embd.weight is missing"),
    contextLength: integer("context_length", 1 << 20),
    epsilon: numberOf(metadata, "llama.attention.layer_norm_rms_epsilon"),
    ropeBase: numberOf(metadata, "llama.rope.freq_base"),
  };
  if (shape.headSize % LANES !== 0 || shape.hidden % LANES !== 0 || heads % shape.kvHeads !== 0) {
    fail("its dimensions are not supported");
  }
  if (integer("rope.dimension_count", 1 << 16) !== shape.headSize) {
    fail("partial rotary positions are not supported");
  }
  return shape;
}

/** A loaded model. It computes for one sequence at a time, and keeps the caches of several. */
export class Llama {
  readonly shape: LlamaShape;
  readonly #kernel: Kernel;
  readonly #layers: readonly Layer[];
  readonly #embedding: number;
  readonly #outputNorm: number;
  readonly #output: number;
  /** Scratch vectors, by their place in memory. */
  readonly #scratch: Readonly<
    Record<
      "x" | "normed" | "q" | "k" | "v" | "mixed" | "part" | "gate" | "up" | "scores" | "logits",
      number
    >
  >;
  readonly #frequencies: Float64Array;
  /** Sine and cosine of this position's angles. */
  readonly #sines: Float64Array;
  readonly #cosines: Float64Array;
  /** Length of a row of the transposed value cache: the context, rounded up to whole steps of the kernel. */
  readonly #rowLength: number;
  readonly #slotFloats: number;
  /** Caches that no sequence uses; all zeros. */
  readonly #freeSlots: number[];

  /**
   * Loads the weights as f32.
   * @param maxSequences how many sequences may be open at once
   * @throws {LloomError} `backend_malformed` if the file holds no such model, or one that is too large
   */
  constructor(gguf: Gguf, maxSequences: number) {
    const shape = readShape(gguf);
    this.shape = shape;
    const { width, layers, kvHeads, headSize, hidden, vocabulary, contextLength } = shape;
    const kvWidth = kvHeads * headSize;
    this.#rowLength = Math.ceil(contextLength / LANES) * LANES;
    this.#slotFloats = layers * kvWidth * (contextLength + this.#rowLength);

    let end = 0;
    const reserve = (floats: number) => (end += floats) - floats;
    const pending: (() => void)[] = [];
    const load = (name: string, ...dimensions: number[]) => {
      const tensor = gguf.tensors.get(`${name}.weight`) ?? fail(`${name}.weight is missing`);
      if (tensor.shape.join() !== dimensions.join()) fail(`${name}.weight is of another shape`);
      const at = reserve(tensor.elements);
      pending.push(() => readTensor(gguf, tensor, memory.subarray(at, at + tensor.elements)));
      return at;
    };
    this.#embedding = load("token_embd", width, vocabulary);
    this.#layers = Array.from({ length: layers }, (_, i) => ({
      attentionNorm: load(`blk.${i}.attn_norm`, width),
      query: load(`blk.${i}.attn_q`, width, width),
      key: load(`blk.${i}.attn_k`, width, kvWidth),
      value: load(`blk.${i}.attn_v`, width, kvWidth),
      attentionOutput: load(`blk.${i}.attn_output`, width, width),
      feedNorm: load(`blk.${i}.ffn_norm`, width),
      gate: load(`blk.${i}.ffn_gate`, width, hidden),
      up: load(`blk.${i}.ffn_up`, width, hidden),
      down: load(`blk.${i}.ffn_down`, hidden, width),
    }));
    this.#outputNorm = load("output_norm", width);
    this.#output = gguf.tensors.has("output.weight")
      ? load("output", width, vocabulary)
      : this.#embedding;
    this.#scratch = {
      x: reserve(width),
      normed: reserve(width),
      q: reserve(width),
      k: reserve(kvWidth),
      v: reserve(kvWidth),
      mixed: reserve(width),
      part: reserve(width),
      gate: reserve(hidden),
      up: reserve(hidden),
      scores: reserve(this.#rowLength),
      logits: reserve(vocabulary),
    };
    const slots = reserve(this.#slotFloats * maxSequences);
    if (end > MAX_FLOATS) fail("it needs too much memory");
    this.#kernel = createKernel(end);
    const { memory } = this.#kernel;
    for (const read of pending) read();

    this.#freeSlots = Array.from({ length: maxSequences }, (_, i) => slots + i * this.#slotFloats);
    this.#frequencies = Float64Array.from(
      { length: headSize / 2 },
      (_, i) => shape.ropeBase ** (-2 * i / headSize),
    );
    this.#sines = new Float64Array(headSize / 2);
    this.#cosines = new Float64Array(headSize / 2);
  }

  /** Begins a sequence. @throws {LloomError} `overloaded` if as many as allowed are open */
  open(): LlamaSequence {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) throw new LloomError("overloaded", "open sequence: all are in use");
    let length = 0;
    let closed = false;
    const append = (token: number) => {
      if (closed) throw new TypeError("append token: the sequence is closed");
      if (length === this.shape.contextLength) {
        throw new RangeError("append token: context is full");
      }
      if (!(token >= 0 && token < this.shape.vocabulary)) {
        throw new RangeError(`append token: no token ${token}`);
      }
      this.#forward(slot, length++, token);
    };
    return {
      get length() {
        return length;
      },
      skip: append,
      push: (token) => {
        append(token);
        return this.#logits();
      },
      close: () => {
        if (closed) return;
        closed = true;
        // The next sequence relies on zeros, and nobody's prompt should linger.
        this.#kernel.memory.fill(0, slot, slot + this.#slotFloats);
        this.#freeSlots.push(slot);
      },
    };
  }

  /** Leaves in `x` what the layers make of a token. */
  #forward(slot: number, position: number, token: number): void {
    const { width, hidden, headSize } = this.shape;
    const { memory, matvec } = this.#kernel;
    const { x, normed, mixed, part, gate, up } = this.#scratch;
    const row = this.#embedding + token * width;
    memory.copyWithin(x, row, row + width);
    for (let i = 0; i < headSize / 2; i++) {
      this.#sines[i] = Math.sin(position * this.#frequencies[i]!);
      this.#cosines[i] = Math.cos(position * this.#frequencies[i]!);
    }
    let cache = slot;
    for (const layer of this.#layers) {
      this.#norm(layer.attentionNorm);
      this.#attend(layer, cache, position);
      matvec(part, layer.attentionOutput, mixed, width, width, width);
      for (let i = 0; i < width; i++) memory[x + i]! += memory[part + i]!;

      this.#norm(layer.feedNorm);
      matvec(gate, layer.gate, normed, hidden, width, width);
      matvec(up, layer.up, normed, hidden, width, width);
      for (let i = 0; i < hidden; i++) {
        const value = memory[gate + i]!;
        memory[gate + i] = value / (1 + Math.exp(-value)) * memory[up + i]!;
      }
      matvec(part, layer.down, gate, width, hidden, hidden);
      for (let i = 0; i < width; i++) memory[x + i]! += memory[part + i]!;
      cache += this.#slotFloats / this.#layers.length;
    }
  }

  #logits(): Float32Array {
    const { width, vocabulary } = this.shape;
    const { normed, logits } = this.#scratch;
    this.#norm(this.#outputNorm);
    this.#kernel.matvec(logits, this.#output, normed, vocabulary, width, width);
    return this.#kernel.memory.subarray(logits, logits + vocabulary);
  }

  /** RMSNorm of `x` into `normed`. */
  #norm(weight: number): void {
    const { memory } = this.#kernel;
    const { x, normed } = this.#scratch;
    const { width, epsilon } = this.shape;
    let squares = 0;
    for (let i = 0; i < width; i++) squares += memory[x + i]! * memory[x + i]!;
    const scale = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) {
      memory[normed + i] = memory[x + i]! * scale * memory[weight + i]!;
    }
  }

  /**
   * Attention of one layer, from `normed` into `mixed`. A layer's cache holds, for each key and value
   * head, the keys by position and then the values by component, so that both sums over the past
   * are products with rows.
   */
  #attend(layer: Layer, cache: number, position: number): void {
    const { memory, matvec } = this.#kernel;
    const { normed, q, k, v, mixed, scores } = this.#scratch;
    const { width, heads, kvHeads, headSize, contextLength } = this.shape;
    const rowLength = this.#rowLength;
    const headFloats = headSize * (contextLength + rowLength);
    matvec(q, layer.query, normed, width, width, width);
    matvec(k, layer.key, normed, kvHeads * headSize, width, width);
    matvec(v, layer.value, normed, kvHeads * headSize, width, width);
    this.#rotate(q, heads);
    this.#rotate(k, kvHeads);
    for (let head = 0; head < kvHeads; head++) {
      const keys = cache + head * headFloats;
      const values = keys + headSize * contextLength;
      const from = head * headSize;
      memory.copyWithin(keys + position * headSize, k + from, k + from + headSize);
      for (let i = 0; i < headSize; i++) {
        memory[values + i * rowLength + position] = memory[v + from + i]!;
      }
    }
    const count = position + 1;
    const padded = Math.ceil(count / LANES) * LANES;
    for (let head = 0; head < heads; head++) {
      const keys = cache + Math.floor(head * kvHeads / heads) * headFloats;
      const values = keys + headSize * contextLength;
      matvec(scores, keys, q + head * headSize, count, headSize, headSize);
      softmax(memory, scores, count, 1 / Math.sqrt(headSize));
      memory.fill(0, scores + count, scores + padded);
      matvec(mixed + head * headSize, values, scores, headSize, padded, rowLength);
    }
  }

  /** Turns neighbouring pairs of each head by this position's angles. */
  #rotate(at: number, heads: number): void {
    const { memory } = this.#kernel;
    const pairs = this.shape.headSize / 2;
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < pairs; i++, at += 2) {
        const [even, odd] = [memory[at]!, memory[at + 1]!];
        memory[at] = even * this.#cosines[i]! - odd * this.#sines[i]!;
        memory[at + 1] = even * this.#sines[i]! + odd * this.#cosines[i]!;
      }
    }
  }
}

/** Softmax of `scale` times the values, in place. */
function softmax(memory: Float32Array, at: number, count: number, scale: number): void {
  let most = -Infinity;
  for (let i = at; i < at + count; i++) most = Math.max(most, memory[i]!);
  let sum = 0;
  for (let i = at; i < at + count; i++) sum += memory[i] = Math.exp((memory[i]! - most) * scale);
  for (let i = at; i < at + count; i++) memory[i]! /= sum;
}
