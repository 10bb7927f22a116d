/** Lines of an answer between the network and their one reader, bounded. @module */

/** Lines that may wait for their reader before the network is read no further. */
const HIGH_WATER_BYTES = 256 << 10;
/** What an item costs besides its bytes. */
const ITEM_BYTES = 256;

/** A queue of byte arrays with one reader. */
export class AnswerQueue implements AsyncIterable<Uint8Array> {
  readonly #onLeave: () => void;
  #items: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #lifted = false;
  #error: Error | undefined;
  #waiting: (() => void) | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  /** @param onLeave called when the reader leaves before the end */
  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  /** Resolves while less than the high-water mark is waiting. */
  get room(): Promise<void> | undefined {
    if (this.#lifted || this.#bytes < HIGH_WATER_BYTES) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  push(item: Uint8Array): void {
    this.#items.push(item);
    this.#bytes += item.length + ITEM_BYTES;
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.lift();
    this.#wake();
  }

  /** The reader gets what is waiting, then the error. */
  fail(error: Error): void {
    this.#error = error;
    this.end();
  }

  /** Lifts the bound: the little that still comes must be read, whether or not the reader does. */
  lift(): void {
    this.#lifted = true;
    this.#room?.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const items = this.#items;
        this.#items = [];
        for (const item of items) {
          this.#taken(item.length + ITEM_BYTES);
          yield item;
        }
        if (this.#items.length > 0) continue;
        if (this.#error !== undefined) throw this.#error;
        if (this.#ended) return;
        await new Promise<void>((resolve) => this.#waiting = resolve);
      }
    } finally {
      if (!this.#ended) this.#onLeave();
    }
  }

  #taken(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes < HIGH_WATER_BYTES) {
      this.#room?.resolve();
      this.#room = undefined;
    }
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}
