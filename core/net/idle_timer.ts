/** Ends streams that nobody asks anything on. @module */
import { LloomError } from "../errors.ts";
import type { Clock, MessageStream } from "../ports.ts";
import { IDLE_STREAM_MS } from "../protocol/limits.ts";

/** Closes a stream on which no request came for a while. */
export class IdleTimer {
  readonly #clock: Clock;
  readonly #stream: MessageStream;
  #disarm: (() => void) | undefined;
  #closed = false;

  /** A timer that does not run yet. */
  constructor(clock: Clock, stream: MessageStream) {
    this.#clock = clock;
    this.#stream = stream;
  }

  /** Closes the stream after {@linkcode IDLE_STREAM_MS}, unless stopped before. Does nothing if it runs already. */
  start(): void {
    if (this.#closed || this.#disarm !== undefined) return;
    this.#disarm = this.#clock.setTimer(
      IDLE_STREAM_MS,
      () => this.#stream.abort(new LloomError("timeout", "serve stream: idle")),
    );
  }

  /** Stops, for a request has come. */
  stop(): void {
    this.#disarm?.();
    this.#disarm = undefined;
  }

  /** Stops for good: the stream is over. */
  close(): void {
    this.#closed = true;
    this.stop();
  }
}
