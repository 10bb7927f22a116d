/**
 * Kills executors at random under a gateway's load, and checks that no answer is cut in silence:
 * `deno task faults:gateway --rounds 100 --seed 1`. The seed decides what is asked and who is killed
 * when; how processes share the machine is decided anew each time.
 * @module
 */
import { parseArgs } from "node:util";
import { GatewayMarket, type GatewayTally } from "./gateway_market.ts";

/** What a run came to. */
export interface GatewayFaultRun extends GatewayTally {
  readonly seed: number;
  readonly durationMs: number;
}

/** Runs so many rounds. @throws if any answer is neither whole nor said to be broken */
export async function runGatewayFaults(
  rounds: number,
  seed: number,
  onRound: (tally: GatewayTally) => void = () => {},
): Promise<GatewayFaultRun> {
  const start = performance.now();
  const directory = await Deno.makeTempDir({ prefix: "lloom-faults-" });
  try {
    await using market = await GatewayMarket.start(seed, directory);
    for (let round = 1; round <= rounds; round++) {
      await market.round();
      onRound(market.tally);
    }
    await market.finish();
    return { seed, durationMs: Math.round(performance.now() - start), ...market.tally };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Rounds between two lines that tell how it goes. */
const TELL_EVERY = 25;

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
    },
  });
  const whole = (name: "rounds" | "seed", least: number): number => {
    const value = Number(values[name]);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new RangeError(`--${name}: not a whole number, or too small`);
  };
  const run = await runGatewayFaults(whole("rounds", 1), whole("seed", 0), (tally) => {
    if (!values.json && tally.rounds % TELL_EVERY === 0) console.log(JSON.stringify(tally));
  });
  console.log(JSON.stringify(run));
}
