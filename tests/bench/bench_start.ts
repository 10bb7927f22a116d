/**
 * How long a one-shot client takes from the start of its process to the first token, and how much
 * memory each role holds while idle. Takes about 20 seconds.
 * @module
 */
import { manifestFlags, manifestOf } from "@lloom/host/manifest";
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { startDeno } from "../support/child_process.ts";
import { type Figure, figure, show } from "./figures.ts";
import { type Market, MODEL, withMarket } from "./market.ts";
import { type Memory, memory } from "./process_stats.ts";

const RUNS = 7;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What starting costs. */
export interface StartResult {
  /** From the start of the process to the first byte of an answer on standard output. */
  readonly firstTokenMs: Figure;
  /** The same for a program that only prints: what Deno itself takes here, now. */
  readonly emptyProgramMs: Figure;
  /** Of idle roles; empty where it cannot be measured. */
  readonly idle: Readonly<Record<string, Memory>>;
}

/** Measures all. */
export async function benchStart(): Promise<StartResult> {
  return await withMarket(async (market) => {
    const idle = await measureMemory(market);
    const firstTokenMs: number[] = [];
    const emptyProgramMs: number[] = [];
    await timeToOutput(clientCommand(market)); // fills Deno's caches
    for (let run = 0; run < RUNS; run++) {
      emptyProgramMs.push(await timeToOutput([here("./testdata/print.ts")]));
      firstTokenMs.push(await timeToOutput(clientCommand(market)));
    }
    return {
      firstTokenMs: figure(firstTokenMs),
      emptyProgramMs: figure(emptyProgramMs),
      idle,
    };
  });
}

/** The client as it is installed. */
function clientCommand({ directory, bootstrapNodes }: Market): string[] {
  const manifest = manifestOf("client");
  const values = { code: [here("../../")], data: [`${directory}/client`], config: [], env: [] };
  return [
    ...["--config", here("../../deno.json"), ...manifestFlags(manifest, values)],
    ...[here("../../roles/client/main.ts"), ...manifest.arguments],
    ...["--data-dir", `${directory}/client`, "--prompt", "Hello!", "--model", MODEL],
    ...bootstrapNodes.flatMap((node) => ["--bootstrap-nodes", node]),
  ];
}

/** From the start of a process to the first byte that it prints. */
async function timeToOutput(args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let firstMs: number | undefined;
  for await (const _ of process.stdout) firstMs ??= performance.now() - startMs;
  assert.equal((await process.status).code, 0);
  assert.ok(firstMs !== undefined, "the program printed nothing");
  return firstMs;
}

async function measureMemory({ pids, bootstrapNodes }: Market): Promise<Record<string, Memory>> {
  const client = startDeno([
    ...["-A", "--unstable-worker-options", here("./testdata/idle_client.ts")],
    ...[MODEL, ...bootstrapNodes],
  ]);
  try {
    // It has found the executor: so all of them are up, know each other, and rest.
    await client.line("found");
    const all = { client: client.pid, executor: pids.executor, validator: pids.validator };
    return Object.fromEntries(
      Object.entries(all).flatMap(([name, pid]) => {
        const held = memory(pid);
        return held === undefined ? [] : [[name, held]];
      }),
    );
  } finally {
    client.kill("SIGKILL");
    await client.ended;
  }
}

/** Prints the result for people. */
export function printStart({ firstTokenMs, emptyProgramMs, idle }: StartResult): void {
  console.log(`start to first token of --prompt: ${show(firstTokenMs, 0)} ms`);
  console.log(`start to output of an empty program: ${show(emptyProgramMs, 0)} ms`);
  if (Object.keys(idle).length === 0) return console.log("memory: only measured on Linux");
  console.log("memory of idle roles, MB");
  console.table(idle);
}
