/**
 * From a model's choices to the bytes that are delivered, hashed, and signed for.
 * @module
 */
import type { Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import {
  MAX_DELTA_BYTES,
  MAX_RESPONSE_BYTES,
  MAX_RESPONSE_FRAME_BYTES,
  MAX_TRAILER_BYTES,
} from "@lloom/core/protocol";
import type { IHasher } from "hash-wasm";
import { setImmediate } from "node:timers";

/** Longest line. Leaves room in its frame for the frame's own fields. */
export const MAX_LINE_BYTES = MAX_RESPONSE_FRAME_BYTES - 4096;

/**
 * Turns `choices` into lines and joins those that are ready in the same tick. Nothing is delayed:
 * a batch leaves as soon as the event loop turns, or when it is full.
 */
export class AnswerLines {
  readonly #encoder = new TextEncoder();
  readonly #keccak: IHasher;
  readonly #deliver: (lines: Uint8Array<ArrayBuffer>) => void;
  #buffer = new Uint8Array(0);
  #used = 0;
  #total = 0;
  #scheduled = false;

  /**
   * @param keccak a keccak-256 at its start
   * @param deliver receives each batch; it may transfer it
   */
  constructor(keccak: IHasher, deliver: (lines: Uint8Array<ArrayBuffer>) => void) {
    this.#keccak = keccak;
    this.#deliver = deliver;
  }

  /** Whether there was any line at all. */
  get empty(): boolean {
    return this.#total === 0;
  }

  /** Adds one line. @throws {LloomError} `backend_malformed` if it, or the answer, is too long */
  add(choices: readonly unknown[]): void {
    const line = `{"choices":${JSON.stringify(choices)}}\n`;
    if (this.#buffer.length === 0) this.#buffer = new Uint8Array(MAX_DELTA_BYTES);
    let { read, written } = this.#encoder.encodeInto(line, this.#buffer.subarray(this.#used));
    if (read < line.length && this.#used > 0) {
      this.flush();
      ({ read, written } = this.#encoder.encodeInto(line, this.#buffer));
    }
    if (read < line.length) return this.#addLong(this.#encoder.encode(line));
    this.#grow(written);
    this.#used += written;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Sends what has not been sent. */
  flush(): void {
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

  #addLong(line: Uint8Array<ArrayBuffer>): void {
    if (line.length > MAX_LINE_BYTES) {
      throw new LloomError(
        "backend_malformed",
        `read answer: a line above ${MAX_LINE_BYTES} bytes`,
      );
    }
    this.#grow(line.length);
    this.#send(line);
  }

  #grow(bytes: number): void {
    if (this.#total + bytes > MAX_RESPONSE_BYTES - MAX_TRAILER_BYTES) {
      throw new LloomError("backend_malformed", `read answer: above ${MAX_RESPONSE_BYTES} bytes`);
    }
    this.#total += bytes;
  }

  #send(batch: Uint8Array<ArrayBuffer>): void {
    // Hashed first: whoever receives the batch may transfer it.
    this.#keccak.update(batch);
    this.#deliver(batch);
  }
}
