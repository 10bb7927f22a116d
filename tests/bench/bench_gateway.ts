/**
 * What the gateway costs: gateway → network → backend against the same backend called directly, by
 * the same caller, in turns, so that whatever else the machine does hits both. The caller is this
 * process. Takes about five minutes.
 * @module
 */
import type { JsonObject } from "@lloom/core/protocol";
import { LocalChain } from "@lloom/host/local-chain";
import { missing } from "@lloom/host/foundry";
import { type Figure, figure, show } from "./figures.ts";
import { type GatewayPlace, type Places, withPlaces } from "./gateway_places.ts";
import { askStreamed, askWhole } from "./http_asks.ts";
import { type Round, runFor, runRound, sumUp, type Way } from "./rounds.ts";
import { printStreams, runStreams, type StreamsResult } from "./thousand_streams.ts";

const AT_ONCE = [1, 16, 64, 256] as const;
/** Each round measures both ways. */
const ROUNDS = 3;
const WARM_UP_MS = 1000;
const TOKENS = 32;
const STREAMS = 1000;

/** One number of requests at once, of one model, streamed or not, paid or free. */
export interface GatewayRow {
  readonly model: string;
  readonly paid: boolean;
  readonly streamed: boolean;
  readonly atOnce: number;
  readonly direct: Way;
  readonly gateway: Way;
  /** What gateway and network add, round by round. */
  readonly addedFirstByteMs: Figure;
  /** The gateway's rate by the direct rate, round by round. */
  readonly rateRatio: Figure;
}

/** What was measured. */
export interface GatewayResult {
  readonly rows: readonly GatewayRow[];
  /** A thousand slow answers at once, through the gateway and directly. */
  readonly streams: Readonly<Record<"direct" | "gateway", StreamsResult>>;
  /** Why nothing was paid. */
  readonly unpaid?: string;
}

/** Measures all. */
export async function benchGateway(): Promise<GatewayResult> {
  const chain = await LocalChain.start();
  try {
    return await withPlaces(chain, async (places) => {
      const rows = await measureAll(places);
      const streams = {
        direct: await runStreams(places.direct, STREAMS),
        gateway: await runStreams(places.free, STREAMS),
      };
      return { rows, streams, ...(chain === undefined && { unpaid: missing("anvil") }) };
    });
  } finally {
    await chain?.stop();
  }
}

async function measureAll({ direct, free, paid }: Places): Promise<readonly GatewayRow[]> {
  const rows: GatewayRow[] = [];
  for (const gateway of paid === undefined ? [free] : [free, paid]) {
    const common = { paid: gateway === paid, model: "instant" };
    for (const streamed of [true, false]) {
      for (const atOnce of AT_ONCE) {
        rows.push(await measure(direct, gateway, { ...common, streamed, atOnce }));
      }
    }
    // Against a model that takes its time, as all do that are worth asking.
    const steady = { ...common, model: "steady-100", streamed: true, atOnce: 16 };
    rows.push(await measure(direct, gateway, steady));
  }
  return rows;
}

async function measure(
  direct: GatewayPlace,
  gateway: GatewayPlace,
  what: Pick<GatewayRow, "model" | "paid" | "streamed" | "atOnce">,
): Promise<GatewayRow> {
  const { model, streamed, atOnce } = what;
  const question: JsonObject = {
    model,
    messages: [{ role: "user", content: "What does the gateway cost?" }],
    max_tokens: TOKENS,
  };
  const asks = [direct, gateway].map((place) =>
    (streamed ? askStreamed : askWhole)(place, question)
  );
  for (const ask of asks) await runFor(WARM_UP_MS, atOnce, ask);
  const rounds: [Round[], Round[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { pids }] of [direct, gateway].entries()) {
      rounds[i]!.push(await runRound(atOnce, asks[i]!, { caller: Deno.pid, ...pids }));
    }
  }
  const [ofDirect, ofGateway] = rounds;
  const compare = (of: (direct: Round, gateway: Round) => number) =>
    figure(ofDirect.map((one, i) => of(one, ofGateway[i]!)));
  return {
    ...what,
    direct: sumUp(ofDirect),
    gateway: sumUp(ofGateway),
    addedFirstByteMs: compare((a, b) => b.firstByteMs - a.firstByteMs),
    rateRatio: compare((a, b) => b.perSecond / a.perSecond),
  };
}

/** Prints the result for people. */
export function printGateway({ rows, streams, unpaid }: GatewayResult): void {
  console.log("median (least–most of rounds)");
  const name = ({ model, paid, streamed, atOnce }: GatewayRow) =>
    `${paid ? "paid" : "free"}, ${streamed ? "streamed" : "whole"}, ${model}, ${atOnce}`;
  console.table(Object.fromEntries(rows.map((row) => [
    name(row),
    {
      "first byte, direct ms": show(row.direct.firstByteMs, 1),
      "added ms": show(row.addedFirstByteMs, 1),
      "requests/s, direct": show(row.direct.perSecond, 0),
      "gateway": show(row.gateway.perSecond, 0),
      "ratio": show(row.rateRatio, 2),
    },
  ])));
  console.log("CPU ms per request, by process");
  console.table(Object.fromEntries(rows.map((row) => [name(row), row.gateway.cpuMs])));
  if (unpaid !== undefined) console.log(`paid: skipped: ${unpaid}`);
  printStreams(streams);
}
