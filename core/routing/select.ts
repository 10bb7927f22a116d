/** In which order to try the executors that may serve a request. @module */
import type { Clock } from "../ports.ts";
import type { Candidate } from "./candidate.ts";
import { isNamed, refusal, type Requirements } from "./filter.ts";
import {
  type Demand,
  expectedCost,
  expectedMs,
  firstTokenMs,
  loadOf,
  penalties,
  timesOf,
  tokenMs,
  type Weights,
} from "./score.ts";

/** How to choose between executors. */
export type Strategy =
  /** The cheapest first. */
  | { readonly type: "best-price" }
  /** The one first whose whole answer is expected soonest. */
  | { readonly type: "fastest" }
  /** The one first whose first token is expected soonest. */
  | { readonly type: "latency" }
  /** The one first that is expected to write the most tokens a second. */
  | { readonly type: "throughput" }
  /** The lowest weighted penalty first (`score.ts`). */
  | { readonly type: "balanced"; readonly weights?: Weights }
  /** Only executors named by PeerId or address, in that order. */
  | { readonly type: "specific"; readonly names: readonly string[] }
  /**
   * The one first that served this conversation last, as it may still have it in its prompt cache;
   * the others, and all where nobody has served it yet, as another strategy says.
   */
  | StickyStrategy;

/** Keeps a conversation on its executor. */
export interface StickyStrategy {
  /** Tells it from others. */
  readonly type: "sticky";
  /** The conversation. @default told by the model and the request's beginning */
  readonly key?: string;
  /** Who is asked first where nobody has served the conversation. @default balanced */
  readonly otherwise?: Exclude<Strategy, StickyStrategy>;
}

/** What a selection depends on besides the candidates. */
export interface SelectComponents {
  /** Tells which announcements are stale. */
  readonly clock: Pick<Clock, "now">;
  /** From 0 up to but not including 1. @default {Math.random} */
  readonly random?: () => number;
  /** The PeerId of the executor that served the conversation last, for `sticky`. */
  readonly stuckTo?: string | undefined;
}

/** Times that differ by less than this share count as equal: measurements waver by more. */
const NEAR_TIME = 0.1;
/** Penalties that differ by less than this count as equal. */
const NEAR_PENALTY = 0.05;

/** One candidate with its rank: lower is better. */
interface Ranked {
  readonly candidate: Candidate;
  readonly rank: number | bigint;
}

/**
 * The candidates that meet the requirements, in the order to try them: each further one is for
 * when those before it have failed. Empty if there is none (`noExecutor` says why).
 *
 * If all clients took the single best executor, they would all take the same one. So among those
 * nearly equal to the best that is left (the same price, a time within 10 %, a penalty within
 * 0.05), two are drawn at random and the less loaded of them comes next: the power of two choices,
 * M. Mitzenmacher, IEEE TPDS 12 (2001). Those that sit out after failures come last, the first to
 * return first: better than no answer.
 *
 * @param demand the request's expected size
 */
export function select(
  candidates: readonly Candidate[],
  requirements: Requirements,
  strategy: Strategy,
  demand: Demand,
  { clock, random = Math.random, stuckTo }: SelectComponents,
): readonly Candidate[] {
  const now = clock.now();
  const allowed = candidates.filter((candidate) =>
    refusal(candidate, requirements, now) === undefined
  );
  const plain = strategy.type === "sticky" ? strategy.otherwise ?? BALANCED : strategy;
  const others = plain.type === "specific"
    ? plain.names.flatMap((name) => allowed.filter((candidate) => isNamed(candidate, name)))
    : spread(ranked(allowed, plain, demand), nearness(plain), random);
  const inOrder = strategy.type === "sticky"
    ? [...others.filter(({ announcement }) => announcement.peerId === stuckTo), ...others]
    : others;
  const ready = inOrder.filter(({ observed }) => observed.satOutUntil <= now);
  const sittingOut = inOrder.filter(({ observed }) => observed.satOutUntil > now)
    .sort((a, b) => a.observed.satOutUntil - b.observed.satOutUntil);
  return [...new Set([...ready, ...sittingOut])];
}

type Scored = Exclude<Strategy, { type: "specific" | "sticky" }>;

const BALANCED: Scored = { type: "balanced" };

function ranked(
  candidates: readonly Candidate[],
  strategy: Scored,
  demand: Demand,
): readonly Ranked[] {
  const ranks = ranksOf(candidates, strategy, demand);
  // The PeerId decides between equals, so that the outcome does not depend on the input's order.
  return candidates.map((candidate, i) => ({ candidate, rank: ranks[i]! })).sort((a, b) =>
    compare(a.rank, b.rank) ||
    compare(a.candidate.announcement.peerId, b.candidate.announcement.peerId)
  );
}

function ranksOf(
  candidates: readonly Candidate[],
  strategy: Scored,
  demand: Demand,
): readonly (number | bigint)[] {
  switch (strategy.type) {
    case "best-price":
      return candidates.map((candidate) => expectedCost(candidate, demand));
    case "fastest":
      return timesOf(candidates, (candidate) => expectedMs(candidate, demand));
    case "latency":
      return timesOf(candidates, firstTokenMs);
    case "throughput":
      return timesOf(candidates, tokenMs);
    case "balanced":
      return penalties(candidates, demand, strategy.weights);
  }
}

/** Up to which rank others count as equal to the best. */
function nearness(strategy: Scored): (best: number | bigint) => number | bigint {
  switch (strategy.type) {
    case "best-price":
      return (best) => best;
    case "fastest":
    case "latency":
    case "throughput":
      return (best) => Number(best) * (1 + NEAR_TIME);
    case "balanced":
      return (best) => Number(best) + NEAR_PENALTY;
  }
}

/** Empties group after group of nearly equal candidates by the power of two choices. */
function spread(
  sorted: readonly Ranked[],
  near: (best: number | bigint) => number | bigint,
  random: () => number,
): readonly Candidate[] {
  const order: Candidate[] = [];
  while (order.length < sorted.length) {
    const bound = near(sorted[order.length]!.rank);
    let end = order.length + 1;
    while (end < sorted.length && sorted[end]!.rank <= bound) end++;
    const group = sorted.slice(order.length, end).map(({ candidate }) => candidate);
    while (group.length > 0) {
      const [a, b] = [random, random].map((draw) => Math.floor(draw() * group.length));
      const chosen = loadOf(group[b!]!) < loadOf(group[a!]!) ? b! : a!;
      order.push(...group.splice(chosen, 1));
    }
  }
  return order;
}

function compare<T extends number | bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
