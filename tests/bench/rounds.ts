/** Requests made again and again, and what they cost. @module */
import type { CompleteOptions, LloomClient } from "@lloom/client";
import type { JsonObject } from "@lloom/core/protocol";
import assert from "node:assert/strict";
import { type Figure, figure, median, round } from "./figures.ts";
import { MODEL, TOKENS } from "./market.ts";
import { cpuMs } from "./process_stats.ts";

const ROUND_MS = 800;

/** What is asked. */
export const QUESTION: JsonObject = {
  model: MODEL,
  messages: [{ role: "user", content: "What does the network cost?" }],
  max_tokens: TOKENS,
};

/** Makes one request; calls back when the first part of its answer is there. */
export type Ask = (onFirst: () => void) => Promise<void>;

/** What one round showed. */
export interface Round {
  /** Median of the round's requests, in milliseconds. */
  readonly firstByteMs: number;
  readonly perSecond: number;
  /** CPU time per request by process, in milliseconds. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

/** What all rounds of one way showed. */
export interface Way {
  readonly firstByteMs: Figure;
  readonly perSecond: Figure;
  /** CPU milliseconds per request, by process and in all. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

/** A round of requests, so many at once. @param pids whose CPU time is counted, by name */
export async function runRound(
  atOnce: number,
  ask: Ask,
  pids: Readonly<Record<string, number>>,
): Promise<Round> {
  const names = Object.keys(pids);
  const before = names.map((name) => cpuMs(pids[name]!));
  const { firstByteMs, elapsedMs } = await runFor(ROUND_MS, atOnce, ask);
  const count = firstByteMs.length;
  return {
    firstByteMs: median(firstByteMs),
    perSecond: count / (elapsedMs / 1000),
    cpuMs: Object.fromEntries(names.flatMap((name, i) => {
      const [from, to] = [before[i], cpuMs(pids[name]!)];
      return from === undefined || to === undefined ? [] : [[name, (to - from) / count]];
    })),
  };
}

/** Asks, so many at once, and starts no request after the time. */
export async function runFor(ms: number, atOnce: number, ask: Ask) {
  const startMs = performance.now();
  const firstByteMs: number[] = [];
  const loop = async () => {
    do {
      const askedMs = performance.now();
      let first: number | undefined;
      await ask(() => first ??= performance.now() - askedMs);
      assert.ok(first !== undefined, "an answer had no first byte");
      firstByteMs.push(first);
    } while (performance.now() - startMs < ms);
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
  return { firstByteMs, elapsedMs: performance.now() - startMs };
}

/** Medians and spreads of rounds. */
export function sumUp(rounds: readonly Round[]): Way {
  const names = Object.keys(rounds[0]!.cpuMs);
  const cpu = names.map((name) => [name, round(median(rounds.map(({ cpuMs }) => cpuMs[name]!)))]);
  const inAll = rounds.map(({ cpuMs }) => Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0));
  return {
    firstByteMs: figure(rounds.map(({ firstByteMs }) => firstByteMs)),
    perSecond: figure(rounds.map(({ perSecond }) => perSecond)),
    cpuMs: names.length === 0 ? {} : { ...Object.fromEntries(cpu), all: round(median(inAll)) },
  };
}

/** Asks through the network, and reads the answer as it comes. */
export function askNetwork(client: LloomClient, options: CompleteOptions = {}): Ask {
  return async (onFirst) => {
    let tokens = 0;
    for await (const { choices } of client.complete(QUESTION, options)) {
      onFirst();
      if (choices[0]?.delta.content) tokens++;
    }
    assert.equal(tokens, TOKENS);
  };
}
