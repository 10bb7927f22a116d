/**
 * `deno task sim [--seed N] [--rounds M] [--jobs J] [--json] [--trace]`: runs the market for as many
 * seeds. A seed that violates an invariant is told with its last events; `--seed N --rounds 1 --trace`
 * replays it.
 * @module
 */
import { parseArgs } from "node:util";

import { runMarket, type RunResult } from "./market.ts";
import { type RoundsResult, runRounds, type Task } from "./rounds.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    rounds: { type: "string", default: "1000" },
    jobs: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});

/** Events shown of a seed that failed. */
const SHOWN = 40;

const task: Task = { seed: whole("seed"), rounds: whole("rounds") };
const started = performance.now();
const result = values.trace
  ? await runRounds(task, (seed) => runMarket(seed, (line) => console.log(line)))
  : await runJobs(task, whole("jobs"));
const summary = { ...task, ...result, ms: Math.round(performance.now() - started) };
if (values.json) console.log(JSON.stringify(summary));
else show(summary);
if (result.failure !== undefined) Deno.exitCode = 1;

function whole(name: "seed" | "rounds" | "jobs"): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 0 || (name !== "seed" && value === 0)) {
    throw new RangeError(`--${name}: not a whole number, or too small`);
  }
  return value;
}

/** Spreads the seeds over workers: each takes every so many, so that the lowest failing one is found. */
async function runJobs(all: Task, jobs: number): Promise<RoundsResult> {
  if (jobs === 1) return await runRounds(all, (seed) => runMarket(seed));
  const results = await Promise.all(
    Array.from({ length: jobs }, (_, i) => runInWorker({ ...all, from: i, every: jobs })),
  );
  const outcomes: Record<string, number> = {};
  let events = 0;
  for (const one of results) {
    events += one.events;
    for (const [name, count] of Object.entries(one.outcomes)) {
      outcomes[name] = (outcomes[name] ?? 0) + count;
    }
  }
  const [failure] = results.flatMap(({ failure }) => failure ?? [])
    .sort((a, b) => a.seed - b.seed);
  return { events, outcomes, ...(failure && { failure }) };
}

async function runInWorker(part: Task): Promise<RoundsResult> {
  const worker = new Worker(new URL("./job.ts", import.meta.url), { type: "module" });
  try {
    const done = Promise.withResolvers<RoundsResult>();
    worker.onmessage = ({ data }) => {
      if (data === "ready") worker.postMessage(part);
      else done.resolve(data);
    };
    worker.onerror = (event) => done.reject(new Error(event.message));
    return await done.promise;
  } finally {
    worker.terminate();
  }
}

function show({ rounds, events, outcomes, failure, ms }: typeof summary): void {
  if (failure !== undefined) showFailure(failure);
  const each = (ms / rounds).toFixed(1);
  console.log(`${rounds} seeds, ${events} events, ${ms} ms (${each} ms each)`);
  const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  console.log(sorted.map(([name, count]) => `${count} ${name}`).join(", "));
}

function showFailure({ seed, violation, recent }: RunResult): void {
  console.log(recent.slice(-SHOWN).join("\n"));
  console.log(`seed ${seed} violates: ${violation?.invariant}: ${violation?.detail}`);
  console.log(`replay it: deno task sim --seed ${seed} --rounds 1 --trace`);
}
