/** When executors that failed may be asked again. @module */
import { type ErrorCode, LloomError } from "@lloom/core/errors";
import type { Clock } from "@lloom/core/ports";
import type { Candidate } from "@lloom/core/routing";

/** How often, and when, executors are asked again after all have failed. */
export interface RetryOptions {
  /** Rounds over all executors, the first one counted. @default 1 */
  readonly maxAttempts?: number;
  /** The longest wait before the second round, in milliseconds. @default 500 */
  readonly initialDelayMs?: number;
  /** The longest wait before any round, in milliseconds. @default 10000 */
  readonly maxDelayMs?: number;
  /** How many times longer each further wait may be. @default 2 */
  readonly base?: number;
}

/** Reasons that pass: the same executor may well answer the same request a little later. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "overloaded",
  "rate_limited",
  "model_unavailable",
  "shutting_down",
  "backend_unreachable",
  "backend_failed",
  "backend_malformed",
  "backend_truncated",
  "backend_timeout",
  "peer_unreachable",
  "stream_broken",
  "chain_unavailable",
  "worker_crashed",
]);

/**
 * Rounds over executors. Between two of them it waits for a random time, up to a limit that grows with
 * each round ("full jitter": those who failed together do not come back together), and no shorter than
 * until the first executor wants to be asked again. Executors that failed for reasons that do not
 * pass, or want to be left alone for longer, are left out.
 */
export class Backoff {
  readonly #options: Required<RetryOptions>;
  readonly #clock: Pick<Clock, "now">;
  readonly #random: () => number;
  /** By PeerId: Unix milliseconds from which it may be asked again. */
  readonly #notBefore = new Map<string, number>();
  #rounds = 0;

  /** Before the first round. @param random from 0 up to but not including 1 */
  constructor(options: RetryOptions, clock: Pick<Clock, "now">, random: () => number) {
    this.#options = {
      maxAttempts: 1,
      initialDelayMs: 500,
      maxDelayMs: 10_000,
      base: 2,
      ...options,
    };
    this.#clock = clock;
    this.#random = random;
  }

  /** An executor has failed. */
  failed({ announcement: { peerId } }: Candidate, { code, retryAfterMs = 0 }: LloomError): void {
    const again = PASSING.has(code) ? this.#clock.now() + retryAfterMs : Infinity;
    this.#notBefore.set(peerId, again);
  }

  /** Whether an executor may be asked now. */
  mayAsk({ announcement: { peerId } }: Candidate): boolean {
    return (this.#notBefore.get(peerId) ?? 0) <= this.#clock.now();
  }

  /** A round is over. @returns milliseconds until the next one; undefined if there is none */
  nextRound(): number | undefined {
    const { maxAttempts, initialDelayMs, maxDelayMs, base } = this.#options;
    const first = Math.min(...this.#notBefore.values());
    if (++this.#rounds >= maxAttempts || first === Infinity) return undefined;
    const longest = Math.min(maxDelayMs, initialDelayMs * base ** (this.#rounds - 1));
    return Math.max(Math.ceil(this.#random() * longest), first - this.#clock.now());
  }
}

/** Resolves after a time. @throws {LloomError} as the signal says, once it aborts */
export async function pause(
  ms: number,
  clock: Pick<Clock, "setTimer">,
  signal: AbortSignal | undefined,
): Promise<void> {
  const over = Promise.withResolvers<void>();
  const onAbort = () =>
    over.reject(LloomError.wrap(signal?.reason, "aborted", "wait to ask again"));
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const disarm = clock.setTimer(ms, () => over.resolve());
  try {
    await over.promise;
  } finally {
    disarm();
    signal?.removeEventListener("abort", onAbort);
  }
}
