/**
 * Kills clients, executors and the chain at random, and checks that no money is made or lost:
 * `deno task faults --rounds 200 --seed 1`. The seed decides what is asked and who is killed when;
 * how processes share the machine is decided anew each time.
 * @module
 */
import { missing } from "@lloom/host/foundry";
import { parseArgs } from "node:util";
import { FaultMarket, type Tally } from "./market.ts";

/** Rounds between two audits. */
const AUDIT_EVERY = 50;

/** What a run came to. */
export interface FaultRun extends Tally {
  readonly seed: number;
  readonly durationMs: number;
}

/** Runs so many rounds; undefined on a machine without anvil. @throws if any money is not where it belongs */
export async function runFaults(
  rounds: number,
  seed: number,
  onAudit: (tally: Tally) => void = () => {},
): Promise<FaultRun | undefined> {
  const start = performance.now();
  const directory = await Deno.makeTempDir({ prefix: "lloom-faults-" });
  try {
    await using market = await FaultMarket.start(seed, directory);
    if (market === undefined) return undefined;
    for (let round = 1; round <= rounds; round++) {
      await market.round();
      if (round !== rounds && round % AUDIT_EVERY !== 0) continue;
      await market.settle(round === rounds);
      onAudit(market.tally);
      if (round !== rounds) market.resume();
    }
    return { seed, durationMs: Math.round(performance.now() - start), ...market.tally };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
    },
  });
  const show = (value: unknown) =>
    console.log(JSON.stringify(value, (_, v) => typeof v === "bigint" ? String(v) : v));
  const whole = (name: "rounds" | "seed", least: number): number => {
    const value = Number(values[name]);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new RangeError(`--${name}: not a whole number, or too small`);
  };
  const run = await runFaults(whole("rounds", 1), whole("seed", 0), (tally) => {
    if (!values.json) show(tally);
  });
  if (run === undefined) console.log(`faults: left out, ${missing("anvil")}`);
  else show(run);
}
