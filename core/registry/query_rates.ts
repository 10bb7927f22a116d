/** How often each peer may ask. @module */
import { LloomError } from "../errors.ts";
import type { Clock } from "../ports.ts";

/** A rate, and how much of it may come at once. */
export interface Rate {
  /** What queries may cost at once, after a time of none. */
  readonly burst: number;
  /** What they may cost each second, in the long run. */
  readonly perSecond: number;
}

/** Peers above which those that have asked little are forgotten. */
const MANY_PEERS = 1024;

/** A bucket for each peer that has asked lately; it fills with time. */
export class QueryRates {
  readonly #rate: Rate;
  readonly #clock: Pick<Clock, "now">;
  /** When each peer's bucket is full again, in unix milliseconds. */
  readonly #fullAt = new Map<string, number>();

  /** Every bucket is full at first. */
  constructor(rate: Rate, { clock }: { readonly clock: Pick<Clock, "now"> }) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Peers that are remembered. */
  get size(): number {
    return this.#fullAt.size;
  }

  /**
   * Counts what a query costs.
   * @param action names it in the error
   * @throws {LloomError} `rate_limited` if the peer's bucket holds less
   */
  take(peer: string, cost: number, action = "answer query"): void {
    const { burst, perSecond } = this.#rate;
    const now = this.#clock.now();
    const eachMs = 1000 / perSecond;
    const fullAt = Math.max(now, this.#fullAt.get(peer) ?? now) + cost * eachMs;
    const waitMs = fullAt - now - burst * eachMs;
    if (waitMs > 0) {
      throw new LloomError("rate_limited", `${action}: asked too often`, {
        retryAfterMs: Math.ceil(waitMs),
      });
    }
    this.#fullAt.set(peer, fullAt);
    if (this.#fullAt.size > MANY_PEERS) this.#forgetFull(now);
  }

  /** A full bucket says no more than none. */
  #forgetFull(now: number): void {
    for (const [peer, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(peer);
  }
}
