/** Tells a peer that sends more than it should from one that does not. @module */

/** What may be sent at once, and what becomes free again in a second. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Limits of a {@linkcode FloodGuard}. */
export interface FloodGuardOptions {
  readonly messages: Rate;
  readonly bytes: Rate;
  /** Peers that are counted; beyond it, who was heard longest ago begins anew. */
  readonly maxPeers: number;
}

/**
 * Whether one more is within the limits, above them, or, after a whole burst above them, far above:
 * an honest peer that hands on what many others send at once may come above them, but not stay there.
 */
export type Flow = "within" | "above" | "far_above";

interface Count {
  messages: number;
  bytes: number;
  atMs: number;
}

/** Counts what each peer sends, as two token buckets that may be overdrawn by their size. */
export class FloodGuard {
  readonly #options: FloodGuardOptions;
  readonly #now: () => number;
  /** What each peer may still send; the peer heard longest ago first. */
  readonly #left = new Map<string, Count>();

  /** @param now milliseconds of any clock */
  constructor(options: FloodGuardOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  /** Counts one message. */
  count(peer: string, bytes: number): Flow {
    const options = this.#options;
    const left = this.#left;
    const atMs = this.#now();
    const last = left.get(peer);
    const seconds = last === undefined ? Infinity : Math.max(0, atMs - last.atMs) / 1000;
    const count = {
      messages: draw(last?.messages ?? 0, seconds, 1, options.messages),
      bytes: draw(last?.bytes ?? 0, seconds, bytes, options.bytes),
      atMs,
    };
    left.delete(peer);
    left.set(peer, count);
    if (left.size > options.maxPeers) left.delete(left.keys().next().value!);
    if (count.messages >= 0 && count.bytes >= 0) return "within";
    const overdrawn = count.messages <= -options.messages.burst ||
      count.bytes <= -options.bytes.burst;
    return overdrawn ? "far_above" : "above";
  }
}

function draw(left: number, seconds: number, amount: number, { burst, perSecond }: Rate): number {
  return Math.max(-burst, Math.min(burst, left + seconds * perSecond) - amount);
}
