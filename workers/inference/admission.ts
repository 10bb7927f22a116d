/** How many requests a backend takes on, and what the others are told. @module */
import { LloomError } from "@lloom/core/errors";

/** Bounds of what is taken on. */
export interface AdmissionOptions {
  readonly maxConcurrent: number;
  readonly requestsPerMinute?: number;
}

/** What an answer is taken to last while none has ended yet. */
const FIRST_GUESS_MS = 2000;
/** Weight of the latest answer in the mean. */
const WEIGHT = 0.2;
/** Bounds of what a refused caller is told to wait. */
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 60_000;

/** Decides on requests as they come, and learns from answers how long the queue takes. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #now: () => number;
  #meanMs = FIRST_GUESS_MS;
  /** Requests that may still come in this moment: a bucket that fills with time. */
  #tokens: number;
  #filledAt: number;

  /** @param now milliseconds that only grow */
  constructor(options: AdmissionOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
    this.#tokens = options.requestsPerMinute ?? 0;
    this.#filledAt = now();
  }

  /**
   * Takes one more request, or says why not.
   * @param hasRoom to be worked on, or to wait
   * @param queued how many wait
   * @throws {LloomError} `overloaded`, `rate_limited`
   */
  admit(hasRoom: boolean, queued: number): void {
    if (!hasRoom) throw this.overloaded(queued);
    this.#takeToken();
  }

  /** What a request is told that finds no room, or must make room for another. */
  overloaded(queued: number): LloomError {
    const rounds = Math.ceil((queued + 1) / this.#options.maxConcurrent);
    return new LloomError("overloaded", `admit request: ${queued} waiting`, {
      retryAfterMs: bounded(rounds * this.#meanMs),
    });
  }

  /** Learns from an answer that has ended. */
  ended(durationMs: number): void {
    this.#meanMs += WEIGHT * (durationMs - this.#meanMs);
  }

  #takeToken(): void {
    const { requestsPerMinute } = this.#options;
    if (requestsPerMinute === undefined) return;
    const now = this.#now();
    const perMs = requestsPerMinute / 60_000;
    this.#tokens = Math.min(requestsPerMinute, this.#tokens + (now - this.#filledAt) * perMs);
    this.#filledAt = now;
    if (this.#tokens < 1) {
      throw new LloomError("rate_limited", `admit request: above ${requestsPerMinute} a minute`, {
        retryAfterMs: bounded((1 - this.#tokens) / perMs),
      });
    }
    this.#tokens--;
  }
}

function bounded(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms), MIN_RETRY_MS), MAX_RETRY_MS);
}
