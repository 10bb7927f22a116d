/** A language model whose tokens are four bytes each, so that everybody can count them. @module */
import { toHex } from "@lloom/core/bytes";
import type { ErrorData } from "@lloom/core/errors";
import type { Inference, InferenceJob, InferenceRun, InferenceSink } from "@lloom/core/ports";
import { encodeTrailer, type Trailer, UNSEEN_TOKENS } from "@lloom/core/protocol";
import { keccak256 } from "./fake_primitives.ts";
import { DELAYS, type Life, type Scheduler } from "./scheduler.ts";

/** How a model behaves besides: lies are an executor's, and its model tells them. */
export type ModelLie = "counts too much" | "charges too much" | "falls silent";

/** Bytes of text in a token. */
export const TOKEN_BYTES = 4;
const WORD = "tok ";
/** Batches that still come after the run was paused. */
const LATE_BATCHES = 2;

/** A line with so many tokens. */
function lineOf(tokens: number): Uint8Array<ArrayBuffer> {
  const choices = [{ index: 0, delta: { content: WORD.repeat(tokens) } }];
  return new TextEncoder().encode(JSON.stringify({ choices }) + "\n");
}

/** The models of one process. */
export function createModelLlm(scheduler: Scheduler, life: Life, lie?: ModelLie): Inference {
  return { run: (job, sink) => new Run(scheduler, life, job, sink, lie) };
}

class Run implements InferenceRun {
  readonly #scheduler: Scheduler;
  readonly #life: Life;
  readonly #job: InferenceJob;
  readonly #sink: InferenceSink;
  readonly #lie: ModelLie | undefined;
  readonly #delivered: Uint8Array[] = [];
  readonly #batches: number[];
  readonly #failure: "none" | "at first" | "midway" | "silent";
  #tokens = 0;
  #cancelled: ErrorData | undefined;
  #paused = false;
  #late = 0;
  #waiting = false;
  #over = false;

  constructor(
    scheduler: Scheduler,
    life: Life,
    job: InferenceJob,
    sink: InferenceSink,
    lie: ModelLie | undefined,
  ) {
    this.#scheduler = scheduler;
    this.#life = life;
    this.#job = job;
    this.#sink = sink;
    this.#lie = lie;
    const { random } = scheduler;
    const size = random.pick([1, 4, 12, 40]);
    this.#batches = Array.from({ length: random.whole(0, 8) }, () => random.whole(1, size));
    this.#failure = random.chance(0.85)
      ? "none"
      : random.pick(["at first", "midway", "silent"] as const);
    if (lie === "falls silent") this.#failure = "silent";
    this.#goOn();
  }

  pause(): void {
    this.#paused = true;
    this.#late = LATE_BATCHES;
  }

  resume(): void {
    this.#paused = false;
    this.#goOn();
  }

  cancel(reason: ErrorData): void {
    this.#cancelled ??= reason;
    this.#scheduler.after(this.#scheduler.draw(DELAYS.backend), this.#life, "model: stops", () => {
      this.#end({ finish: "cancelled", error: reason });
    });
  }

  #goOn(): void {
    if (this.#waiting || this.#over || this.#cancelled) return;
    if (this.#paused && this.#late-- <= 0) return;
    this.#waiting = true;
    const takes = this.#scheduler.draw(DELAYS.backend);
    this.#scheduler.after(takes, this.#life, "model: goes on", () => {
      this.#waiting = false;
      if (!this.#over && !this.#cancelled) this.#next();
    });
  }

  #next(): void {
    const isFirst = this.#delivered.length === 0;
    const error = { code: "backend_failed", message: "model: failed" } as const;
    if (this.#failure === "at first") return this.#fail(error);
    const room = this.#job.commitment.maxTokens - this.#tokens;
    const tokens = Math.min(this.#batches.shift() ?? 0, room);
    if (tokens === 0 && this.#failure !== "silent") return this.#end({ finish: "stop" });
    if (!isFirst && this.#failure === "midway") return this.#end({ finish: "error", error });
    if (tokens === 0 || (!isFirst && this.#failure === "silent")) return;
    this.#tokens += tokens;
    const lines = lineOf(tokens);
    this.#delivered.push(lines);
    this.#sink.batch(lines, this.#lie === "counts too much" ? 5 * TOKEN_BYTES * tokens : tokens);
    this.#goOn();
  }

  #fail(error: ErrorData): void {
    this.#over = true;
    this.#sink.fail(error);
  }

  #end({ finish, error }: Pick<Trailer, "finish" | "error">): void {
    if (this.#over) return;
    if (this.#delivered.length === 0 && error !== undefined) return this.#fail(error);
    this.#over = true;
    const { random } = this.#scheduler;
    const { body, commitment } = this.#job;
    // The exact count differs a little from the running one.
    const exact = this.#tokens + random.whole(-1, MISCOUNT);
    const claimed = this.#lie === "charges too much"
      ? TOKEN_BYTES * this.#tokens + UNSEEN_TOKENS + 1
      : Math.max(0, exact);
    const completionTokens = Math.min(commitment.maxTokens, claimed);
    const promptTokens = Math.ceil(body.length / random.whole(3, 6)) + random.whole(0, 3);
    const trailer = encodeTrailer({
      finish,
      ...{ promptTokens, completionTokens },
      countedBy: "backend",
      ...(error && { error }),
    });
    const contentHash = toHex(keccak256(...this.#delivered, trailer));
    const success = error === undefined;
    this.#sink.end({ trailer, contentHash, promptTokens, completionTokens, success });
  }
}

/** Tokens that an exact count may have more than the running one. */
export const MISCOUNT = 2;
