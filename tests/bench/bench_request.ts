/**
 * What the network costs a request: client → executor → backend against the same backend called
 * directly, in turns, so that whatever else the machine does hits both. The client, and the direct
 * caller, are this process. Takes about a minute.
 * @module
 */
import { LloomClient } from "@lloom/client";
import assert from "node:assert/strict";
import { type Figure, figure, show } from "./figures.ts";
import { askStreamed, askWhole } from "./http_asks.ts";
import { type Market, TOKENS, withMarket } from "./market.ts";
import {
  type Ask,
  askNetwork,
  QUESTION,
  type Round,
  runFor,
  runRound,
  sumUp,
  type Way,
} from "./rounds.ts";

const AT_ONCE = [1, 16, 64] as const;
/** Each round measures both ways. */
const ROUNDS = 5;
const WARM_UP_MS = 1500;

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
    direct: (streamed ? askStreamed : askWhole)({ url: market.backendUrl }, QUESTION),
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
