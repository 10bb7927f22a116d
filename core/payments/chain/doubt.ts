/** What endpoints say against what we know, until it is believed. @module */

/** Looks that must agree before what contradicts our own records is believed. */
export const LOOKS_TO_BELIEVE = 5;
/** And for how long: what is given up for a while's confusion of an endpoint could be paid twice. */
const BELIEVE_AFTER_MS = 300_000;

/** A contradiction. */
export interface Doubt {
  /** Looks in a row that showed it. */
  readonly looks: number;
  /** When they began, in Unix milliseconds. */
  readonly sinceMs: number;
}

/** No contradiction. */
export const NO_DOUBT: Doubt = { looks: 0, sinceMs: 0 };

/** A contradiction after one look more. */
export function doubted({ looks, sinceMs }: Doubt, nowMs: number): Doubt {
  return { looks: looks + 1, sinceMs: looks === 0 ? nowMs : sinceMs };
}

/** Whether a contradiction was shown often and long enough. */
export function isBelieved({ looks, sinceMs }: Doubt, nowMs: number): boolean {
  return looks >= LOOKS_TO_BELIEVE && nowMs - sinceMs >= BELIEVE_AFTER_MS;
}
