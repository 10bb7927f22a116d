/** What the command line asks of the client itself, beside its settings and subcommands. @module */
import { type Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { UsageError } from "@lloom/host";

/** How important an answer is: what it may cost, and how soon it should be there. */
export type Priority = "low" | "normal" | "high";

/** The flags, by commander's names. */
export type Flags = {
  readonly prompt?: string | undefined;
  readonly batch?: string | undefined;
  readonly queryModel?: string | undefined;
  readonly discoverModels?: true | undefined;
  readonly demo?: true | undefined;
  readonly dryRun?: true | undefined;
  readonly async?: true | undefined;
  readonly stream?: boolean | undefined;
  readonly output?: string | undefined;
  readonly appendOutput?: string | undefined;
  readonly concurrency?: number | undefined;
  readonly priority?: Priority | undefined;
  readonly callbackUrl?: string | undefined;
};

/** What is done: one of these at a time. */
export type Task = "prompt" | "batch" | "queryModel" | "discoverModels" | "demo";

const TASKS: readonly Task[] = ["prompt", "batch", "queryModel", "discoverModels", "demo"];

/** With which of them each of the other flags has a meaning. */
const GOES_WITH: Readonly<Record<Exclude<keyof Flags, Task>, readonly Task[]>> = {
  dryRun: ["prompt"],
  async: ["prompt"],
  stream: ["prompt"],
  output: ["prompt", "batch"],
  appendOutput: ["prompt"],
  concurrency: ["batch"],
  priority: ["prompt", "batch"],
  callbackUrl: ["prompt", "batch"],
};

/** Requests of a batch at once, at most: executors queue what is more. */
const MAX_CONCURRENCY = 256;

/** Adds the flags to a program. */
export function addFlags(program: Command): Command<[], Flags> {
  return program
    .option("--prompt <text>", "ask a model; - reads the prompt from standard input")
    .option("--batch <file>", "ask all that a file asks, JSON or JSON lines; - is standard input")
    .option("--discover-models", "list the models on offer")
    .option("--query-model <name>", "list the executors that offer a model")
    .option("--demo", "run a network on this machine and ask it; with --bootstrap-nodes, ask that")
    .option("--dry-run", "with --prompt: say who would be asked and what it can cost, and stop")
    .option("--async", "with --prompt: have the gateway ask, print the id for `status`, and stop")
    .option("--stream", "print the answer while it comes (default for text and markdown)")
    .option("--no-stream", "print the answer once it is whole and proven")
    .addOption(
      new Option(
        "--output <file>",
        "write the answer there instead; a batch goes on where the file ends",
      ).conflicts("appendOutput"),
    )
    .option("--append-output <file>", "add the answer to the end of a file")
    .option("--concurrency <number>", "with --batch: requests at once (default: 4)", atOnce)
    .addOption(
      new Option(
        "--priority <priority>",
        "low: the best price; high: the fastest, and a second one where it is slow",
      )
        .choices(["low", "normal", "high"] as const).conflicts("strategy"),
    )
    .option("--callback-url <url>", "POST the report there when all is done", httpUrl);
}

/**
 * What is to be done. Without a word about it, a prompt on standard input is; undefined if there is
 * none either.
 * @param stdinIsTerminal whether standard input is a person
 * @throws {UsageError} for flags that have no meaning together
 */
export function taskOf(flags: Flags, stdinIsTerminal: boolean): Task | undefined {
  const [task, other] = TASKS.filter((task) => flags[task] !== undefined);
  if (task !== undefined && other !== undefined) {
    throw new UsageError(`read flags: ${flagOf(task)} and ${flagOf(other)} exclude each other`);
  }
  const chosen = task ?? (stdinIsTerminal ? undefined : "prompt");
  for (const [name, tasks] of Object.entries(GOES_WITH)) {
    if (flags[name as keyof Flags] === undefined) continue;
    if (chosen === undefined || !tasks.includes(chosen)) {
      throw new UsageError(
        `read flags: ${flagOf(name)} goes with ${tasks.map(flagOf).join(" or ")}`,
      );
    }
  }
  const { async, dryRun, stream, output, appendOutput } = flags;
  if (async && (dryRun || stream !== undefined || output !== undefined || appendOutput)) {
    throw new UsageError("read flags: --async prints an id alone; `status` prints the answer");
  }
  return chosen;
}

function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function atOnce(text: string): number {
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MAX_CONCURRENCY) return number;
  throw new InvalidArgumentError(`It must be a number from 1 to ${MAX_CONCURRENCY}.`);
}

function httpUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("It must be an http or https URL.");
}
