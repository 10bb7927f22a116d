/**
 * Byte-level byte-pair encoding as GPT-2 introduced it, from a GGUF file's metadata.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import { type GgufValue, textOf, textsOf } from "./gguf.ts";

/** GPT-2's pre-tokenizer: merges never cross these pieces. */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Types of token in `tokenizer.ggml.token_type`. */
const NORMAL = 1;
const CONTROL = 3;

/** The character that stands for each byte in a vocabulary: itself if it is visible, else one from U+0100 on. */
const BYTE_CHARS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
    return String.fromCharCode(visible ? byte : next++);
  });
})();
const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, i) => [char, i]));

function fail(what: string): never {
  throw new LloomError("backend_malformed", `read tokenizer: ${what}`);
}

function tokenBytes(token: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    token,
    (char) => CHAR_BYTES.get(char) ?? fail("a token is not byte-level"),
  );
}

/** Turns text to token ids and back. */
export class Tokenizer {
  /** Number of tokens. */
  readonly size: number;
  /** Text of each token; empty for control tokens. */
  readonly #bytes: readonly Uint8Array<ArrayBuffer>[];
  readonly #controls: ReadonlyMap<string, number>;
  readonly #controlIds: ReadonlySet<number>;
  readonly #byteIds: readonly number[];
  /** Rank of a pair of tokens, by `left * size + right`. */
  readonly #ranks: ReadonlyMap<number, number>;
  /** By rank: the pair and what it becomes. */
  readonly #merges: readonly {
    readonly left: number;
    readonly right: number;
    readonly id: number;
  }[];
  readonly #longest: number;
  readonly #utf8 = new TextEncoder();

  /** Reads the vocabulary. @throws {LloomError} `backend_malformed` for another kind of tokenizer, or a broken one */
  constructor(metadata: ReadonlyMap<string, GgufValue>) {
    const model = textOf(metadata, "tokenizer.ggml.model");
    const pre = textOf(metadata, "tokenizer.ggml.pre");
    if (model !== "gpt2" || pre !== "gpt-2") fail("only GPT-2's is supported");
    if (metadata.get("tokenizer.ggml.add_bos_token") === true) fail("a BOS token is not supported");
    const tokens = textsOf(metadata, "tokenizer.ggml.tokens");
    const types = metadata.get("tokenizer.ggml.token_type");
    if (!Array.isArray(types) || types.length !== tokens.length) fail("tokens have no types");

    const ids = new Map<string, number>();
    const controls = new Map<string, number>();
    this.#bytes = tokens.map((token, id) => {
      if (ids.has(token) || controls.has(token)) fail("a token occurs twice");
      if (types[id] !== NORMAL && types[id] !== CONTROL) fail("a token's type is not supported");
      (types[id] === NORMAL ? ids : controls).set(token, id);
      return types[id] === NORMAL ? tokenBytes(token) : new Uint8Array();
    });
    this.size = tokens.length;
    this.#controls = controls;
    this.#controlIds = new Set(controls.values());
    this.#byteIds = BYTE_CHARS.map((char) => ids.get(char) ?? fail("a byte has no token"));
    this.#longest = this.#bytes.reduce((most, { length }) => Math.max(most, length), 1);

    const ranks = new Map<number, number>();
    this.#merges = textsOf(metadata, "tokenizer.ggml.merges").map((merge, rank) => {
      const idOf = (token: string) => ids.get(token) ?? fail("a merge names an unknown token");
      // No token holds a space: bytes have other characters. So a merge has just the one.
      const space = merge.indexOf(" ");
      if (space < 0) fail("a merge is no pair");
      const [left, right] = [idOf(merge.slice(0, space)), idOf(merge.slice(space + 1))];
      const id = idOf(merge.replace(" ", ""));
      ranks.set(left * this.size + right, rank);
      return { left, right, id };
    });
    if (ranks.size !== this.#merges.length) fail("a merge occurs twice");
    this.#ranks = ranks;
  }

  /** The id of a control token, such as `<|im_end|>`. @throws {LloomError} `backend_malformed` if absent */
  control(token: string): number {
    return this.#controls.get(token) ?? fail("a control token is missing");
  }

  /** Whether a token is a mark rather than text. */
  isControl(id: number): boolean {
    return this.#controlIds.has(id);
  }

  /**
   * A text's tokens. What looks like a control token in it is text like any other.
   * @param limit most tokens the caller can use
   * @throws {LloomError} `context_length_exceeded` as soon as it is clear that there are more
   */
  encode(text: string, limit = Infinity): number[] {
    const out: number[] = [];
    for (const [piece] of text.matchAll(PIECES)) {
      const bytes = this.#utf8.encode(piece);
      // Checked before the merging, whose time grows faster than the piece.
      const least = Math.ceil(bytes.length / this.#longest);
      const ids = out.length + least > limit ? undefined : this.#merge(bytes);
      if (ids === undefined || out.length + ids.length > limit) {
        throw new LloomError("context_length_exceeded", `encode text: more than ${limit} tokens`);
      }
      for (const id of ids) out.push(id);
    }
    return out;
  }

  /** Applies the merge of lowest rank, everywhere in the piece, until none applies. */
  #merge(bytes: Uint8Array): number[] {
    let ids = Array.from(bytes, (byte) => this.#byteIds[byte]!);
    while (true) {
      let best = Infinity;
      for (let i = 1; i < ids.length; i++) {
        const rank = this.#ranks.get(ids[i - 1]! * this.size + ids[i]!);
        if (rank !== undefined && rank < best) best = rank;
      }
      const merge = this.#merges[best];
      if (merge === undefined) return ids;
      const merged: number[] = [];
      for (let i = 0; i < ids.length; i++) {
        const isPair = ids[i] === merge.left && ids[i + 1] === merge.right;
        merged.push(isPair ? merge.id : ids[i]!);
        if (isPair) i++;
      }
      ids = merged;
    }
  }

  /** The text of some tokens; broken UTF-8 becomes U+FFFD, control tokens become nothing. */
  decode(ids: Iterable<number>): string {
    const decoder = this.decoder();
    let text = "";
    for (const id of ids) text += decoder.push(id);
    return text + decoder.end();
  }

  /** Decodes tokens one by one. */
  decoder(): TokenDecoder {
    return new TokenDecoder(this.#bytes);
  }
}

/** Decodes one answer, token by token: a character is given out once all its bytes are there. */
export class TokenDecoder {
  readonly #bytes: readonly Uint8Array<ArrayBuffer>[];
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Begins an answer. @param bytes the text of each token */
  constructor(bytes: readonly Uint8Array<ArrayBuffer>[]) {
    this.#bytes = bytes;
  }

  /** The characters that this token completes. */
  push(id: number): string {
    const bytes = this.#bytes[id];
    if (bytes === undefined) throw new RangeError(`decode token: no token ${id}`);
    return this.#utf8.decode(bytes, { stream: true });
  }

  /** What is left at the end: U+FFFD for a character whose bytes never came. */
  end(): string {
    return this.#utf8.decode();
  }
}
