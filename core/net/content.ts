/** The bytes of an answer, kept for its receipt. @module */

/** Most answers fit one; larger ones waste less than one. */
const BLOCK_BYTES = 16 << 10;

/** Delivered bytes in blocks: an answer of many small lines must not cost many small buffers. */
export class Content {
  readonly #full: Uint8Array[] = [];
  #block = new Uint8Array(BLOCK_BYTES);
  #used = 0;

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + this.#block.length - this.#used);
      this.#block.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used < this.#block.length) continue;
      this.#full.push(this.#block);
      this.#block = new Uint8Array(BLOCK_BYTES);
      this.#used = 0;
    }
  }

  get blocks(): readonly Uint8Array[] {
    return [...this.#full, this.#block.subarray(0, this.#used)];
  }
}
