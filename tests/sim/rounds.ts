/** Many seeds, one after the other. @module */
import type { RunResult } from "./market.ts";

/** Which seeds. */
export interface Task {
  readonly seed: number;
  readonly rounds: number;
  /** Of them, those from this one on. @default 0 */
  readonly from?: number;
  /** Every so many of them. @default 1 */
  readonly every?: number;
}

/** What came of them. */
export interface RoundsResult {
  readonly events: number;
  /** How many requests ended how. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** The first seed that violates an invariant; none after it was run. */
  readonly failure?: RunResult;
}

/** Runs seeds until one fails. */
export async function runRounds(
  { seed, rounds, from = 0, every = 1 }: Task,
  run: (seed: number) => Promise<RunResult>,
): Promise<RoundsResult> {
  const outcomes: Record<string, number> = {};
  let events = 0;
  for (let round = from; round < rounds; round += every) {
    const result = await run(seed + round);
    events += result.events;
    for (const [name, count] of Object.entries(result.outcomes)) {
      outcomes[name] = (outcomes[name] ?? 0) + count;
    }
    if (result.violation !== undefined) return { events, outcomes, failure: result };
  }
  return { events, outcomes };
}
