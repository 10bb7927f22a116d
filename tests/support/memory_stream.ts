/** Two ends of a {@linkcode MessageStream} in memory, for tests of what speaks over one. @module */
import { LloomError } from "@lloom/core/errors";
import type { MessageStream } from "@lloom/core/ports";

/** What a test can see and do at one end. */
export interface MemoryStream extends MessageStream {
  /** Messages sent from this end that the other has not read. */
  readonly unread: number;
}

class End implements MemoryStream {
  other!: End;
  readonly #inbox: Uint8Array[] = [];
  readonly #highWater: number;
  #ended = false;
  #error: LloomError | undefined;
  #wake: (() => void) | undefined;
  #drain = Promise.withResolvers<void>();

  constructor(highWater: number) {
    this.#highWater = highWater;
  }

  get unread(): number {
    return this.other.#inbox.length;
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#error) throw this.#error;
      const message = this.#inbox.shift();
      if (message !== undefined) {
        if (this.#inbox.length < this.#highWater) this.other.#drained();
        return message;
      }
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  send(message: Uint8Array): boolean {
    if (this.#error) throw this.#error;
    this.other.#inbox.push(message.slice());
    this.other.#wake?.();
    return this.unread < this.#highWater;
  }

  drained(): Promise<void> {
    if (this.#error) return Promise.reject(this.#error);
    if (this.unread < this.#highWater) return Promise.resolve();
    return this.#drain.promise;
  }

  close(): Promise<void> {
    this.other.#ended = true;
    this.other.#wake?.();
    return Promise.resolve();
  }

  abort(): void {
    const error = new LloomError("stream_broken", "memory stream: aborted");
    for (const end of [this, this.other]) {
      end.#error ??= error;
      end.#wake?.();
      end.#drain.promise.catch(() => undefined);
      end.#drain.reject(error);
    }
  }

  #drained(): void {
    this.#drain.resolve();
    this.#drain = Promise.withResolvers<void>();
  }
}

/**
 * A connected pair.
 * @param highWater messages that may wait unread before `send` returns false
 */
export function memoryStreams(highWater = 16): [MemoryStream, MemoryStream] {
  const ends = [new End(highWater), new End(highWater)] as const;
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return [ends[0], ends[1]];
}
