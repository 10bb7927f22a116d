/** The program `lloom-client`. @module */
import { generateIdentity, Identity, parsePrivateKey } from "@lloom/core/identity";
import {
  type CommandContext,
  createProgram,
  generateIdentityCommand,
  openCommand,
  type ParsedCommand,
  runInterruptibly,
  runProgram,
  UsageError,
} from "@lloom/host";
import { CLIENT_SETTINGS, type ClientConfig } from "@lloom/host/config";
import { clientCommands } from "./commands/mod.ts";
import { addFlags, type Flags, type Task, taskOf } from "./flags.ts";
import { advised, type NetworkContext, withNetwork } from "./network.ts";
import type { AnswerFormat } from "./prompt/answer_form.ts";

/** What the command line asks for. */
interface Wanted {
  readonly flags: Flags;
  readonly task: Task;
  /** How an answer is printed. */
  readonly answerFormat: AnswerFormat;
}

/**
 * Runs the program.
 * @returns the code to exit with
 */
export function main(args: readonly string[]): Promise<number> {
  const program = addFlags(createProgram(
    CLIENT_SETTINGS,
    "Asks language models on the Lloom network, and proves what they answered.",
    { formats: ["markdown"] },
  ));
  program
    .addCommand(generateIdentityCommand(CLIENT_SETTINGS))
    .action(async (flags, command) => {
      const task = taskOf(flags, Deno.stdin.isTerminal());
      if (task === undefined) return command.help({ error: true });
      const wanted = { flags, task, answerFormat: formatOf(command) };
      checkFormat(wanted);
      const context = openCommand(CLIENT_SETTINGS, command);
      await runInterruptibly((signal) => run(wanted, context, signal));
    });
  for (const command of clientCommands()) program.addCommand(command);
  program.hook("preAction", (_, command) => {
    if (command.parent !== null && formatOf(command) === "markdown") {
      throw notMarkdown();
    }
  });
  return runProgram(program, args);
}

function formatOf(command: ParsedCommand): AnswerFormat {
  const { format } = command.optsWithGlobals() as { readonly format: AnswerFormat };
  return format;
}

/** @throws {UsageError} for a format that the task's result cannot have */
function checkFormat({ flags, task, answerFormat }: Wanted): void {
  if (answerFormat === "markdown" && (task !== "prompt" || flags.async || flags.dryRun)) {
    throw notMarkdown();
  }
  if (answerFormat === "json" && flags.stream) {
    throw new UsageError("read flags: --stream with --format json: the answer is one object");
  }
}

function notMarkdown(): UsageError {
  return new UsageError("read flags: --format markdown is for the answer to --prompt");
}

async function run(
  wanted: Wanted,
  context: CommandContext<ClientConfig>,
  signal: AbortSignal,
): Promise<void> {
  const { flags, task, answerFormat } = wanted;
  const { config, format, sandboxWorkers } = context;
  const { defaults } = config.client;
  if (task === "demo" && config.network.bootstrapNodes.length === 0) {
    const { runDemo } = await import("./demo/demo.ts");
    const { privateKey } = config.identity;
    return await runDemo({
      // A demo leaves no key behind.
      identity: privateKey === undefined
        ? generateIdentity()
        : new Identity(parsePrivateKey(privateKey)),
      model: defaults.model,
      maxTokens: defaults.maxTokens,
      timeoutMs: defaults.requestTimeoutSecs * 1000,
      format,
      sandboxWorkers,
      signal,
    });
  }
  if (task === "batch") {
    const { runBatch } = await import("./batch/batch.ts");
    return await runBatch(flags, context, signal);
  }
  if (task === "prompt" || task === "demo") {
    const { runPrompt } = await import("./prompt/prompt.ts");
    return await runPrompt(flags, answerFormat, context, signal);
  }
  await withNetwork(context, signal, (network) => list(flags, network));
}

/** Lists what is on offer, with a line on the terminal until there is something to show. */
async function list(
  { queryModel }: Flags,
  { client, wallet, format, signal }: NetworkContext,
): Promise<void> {
  const [{ showProgress }, { printExecutors, printModels }] = await Promise.all([
    import("./progress.ts"),
    import("./list.ts"),
  ]);
  const hide = showProgress(() => `searching the network, ${client.peers} peers`);
  try {
    await (queryModel === undefined
      ? printModels(client, format, signal, hide)
      : printExecutors(client, queryModel, wallet.funds, format, signal, hide));
  } catch (error) {
    throw queryModel === undefined ? error : advised(error);
  } finally {
    hide();
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
