/** Many slow answers at once: whether each token comes, and when. @module */
import { figure, median, round } from "./figures.ts";
import type { GatewayPlace } from "./gateway_places.ts";
import { streamText } from "./http_asks.ts";
import { answerText, MODELS } from "./models.ts";
import { cpuMs } from "./process_stats.ts";

const MODEL = "steady-20";
/** One answer. Longer than all together take to begin, so that for a while all are under way. */
const ANSWER_MS = 30_000;
const RAMP_MS = 10_000;

/** What many streams at once showed. */
export interface StreamsResult {
  readonly streams: number;
  /** Answers that were no proper ones, by what was wrong with them. */
  readonly failures: Readonly<Record<string, number>>;
  /** Tokens that did not come, of all answers. */
  readonly lostTokens: number;
  /** While all streams were under way: tokens that came, by those that the model wrote. */
  readonly keptUp: number;
  /** How much later than the model's own pace answers ended, in milliseconds. */
  readonly lateMs: { readonly median: number; readonly max: number };
  /** From asking to the first token, in milliseconds. */
  readonly firstTokenMs: { readonly median: number; readonly max: number };
  /** Processors that each process used while all streams were under way. */
  readonly processors: Readonly<Record<string, number>>;
}

/** Asks for so many answers at once, begun evenly over ten seconds. */
export async function runStreams(place: GatewayPlace, streams: number): Promise<StreamsResult> {
  const perSecond = MODELS[MODEL]!;
  const tokens = perSecond * ANSWER_MS / 1000;
  const expected = answerText(tokens);
  const question = {
    model: MODEL,
    messages: [{ role: "user", content: "Count, slowly." }],
    max_tokens: tokens,
  };
  const failures: Record<string, number> = {};
  const lateMs: number[] = [];
  const firstTokenMs: number[] = [];
  let received = 0;
  let lostTokens = 0;
  const ask = async () => {
    const askedMs = performance.now();
    let firstMs: number | undefined;
    let text = "";
    let mine = 0;
    try {
      await streamText(place, question, (piece) => {
        firstMs ??= performance.now();
        text += piece;
        mine++;
        received++;
      });
      if (text !== expected) throw new Error("the text is not what the model wrote");
      lateMs.push(performance.now() - askedMs - ANSWER_MS);
      firstTokenMs.push(firstMs! - askedMs);
    } catch (error) {
      const { message } = error as Error;
      failures[message] = (failures[message] ?? 0) + 1;
    }
    lostTokens += tokens - mine;
  };
  const pids: Readonly<Record<string, number>> = { caller: Deno.pid, ...place.pids };
  const look = () => ({
    atMs: performance.now(),
    received,
    cpu: Object.entries(pids).map(([name, pid]) => [name, cpuMs(pid) ?? NaN] as const),
  });
  const answers: Promise<void>[] = [];
  for (let i = 0; i < streams; i++) {
    answers.push(ask());
    await elapsed(RAMP_MS / streams);
  }
  // All have begun, and for as long none has ended.
  await elapsed(2000);
  const before = look();
  await elapsed(ANSWER_MS - RAMP_MS - 5000);
  const after = look();
  await Promise.all(answers);
  const ms = after.atMs - before.atMs;
  const shown = (values: readonly number[]) => {
    if (values.length === 0) return { median: NaN, max: NaN };
    return { median: median(values), max: figure(values).max };
  };
  return {
    streams,
    failures,
    lostTokens,
    keptUp: round((after.received - before.received) / (streams * perSecond * ms / 1000)),
    lateMs: shown(lateMs),
    firstTokenMs: shown(firstTokenMs),
    processors: Object.fromEntries(
      after.cpu.map(([name, used], i) => [name, round((used - before.cpu[i]![1]) / ms)]),
    ),
  };
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Prints results for people. */
export function printStreams(results: Readonly<Record<string, StreamsResult>>): void {
  console.log(`streams at once, each of ${MODELS[MODEL]} tokens a second`);
  console.table(Object.fromEntries(
    Object.entries(results).map(([name, { failures, lateMs, firstTokenMs, ...one }]) => [name, {
      "streams": one.streams,
      "failed": Object.values(failures).reduce((sum, count) => sum + count, 0),
      "lost tokens": one.lostTokens,
      "tokens by those written": one.keptUp,
      "end late by ms": `${lateMs.median.toFixed(0)} (most ${lateMs.max.toFixed(0)})`,
      "first token ms": `${firstTokenMs.median.toFixed(0)} (most ${firstTokenMs.max.toFixed(0)})`,
    }]),
  ));
  console.log("processors used, by process");
  console.table(Object.fromEntries(
    Object.entries(results).map(([name, { processors }]) => [name, processors]),
  ));
  for (const [name, { failures }] of Object.entries(results)) {
    for (const [why, count] of Object.entries(failures)) console.log(`${name}: ${count}: ${why}`);
  }
}
