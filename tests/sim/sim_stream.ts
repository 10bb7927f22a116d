/** Streams between two processes, over a network that is slow, and breaks. @module */
import { LloomError } from "@lloom/core/errors";
import type { MessageStream } from "@lloom/core/ports";
import { DELAYS, type Life, type Scheduler } from "./scheduler.ts";

/** Sees what passes a stream, each message once. */
export interface StreamObserver {
  /** One end sent it. */
  sent(message: Uint8Array): void;
  /** The other end reads it. */
  read(message: Uint8Array): void;
}

/** Messages that may be on their way, or unread, before a sender is told to wait. */
const HIGH_WATER = 8;

class End implements MessageStream {
  other!: End;
  readonly #scheduler: Scheduler;
  readonly #observer: StreamObserver | undefined;
  readonly life: Life;
  readonly #inbox: Uint8Array[] = [];
  #onWay = 0;
  #arrivesMs = 0;
  #ended = false;
  #error: LloomError | undefined;
  #wake: (() => void) | undefined;
  #drain: PromiseWithResolvers<void> | undefined;

  constructor(scheduler: Scheduler, life: Life, observer: StreamObserver | undefined) {
    this.#scheduler = scheduler;
    this.life = life;
    this.#observer = observer;
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#error) throw this.#error;
      const message = this.#inbox.shift();
      if (message !== undefined) {
        this.other.#drained();
        this.other.#observer?.read(message);
        return message;
      }
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  send(message: Uint8Array): boolean {
    if (this.#error) throw this.#error;
    const bytes = message.slice();
    this.#observer?.sent(bytes);
    this.#onWay++;
    this.#carry("message", () => {
      this.#onWay--;
      this.other.#inbox.push(bytes);
      this.other.#wake?.();
    });
    return this.#isFree;
  }

  async drained(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#error) throw this.#error;
    if (this.#isFree) return;
    this.#drain ??= Promise.withResolvers<void>();
    await this.#drain.promise;
  }

  close(): Promise<void> {
    if (this.#error) return Promise.reject(this.#error);
    this.#carry("end", () => {
      this.other.#ended = true;
      this.other.#wake?.();
    });
    return Promise.resolve();
  }

  abort(): void {
    this.break();
    this.#carry("reset", () => this.other.break());
  }

  /** Lets this end find the stream broken. What it has not read is lost. */
  break(): void {
    if (this.#error) return;
    this.#error = new LloomError("stream_broken", "use stream: it broke");
    this.#wake?.();
    this.#drain?.promise.catch(() => undefined);
    this.#drain?.reject(this.#error);
  }

  get #isFree(): boolean {
    return this.#onWay + this.other.#inbox.length < HIGH_WATER;
  }

  /** Has something happen at the other end, after all that was sent before. */
  #carry(label: string, arrive: () => void): void {
    const { nowMs } = this.#scheduler;
    this.#arrivesMs = Math.max(this.#arrivesMs, nowMs + this.#scheduler.draw(DELAYS.network));
    this.#scheduler.after(this.#arrivesMs - nowMs, this.other.life, label, arrive);
  }

  #drained(): void {
    if (!this.#isFree) return;
    this.#drain?.resolve();
    this.#drain = undefined;
  }
}

/** A stream, as the world sees it. */
export interface Link {
  readonly ends: readonly [MessageStream, MessageStream];
  readonly lives: readonly [Life, Life];
  /** Breaks it at both ends, each in its own time. */
  cut(): void;
}

/** A connected pair. @param observer sees the messages that the far end sends */
export function connect(
  scheduler: Scheduler,
  lives: readonly [Life, Life],
  observer: StreamObserver,
): Link {
  const near = new End(scheduler, lives[0], undefined);
  const far = new End(scheduler, lives[1], observer);
  near.other = far;
  far.other = near;
  return {
    ends: [near, far],
    lives,
    cut(): void {
      for (const end of [near, far]) {
        scheduler.after(scheduler.draw(DELAYS.network), end.life, "cut", () => end.break());
      }
    },
  };
}
