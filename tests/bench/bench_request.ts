/**
 * What the network costs a request: client → executor → backend against the same backend called
 * directly, in turns, so that whatever else the machine does hits both. The client, and the direct
 * caller, are this process. Takes about a minute.
 * @module
 */
import { LloomClient } from "@lloom/client";
import type { JsonObject } from "@lloom/core/protocol";
import { SseParser } from "@lloom/workers/inference";
import assert from "node:assert/strict";
import { type Figure, figure, median, round, show } from "./figures.ts";
import { type Market, MODEL, TOKENS, withMarket } from "./market.ts";
import { cpuMs } from "./process_stats.ts";

const AT_ONCE = [1, 16, 64] as const;
/** Each round measures both ways. */
const ROUNDS = 5;
const ROUND_MS = 800;
const WARM_UP_MS = 1500;

const QUESTION: JsonObject = {
  model: MODEL,
  messages: [{ role: "user", content: "What does the network cost?" }],
  max_tokens: TOKENS,
};

/** Makes one request; calls back when the first part of its answer is there. */
type Ask = (onFirst: () => void) => Promise<void>;

interface Round {
  /** Median of the round's requests, in milliseconds. */
  readonly firstByteMs: number;
  readonly perSecond: number;
  /** CPU time per request by process, in milliseconds. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

interface Way {
  readonly firstByteMs: Figure;
  readonly perSecond: Figure;
  /** CPU milliseconds per request, by process and in all. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

/** One number of requests at once, streamed or not. */
export interface RequestRow {
  readonly streamed: boolean;
  readonly atOnce: number;
  readonly direct: Way;
  readonly network: Way;
  /** What the network adds, round by round. */
  readonly addedFirstByteMs: Figure;
  /** Network's rate by the direct rate, round by round. */
  readonly rateRatio: Figure;
}

/** Measures all. */
export async function benchRequest(): Promise<readonly RequestRow[]> {
  return await withMarket(async (market) => {
    const client = await LloomClient.connect({
      bootstrapNodes: market.bootstrapNodes,
      sandboxWorkers: true,
    });
    try {
      const rows: RequestRow[] = [];
      for (const streamed of [true, false]) {
        for (const atOnce of AT_ONCE) rows.push(await measure(market, client, streamed, atOnce));
      }
      return rows;
    } finally {
      await client.close();
    }
  });
}

async function measure(
  market: Market,
  client: LloomClient,
  streamed: boolean,
  atOnce: number,
): Promise<RequestRow> {
  const ways = {
    direct: streamed ? askDirectly(market.backendUrl) : askDirectlyWhole(market.backendUrl),
    network: streamed ? askNetwork(client) : askNetworkWhole(client),
  };
  const { backend, executor, validator } = market.pids;
  const pids = {
    direct: { caller: Deno.pid, backend },
    network: { caller: Deno.pid, backend, executor, validator },
  };
  for (const ask of Object.values(ways)) await runFor(WARM_UP_MS, atOnce, ask);
  const direct: Round[] = [];
  const network: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    direct.push(await runRound(atOnce, ways.direct, pids.direct));
    network.push(await runRound(atOnce, ways.network, pids.network));
  }
  return {
    streamed,
    atOnce,
    direct: sumUp(direct),
    network: sumUp(network),
    addedFirstByteMs: figure(network.map((one, i) => one.firstByteMs - direct[i]!.firstByteMs)),
    rateRatio: figure(network.map((one, i) => one.perSecond / direct[i]!.perSecond)),
  };
}

async function runRound(
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
async function runFor(ms: number, atOnce: number, ask: Ask) {
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

function sumUp(rounds: readonly Round[]): Way {
  const names = Object.keys(rounds[0]!.cpuMs);
  const cpu = names.map((name) => [name, round(median(rounds.map(({ cpuMs }) => cpuMs[name]!)))]);
  const inAll = rounds.map(({ cpuMs }) => Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0));
  return {
    firstByteMs: figure(rounds.map(({ firstByteMs }) => firstByteMs)),
    perSecond: figure(rounds.map(({ perSecond }) => perSecond)),
    cpuMs: names.length === 0 ? {} : { ...Object.fromEntries(cpu), all: round(median(inAll)) },
  };
}

function post(url: string, body: JsonObject): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** What a careful caller does without Lloom: reads every event as JSON. */
function askDirectly(url: string): Ask {
  const body = { ...QUESTION, stream: true, stream_options: { include_usage: true } };
  return async (onFirst) => {
    const response = await post(url, body);
    const parser = new SseParser(1 << 20);
    let tokens = 0;
    for await (const bytes of response.body!) {
      for (const { data } of parser.push(bytes)) {
        if (data === "[DONE]") continue;
        onFirst();
        if (JSON.parse(data).choices[0]?.delta.content) tokens++;
      }
    }
    assert.equal(tokens, TOKENS);
  };
}

function askDirectlyWhole(url: string): Ask {
  return async (onFirst) => {
    const answer = await (await post(url, QUESTION)).json();
    onFirst();
    assert.equal(answer.usage.completion_tokens, TOKENS);
  };
}

function askNetwork(client: LloomClient): Ask {
  return async (onFirst) => {
    let tokens = 0;
    for await (const { choices } of client.complete(QUESTION)) {
      onFirst();
      if (choices[0]?.delta.content) tokens++;
    }
    assert.equal(tokens, TOKENS);
  };
}

/** The receipt proves the whole answer. */
function askNetworkWhole(client: LloomClient): Ask {
  return async (onFirst) => {
    const receipt = await client.complete(QUESTION).drain();
    onFirst();
    assert.equal(receipt.response.commitment.outboundTokens, TOKENS);
  };
}

/** Prints the rows for people. */
export function printRequest(rows: readonly RequestRow[]): void {
  for (const streamed of [true, false]) {
    console.log(streamed ? "streamed: median (least–most of rounds)" : "not streamed");
    const chosen = rows.filter((row) => row.streamed === streamed);
    console.table(Object.fromEntries(
      chosen.map(({ atOnce, direct, network, addedFirstByteMs, rateRatio }) => [
        `${atOnce} at once`,
        {
          "first byte, direct ms": show(direct.firstByteMs, 1),
          "network ms": show(network.firstByteMs, 1),
          "added ms": show(addedFirstByteMs, 1),
          "requests/s, direct": show(direct.perSecond, 0),
          "network": show(network.perSecond, 0),
          "ratio": show(rateRatio, 2),
        },
      ]),
    ));
    console.log("CPU ms per request, by process");
    console.table(Object.fromEntries(chosen.flatMap(({ atOnce, direct, network }) => [
      [`direct, ${atOnce}`, direct.cpuMs],
      [`network, ${atOnce}`, network.cpuMs],
    ])));
  }
}
