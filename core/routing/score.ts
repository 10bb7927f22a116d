/** How good candidates are, compared with each other. @module */
import type { Candidate } from "./candidate.ts";

/** How large a request is expected to be; what a token costs or takes depends on its side. */
export interface Demand {
  /** Tokens of the prompt. @default {500} */
  readonly promptTokens?: number;
  /** Tokens of the answer. @default {500} */
  readonly completionTokens?: number;
}

const USUAL_TOKENS = 500;

/** How much each penalty weighs in {@linkcode penalties}; only their proportions matter. */
export interface Weights {
  /** For what the request costs. @default {0.3} */
  readonly price?: number;
  /** For how long the answer takes. @default {0.3} */
  readonly latency?: number;
  /** For requests that ended badly. @default {0.3} */
  readonly reliability?: number;
  /** For how busy the executor is. @default {0.1} */
  readonly load?: number;
}

/**
 * What a request is expected to cost, in millionths of base units:
 * `inboundPrice × promptTokens + outboundPrice × completionTokens`.
 */
export function expectedCost({ offer }: Candidate, demand: Demand): bigint {
  const { promptTokens = USUAL_TOKENS, completionTokens = USUAL_TOKENS } = demand;
  return offer.inboundPrice * BigInt(promptTokens) + offer.outboundPrice * BigInt(completionTokens);
}

/**
 * Milliseconds to the first token, as this node has observed it, else as the executor announces it;
 * undefined if neither is known. An executor that announces more than is true gains one request by it.
 */
export function firstTokenMs({ offer, observed }: Candidate): number | undefined {
  return observed.timeToFirstTokenMs ?? offer.performance?.timeToFirstTokenMs;
}

/** Milliseconds between two tokens, known as {@linkcode firstTokenMs} is. */
export function tokenMs({ offer: { performance }, observed }: Candidate): number | undefined {
  return observed.msPerToken ??
    (performance && performance.tokensPerSecond > 0
      ? 1000 / performance.tokensPerSecond
      : undefined);
}

/**
 * How long an answer is expected to take, in milliseconds:
 * `firstTokenMs + completionTokens × tokenMs`; undefined if either is unknown.
 */
export function expectedMs(candidate: Candidate, demand: Demand): number | undefined {
  const { completionTokens = USUAL_TOKENS } = demand;
  const [first, each] = [firstTokenMs(candidate), tokenMs(candidate)];
  return first === undefined || each === undefined ? undefined : first + completionTokens * each;
}

/** A time of each; the unknown get the median of the known, so that they are tried. */
export function timesOf(
  candidates: readonly Candidate[],
  timeOf: (candidate: Candidate) => number | undefined,
): readonly number[] {
  const times = candidates.map(timeOf);
  const known = times.filter((ms) => ms !== undefined).sort((a, b) => a - b);
  const median = known[known.length >> 1] ?? 0;
  return times.map((ms) => ms ?? median);
}

/**
 * How busy an executor is: requests served and waiting, as announced or as sent by this node,
 * whichever is more, over how many it serves at once.
 */
export function loadOf({ announcement: { load }, observed }: Candidate): number {
  return Math.max(load.active + load.queued, observed.inFlight) / Math.max(1, load.capacity);
}

/**
 * How far each candidate falls short, 0 (best) to 1: the weighted mean of
 * - price and latency: `1 − best ÷ own`, so that twice the best is half a penalty, whatever the
 *   worst is;
 * - reliability: `1 − reliability`, as observed by this node only;
 * - load: {@linkcode loadOf}, at most 1.
 * @throws {RangeError} if a weight is negative or all are zero
 */
export function penalties(
  candidates: readonly Candidate[],
  demand: Demand,
  weights: Weights = {},
): readonly number[] {
  const { price = 0.3, latency = 0.3, reliability = 0.3, load = 0.1 } = weights;
  const sum = price + latency + reliability + load;
  if (!(Math.min(price, latency, reliability, load) >= 0 && sum > 0 && sum < Infinity)) {
    throw new RangeError("score executors: weights must not be negative, nor all zero");
  }
  const costs = shortfalls(candidates.map((candidate) => Number(expectedCost(candidate, demand))));
  const times = shortfalls(timesOf(candidates, (candidate) => expectedMs(candidate, demand)));
  return candidates.map((candidate, i) => {
    const { observed } = candidate;
    const total = price * costs[i]! + latency * times[i]! +
      reliability * (1 - observed.reliability) + load * Math.min(1, loadOf(candidate));
    return total / sum;
  });
}

function shortfalls(values: readonly number[]): readonly number[] {
  const best = values.reduce((a, b) => Math.min(a, b), Infinity);
  return values.map((own) => own === best ? 0 : 1 - best / own);
}
