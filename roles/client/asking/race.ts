/** Asks executors, one after the other or two at once, until one of them speaks. @module */
import type { LloomError } from "@lloom/core/errors";
import type { Clock } from "@lloom/core/ports";
import type { Candidate } from "@lloom/core/routing";
import type { Asked } from "./asked.ts";

/** How executors are asked. */
export interface RaceOptions {
  /** Asks one. */
  readonly ask: (candidate: Candidate) => Asked;
  /** Whether another may be asked after a failure. */
  readonly isWorthAnother: (error: LloomError) => boolean;
  /** Asks the next one too if the only one under way, once asked, is silent for so long; undefined: never. */
  readonly hedgeAfterMs: number | undefined;
  /** Times that. */
  readonly clock: Pick<Clock, "setTimer">;
  /** Told when an executor failed, and another is asked instead of it. */
  readonly onFailover: ((candidate: Candidate, error: LloomError) => void) | undefined;
}

/** The executor that answers. */
export interface Spoken {
  /** Who. */
  readonly asked: Asked;
  /** Its first lines; undefined for an answer that is whole, proven and empty. */
  readonly lines: Uint8Array | undefined;
}

/** Who spoke first, and who failed before. */
export interface RaceResult {
  /** Undefined if nobody did. */
  readonly spoken?: Spoken;
  /** In the order in which they failed. */
  readonly failed: readonly { readonly candidate: Candidate; readonly error: LloomError }[];
}

/**
 * Asks candidates in their order until one speaks; who was asked beside it is cancelled. At most two
 * are under way at once, so that hedging costs at most twice as much.
 */
export async function race(
  candidates: readonly Candidate[],
  { ask, isWorthAnother, hedgeAfterMs, clock, onFailover }: RaceOptions,
): Promise<RaceResult> {
  const waiting = [...candidates];
  const running = new Map<Asked, Promise<Spoken>>();
  const failed: { candidate: Candidate; error: LloomError }[] = [];
  let canAffordTwo = true;
  const askNext = () => {
    const candidate = waiting.shift();
    if (candidate === undefined) return;
    const asked = ask(candidate);
    running.set(asked, asked.next().then((lines) => ({ asked, lines })));
  };
  askNext();
  while (running.size > 0) {
    const first = Promise.race(running.values());
    const mayHedge = canAffordTwo && running.size === 1 && waiting.length > 0;
    const spoken =
      await (mayHedge && hedgeAfterMs !== undefined ? within(first, hedgeAfterMs, clock) : first);
    if (spoken === undefined) {
      // Before its request is signed, a channel may have to be opened: another would need one too.
      const isSent = [...running.keys()].every(({ requestHash }) => requestHash !== undefined);
      if (isSent) askNext();
      continue;
    }
    const { asked: { candidate, error } } = spoken;
    running.delete(spoken.asked);
    if (error === undefined) {
      for (const slower of running.keys()) slower.outrun();
      return { spoken, failed };
    }
    if (error.code === "budget_exceeded" && running.size > 0) {
      // Two at once can cost more than allowed. Its turn comes when the other has failed.
      waiting.unshift(candidate);
      canAffordTwo = false;
      continue;
    }
    failed.push({ candidate, error });
    if (!isWorthAnother(error)) {
      for (const other of running.keys()) other.leave();
      break;
    }
    if (running.size > 0 || waiting.length === 0) continue;
    onFailover?.(candidate, error);
    askNext();
  }
  return { failed };
}

/** What a promise resolves with; undefined if that takes too long. */
async function within<T>(
  promise: Promise<T>,
  ms: number,
  clock: Pick<Clock, "setTimer">,
): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const disarm = clock.setTimer(ms, () => late.resolve(undefined));
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    disarm();
  }
}
