/** Load for minutes, and what the memory of each process does meanwhile. @module */
import { LocalChain } from "@lloom/host/local-chain";
import { median, round } from "./figures.ts";
import { withPlaces } from "./gateway_places.ts";
import { askStreamed, askWhole } from "./http_asks.ts";
import { memory } from "./process_stats.ts";
import type { Ask } from "./rounds.ts";

const AT_ONCE = 16;
const TOKENS = 32;
/** Looks at the memory in all. */
const LOOKS = 40;
/** What V8 and the caches have settled in: the first part is not counted. */
const WARM_UP_SHARE = 0.3;

/** How one process' own memory went. */
export interface Growth {
  /** Megabytes, look by look. */
  readonly privateMb: readonly number[];
  /** By the line that fits best after the warm-up. */
  readonly mbPerMinute: number;
  /** What that line gains, by what the process had in the middle. */
  readonly share: number;
}

/** What a soak showed. */
export interface SoakResult {
  readonly minutes: number;
  readonly requests: number;
  readonly failures: number;
  /** By process, with the way that it serves. */
  readonly growth: Readonly<Record<string, Growth>>;
}

/** Asks, sixteen at once each of the free and the paying gateway, streamed and whole in turns. */
export async function soakGateway(minutes: number): Promise<SoakResult> {
  const chain = await LocalChain.start();
  try {
    return await withPlaces(chain, async ({ free, paid }) => {
      const ways = { free, ...(paid && { paid }) };
      const question = {
        model: "instant",
        messages: [{ role: "user", content: "How long can you go on?" }],
        max_tokens: TOKENS,
      };
      const endMs = performance.now() + minutes * 60_000;
      let requests = 0;
      let failures = 0;
      const loop = async (asks: readonly Ask[]) => {
        while (performance.now() < endMs) {
          try {
            await asks[requests++ % asks.length]!(() => {});
          } catch {
            failures++;
          }
        }
      };
      const loops = Object.values(ways).flatMap((place) => {
        const asks = [askStreamed(place, question), askWhole(place, question)];
        return Array.from({ length: AT_ONCE }, () => loop(asks));
      });
      const { backend } = free.pids;
      const pids = Object.entries(ways).flatMap(([way, { pids }]) =>
        Object.entries(pids).filter(([, pid]) => pid !== backend)
          .map(([name, pid]) => [`${name}, ${way}`, pid] as const)
      );
      const looks = new Map(pids.map(([name]) => [name, [] as number[]]));
      const timer = setInterval(() => {
        for (const [name, pid] of pids) looks.get(name)!.push(memory(pid)?.privateMb ?? NaN);
      }, minutes * 60_000 / LOOKS);
      await Promise.all(loops);
      clearInterval(timer);
      const growth = [...looks].map(([name, mb]) => [name, growthOf(mb, minutes)]);
      return { minutes, requests, failures, growth: Object.fromEntries(growth) };
    });
  } finally {
    await chain?.stop();
  }
}

function growthOf(privateMb: readonly number[], minutes: number): Growth {
  const settled = privateMb.slice(Math.floor(privateMb.length * WARM_UP_SHARE));
  const perLook = slope(settled);
  return {
    privateMb,
    mbPerMinute: round(perLook * LOOKS / minutes),
    share: round(perLook * (settled.length - 1) / median(settled)),
  };
}

/** Of the line through values at even distances that fits best, by least squares. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let over = 0;
  let under = 0;
  for (const [i, value] of values.entries()) {
    over += (i - middle) * (value - mean);
    under += (i - middle) ** 2;
  }
  return over / under;
}

/** Prints the result for people. */
export function printSoak({ minutes, requests, failures, growth }: SoakResult): void {
  console.log(`${minutes} minutes, ${requests} requests, ${failures} failed; own memory in MB`);
  console.table(Object.fromEntries(
    Object.entries(growth).map(([name, { privateMb, mbPerMinute, share }]) => [name, {
      "first": privateMb[0],
      "most": Math.max(...privateMb),
      "last": privateMb.at(-1),
      "growth a minute": mbPerMinute,
      "growth in all": `${(100 * share).toFixed(1)} %`,
    }]),
  ));
}
