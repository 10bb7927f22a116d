/** How often answers send what they have. @module */

/** Least time between two batches of one answer: half of what a screen takes to show one. */
export const PACE_MS = 8;
/**
 * Batches that all answers together send in a second: each costs both ends of the network some tens
 * of microseconds, whatever is in it.
 */
const BATCHES_PER_S = 2500;

/**
 * The pace of all answers in one worker. Up to twenty of them send every {@linkcode PACE_MS}; more than
 * that leave longer between their batches, and send together.
 */
export class Pace {
  #answers = 0;

  /** An answer begins. */
  begin(): void {
    this.#answers++;
  }

  /** An answer is over. */
  end(): void {
    this.#answers--;
  }

  /**
   * How long a batch waits.
   * @param nowMs on the clock of `performance.now()`
   * @param lastMs when the answer's last batch left, on the same clock
   * @returns milliseconds; zero or less if it need not
   */
  waitMs(nowMs: number, lastMs: number): number {
    const betweenMs = this.#answers * 1000 / BATCHES_PER_S;
    if (betweenMs <= PACE_MS) return lastMs + PACE_MS - nowMs;
    const dueMs = lastMs + betweenMs;
    // At common times, so that what is due at about the same time makes one message.
    return dueMs <= nowMs ? 0 : Math.ceil(dueMs / PACE_MS) * PACE_MS - nowMs;
  }
}
