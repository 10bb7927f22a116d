/**
 * From the parts of a model's answer to the bytes that are delivered, hashed, and signed for.
 * @module
 */
import type { Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import {
  choiceTextBytes,
  MAX_DELTA_BYTES,
  MAX_RESPONSE_BYTES,
  MAX_RESPONSE_FRAME_BYTES,
  MAX_TRAILER_BYTES,
} from "@lloom/core/protocol";
import type { IHasher } from "hash-wasm";
import { clearImmediate, setImmediate } from "node:timers";
import type { AnswerPart } from "./backends/backend.ts";
import type { Pace } from "./pace.ts";

/** Longest line. Leaves room in its frame for the frame's own fields. */
const MAX_LINE_BYTES = MAX_RESPONSE_FRAME_BYTES - 4096;

/** Of English text; a model's own tokenizer counts what is charged in the end. */
const BYTES_PER_TOKEN = 4;
/** Room for a few lines; it grows with what comes at once. */
const FIRST_BUFFER_BYTES = 2048;

/**
 * Turns parts of an answer into lines and joins those that come close together. A batch leaves as soon as the
 * event loop turns, but not sooner after the one before than the {@linkcode Pace} allows, unless it is
 * full: where few answers are under way no line of a model below 125 tokens a second waits, and a
 * faster one's are joined, for a batch costs both ends of the network more than its lines do.
 */
export class AnswerLines {
  readonly #encoder = new TextEncoder();
  readonly #keccak: IHasher;
  readonly #pace: Pace;
  readonly #deliver: (lines: Uint8Array<ArrayBuffer>, tokens: number) => void;
  #buffer = new Uint8Array(0);
  #used = 0;
  /** What the lines in the buffer say. */
  readonly #text = new TextCount();
  #total = 0;
  #textBytes = 0;
  #unschedule: (() => void) | undefined;
  /** On the clock of `performance.now()`. */
  #flushedAt = -Infinity;

  /**
   * @param keccak a keccak-256 at its start
   * @param pace that of all answers in this worker
   * @param deliver receives each batch, and about how many tokens it holds; it may transfer it
   */
  constructor(
    keccak: IHasher,
    pace: Pace,
    deliver: (lines: Uint8Array<ArrayBuffer>, tokens: number) => void,
  ) {
    this.#keccak = keccak;
    this.#pace = pace;
    this.#deliver = deliver;
  }

  /** Whether there was any line at all. */
  get empty(): boolean {
    return this.#total === 0;
  }

  /** Bytes of text in all lines: no answer has more tokens that can be seen. */
  get textBytes(): number {
    return this.#textBytes;
  }

  /** Adds one line. @throws {LloomError} `backend_malformed` if it, or the answer, is too long */
  add(part: AnswerPart): void {
    const line = `${JSON.stringify(part)}\n`;
    let written = this.#write(line);
    if (written === undefined && this.#used > 0) {
      this.flush();
      written = this.#write(line);
    }
    if (written === undefined) return this.#addLong(this.#encoder.encode(line), part);
    this.#grow(written);
    this.#used += written;
    this.#count(part);
    this.#schedule();
  }

  /** Sends what has not been sent. */
  flush(): void {
    this.#unschedule?.();
    this.#unschedule = undefined;
    if (this.#used === 0) return;
    const batch = this.#buffer.slice(0, this.#used);
    this.#used = 0;
    this.#send(batch);
  }

  /** Sends all lines, then ends the answer. Returns the hash over everything. */
  end(trailer: Uint8Array): Hash {
    this.flush();
    return `0x${this.#keccak.update(trailer).digest("hex")}`;
  }

  #schedule(): void {
    if (this.#unschedule !== undefined) return;
    const flush = (): void => this.flush();
    const waitMs = this.#pace.waitMs(performance.now(), this.#flushedAt);
    if (waitMs <= 0) {
      const immediate = setImmediate(flush);
      this.#unschedule = () => clearImmediate(immediate);
    } else {
      const timer = setTimeout(flush, waitMs);
      this.#unschedule = () => clearTimeout(timer);
    }
  }

  /** Bytes of a line, put behind those that wait; undefined if it is too long for the buffer. */
  #write(line: string): number | undefined {
    for (;;) {
      const { read, written } = this.#encoder.encodeInto(line, this.#buffer.subarray(this.#used));
      if (read === line.length) return written;
      const { length } = this.#buffer;
      if (length === MAX_DELTA_BYTES) return undefined;
      const larger = new Uint8Array(
        Math.min(MAX_DELTA_BYTES, Math.max(FIRST_BUFFER_BYTES, 4 * length)),
      );
      larger.set(this.#buffer.subarray(0, this.#used));
      this.#buffer = larger;
    }
  }

  #addLong(line: Uint8Array<ArrayBuffer>, part: AnswerPart): void {
    if (line.length > MAX_LINE_BYTES) {
      throw new LloomError(
        "backend_malformed",
        `read answer: a line above ${MAX_LINE_BYTES} bytes`,
      );
    }
    this.#grow(line.length);
    this.#count(part);
    this.#send(line);
  }

  #count(part: AnswerPart): void {
    if (!("choices" in part)) return;
    for (const choice of part.choices) {
      const bytes = choiceTextBytes(choice);
      this.#textBytes += bytes;
      this.#text.add(bytes);
    }
  }

  #grow(bytes: number): void {
    if (this.#total + bytes > MAX_RESPONSE_BYTES - MAX_TRAILER_BYTES) {
      throw new LloomError("backend_malformed", `read answer: above ${MAX_RESPONSE_BYTES} bytes`);
    }
    this.#total += bytes;
  }

  #send(batch: Uint8Array<ArrayBuffer>): void {
    this.#flushedAt = performance.now();
    // Hashed first: whoever receives the batch may transfer it.
    this.#keccak.update(batch);
    this.#deliver(batch, this.#text.take());
  }
}

/**
 * About how many tokens a text has: as many as the pieces that a server sent it in, or a fourth of its
 * bytes where servers join tokens. Never more than its bytes.
 */
class TextCount {
  #pieces = 0;
  #bytes = 0;

  add(bytes: number): void {
    if (bytes === 0) return;
    this.#pieces++;
    this.#bytes += bytes;
  }

  /** The tokens since the last call. */
  take(): number {
    const tokens = Math.max(this.#pieces, Math.ceil(this.#bytes / BYTES_PER_TOKEN));
    this.#pieces = this.#bytes = 0;
    return tokens;
  }
}
