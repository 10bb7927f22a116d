/** What this node has seen of executors itself: how fast and how reliably they answer. @module */
import type { ErrorCode, ErrorData } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { MAX_MODELS_PER_EXECUTOR } from "../protocol/limits.ts";

/** How observations are weighed. */
export interface ObservationsOptions {
  /** Weight of the newest sample in a moving average, 0 to 1. @default {0.2} */
  readonly alpha?: number;
  /** Failures in a row after which an executor sits out. @default {3} */
  readonly failureThreshold?: number;
  /** The first time it sits out; each further one is twice as long. @default {5000} */
  readonly firstSitOutMs?: number;
  /** The longest time. @default {300_000} */
  readonly maxSitOutMs?: number;
  /** Executors remembered; the ones used longest ago are forgotten. @default {10_000} */
  readonly maxExecutors?: number;
}

/** What is known of one executor and model. */
export interface Observed {
  /** Moving average, from the request to the first token; absent before the first one. */
  readonly timeToFirstTokenMs?: number;
  /** Moving average, between two tokens of an answer; absent before the first answer. */
  readonly msPerToken?: number;
  /** Moving average of success (1) and failure (0); 1 for a stranger. */
  readonly reliability: number;
  /** Requests of this node that it serves now. */
  readonly inFlight: number;
  /** Unix milliseconds until which it should not be asked; 0 if it may be. */
  readonly satOutUntil: number;
}

/**
 * One request to an executor. The first of `succeeded`, `failed` and `outrun` ends it; later calls do
 * nothing.
 */
export interface Attempt {
  /** The first token has come. */
  firstToken(): void;
  /** Another executor spoke first: to its first token, this one takes longer than it has taken so far. */
  outrun(): void;
  /** The answer is complete. */
  succeeded(completionTokens: number): void;
  /** There is no answer, or it was cut short. Not every failure is the executor's fault. */
  failed(error: ErrorData): void;
}

const STRANGER: Observed = { reliability: 1, inFlight: 0, satOutUntil: 0 };

/** Without a `retryAfterMs`, how long an executor that is busy is left alone. */
const BUSY_MS = 1000;

/** Says nothing about the executor: the caller's doing, or the request's. */
const BLAMELESS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "aborted",
  "config_invalid",
  "identity_invalid",
  "request_invalid",
  "request_expired",
  "request_premature",
  "request_replayed",
  "context_length_exceeded",
  "feature_unsupported",
  "price_too_low",
  "backend_rejected",
  "budget_exceeded",
  "insufficient_funds",
  "chain_unavailable",
  "chain_mismatch",
  "transaction_failed",
]);

/** An honest refusal: try again later. */
const BUSY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "overloaded",
  "rate_limited",
  "model_unavailable",
  "shutting_down",
]);

/** What no honest executor does. */
const CHEATING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "signature_invalid",
  "signer_mismatch",
  "receipt_invalid",
  "protocol_violation",
  "frame_malformed",
  "frame_too_large",
  "overcharged",
]);

interface Speed {
  timeToFirstTokenMs?: number;
  msPerToken?: number;
}

interface Executor {
  readonly speeds: Map<string, Speed>;
  reliability: number;
  inFlight: number;
  failuresInRow: number;
  /** How long it sits out, or sat out last; 0 once it has succeeded. */
  sitOutMs: number;
  satOutSince: number;
  satOutUntil: number;
}

/**
 * Remembers how executors have served this node.
 *
 * Averages are exponential: `average + alpha × (sample − average)`; the first sample is the average.
 *
 * Each executor has a circuit breaker in one of three states:
 * - Closed: it may be asked. After `failureThreshold` failures in a row it opens for
 *   `firstSitOutMs`; at once, and for `maxSitOutMs`, if the executor breaks the protocol.
 * - Open: it sits out.
 * - Half-open, once that time is over: the next request probes it. For all others it goes on sitting
 *   out until the probe has ended, or has taken as long as it sat out. A success closes the breaker;
 *   a failure opens it for twice as long as before, up to `maxSitOutMs`; what is not the executor's
 *   doing leaves it half-open.
 *
 * Requests that were under way when it opened do not open it again: one breakdown counts once. An
 * executor that is busy sits out for as long as it asks for, which the breaker has no part in.
 */
export class Observations {
  readonly #clock: Clock;
  readonly #options: Required<ObservationsOptions>;
  readonly #executors = new Map<string, Executor>();

  /** Observations of nobody yet. */
  constructor(options: ObservationsOptions, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#options = {
      alpha: 0.2,
      failureThreshold: 3,
      firstSitOutMs: 5_000,
      maxSitOutMs: 300_000,
      maxExecutors: 10_000,
      ...options,
    };
  }

  /** What is known of an executor, for one model. */
  of(peerId: string, model: string): Observed {
    const executor = this.#executors.get(peerId);
    if (executor === undefined) return STRANGER;
    const { reliability, inFlight, satOutUntil } = executor;
    return {
      ...executor.speeds.get(model),
      reliability,
      inFlight,
      satOutUntil: satOutUntil > this.#clock.now() ? satOutUntil : 0,
    };
  }

  /** A request begins. */
  started(peerId: string, model: string): Attempt {
    const executor = this.#remember(peerId);
    const startedAt = this.#clock.now();
    let firstTokenAt: number | undefined;
    let over = false;
    executor.inFlight++;
    const probingUntil = this.#probe(executor);
    const end = (): boolean => {
      if (over) return false;
      over = true;
      executor.inFlight--;
      if (executor.satOutUntil === probingUntil) executor.satOutUntil = 0;
      return true;
    };
    const firstTokenAfter = (ms: number) => {
      const speed = speedOf(executor, model);
      speed.timeToFirstTokenMs = this.#average(speed.timeToFirstTokenMs, ms);
    };
    return {
      firstToken: () => {
        if (over || firstTokenAt !== undefined) return;
        firstTokenAt = this.#clock.now();
        firstTokenAfter(Math.max(0, firstTokenAt - startedAt));
      },
      outrun: () => {
        if (!end() || firstTokenAt !== undefined) return;
        const waited = Math.max(0, this.#clock.now() - startedAt);
        if (waited > (executor.speeds.get(model)?.timeToFirstTokenMs ?? 0)) firstTokenAfter(waited);
      },
      succeeded: (completionTokens) => {
        if (!end()) return;
        if (firstTokenAt !== undefined && completionTokens > 1) {
          const speed = speedOf(executor, model);
          const sample = Math.max(0, this.#clock.now() - firstTokenAt) / (completionTokens - 1);
          speed.msPerToken = this.#average(speed.msPerToken, sample);
        }
        executor.reliability = this.#average(executor.reliability, 1);
        executor.failuresInRow = 0;
        executor.sitOutMs = 0;
        executor.satOutUntil = 0;
      },
      failed: (error) => {
        if (end()) this.#failed(executor, error, startedAt);
      },
    };
  }

  #failed(executor: Executor, { code, retryAfterMs }: ErrorData, startedAt: number): void {
    if (BLAMELESS.has(code)) return;
    const { failureThreshold, firstSitOutMs, maxSitOutMs } = this.#options;
    if (BUSY.has(code)) {
      this.#sitOut(executor, Math.min(maxSitOutMs, retryAfterMs ?? BUSY_MS));
      return;
    }
    executor.reliability = this.#average(executor.reliability, 0);
    if (CHEATING.has(code)) {
      this.#open(executor, maxSitOutMs);
      return;
    }
    if (executor.sitOutMs > 0 && startedAt <= executor.satOutSince) return;
    executor.failuresInRow++;
    if (executor.failuresInRow < failureThreshold) return;
    this.#open(executor, Math.min(maxSitOutMs, 2 * executor.sitOutMs || firstSitOutMs));
  }

  #open(executor: Executor, ms: number): void {
    executor.sitOutMs = ms;
    executor.satOutSince = this.#clock.now();
    this.#sitOut(executor, ms);
  }

  /** Makes a request to a half-open executor the one that probes it. @returns until when, if it is */
  #probe(executor: Executor): number | undefined {
    const now = this.#clock.now();
    if (executor.sitOutMs === 0 || executor.satOutUntil > now) return undefined;
    executor.satOutUntil = now + executor.sitOutMs;
    return executor.satOutUntil;
  }

  #sitOut(executor: Executor, ms: number): void {
    executor.satOutUntil = Math.max(executor.satOutUntil, this.#clock.now() + ms);
  }

  #average(average: number | undefined, sample: number): number {
    return average === undefined ? sample : average + this.#options.alpha * (sample - average);
  }

  #remember(peerId: string): Executor {
    const known = this.#executors.get(peerId);
    const executor = known ?? {
      speeds: new Map(),
      reliability: 1,
      inFlight: 0,
      failuresInRow: 0,
      sitOutMs: 0,
      satOutSince: 0,
      satOutUntil: 0,
    };
    this.#executors.delete(peerId); // a Map keeps the order of insertion: the last used comes last
    this.#executors.set(peerId, executor);
    if (this.#executors.size > this.#options.maxExecutors) {
      for (const [oldest, { inFlight }] of this.#executors) {
        if (inFlight > 0 || oldest === peerId) continue;
        this.#executors.delete(oldest);
        break;
      }
    }
    return executor;
  }
}

function speedOf({ speeds }: Executor, model: string): Speed {
  const known = speeds.get(model);
  if (known !== undefined) return known;
  const [oldest] = speeds.keys();
  if (speeds.size >= MAX_MODELS_PER_EXECUTOR && oldest !== undefined) speeds.delete(oldest);
  const speed: Speed = {};
  speeds.set(model, speed);
  return speed;
}
