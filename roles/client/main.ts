/** The program `lloom-client`. @module */
import { Option } from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import { generateIdentity, Identity, parsePrivateKey } from "@lloom/core/identity";
import {
  type CommandContext,
  createProgram,
  generateIdentityCommand,
  openCommand,
  runInterruptibly,
  runProgram,
} from "@lloom/host";
import { CLIENT_SETTINGS, type ClientConfig } from "@lloom/host/config";
import { clientCommands } from "./commands/mod.ts";
import { type NetworkContext, withNetwork } from "./network.ts";
import { routingOptions } from "./routing_options.ts";

/** What the command line asks for. */
interface Wishes {
  readonly prompt?: string | undefined;
  readonly queryModel?: string | undefined;
  readonly discoverModels?: true | undefined;
  readonly demo?: true | undefined;
  readonly dryRun?: true | undefined;
}

/**
 * Runs the program.
 * @returns the code to exit with
 */
export function main(args: readonly string[]): Promise<number> {
  const program = createProgram(
    CLIENT_SETTINGS,
    "Asks language models on the Lloom network, and proves what they answered.",
  );
  program
    .addOption(
      new Option("--prompt <text>", "ask a model").conflicts([
        "discoverModels",
        "queryModel",
        "demo",
      ]),
    )
    .addOption(
      new Option("--discover-models", "list the models on offer").conflicts([
        "queryModel",
        "demo",
      ]),
    )
    .addOption(
      new Option("--query-model <name>", "list the executors that offer a model").conflicts("demo"),
    )
    .addOption(
      new Option(
        "--dry-run",
        "with --prompt: say who would be asked and what it can cost, and stop",
      )
        .conflicts(["discoverModels", "queryModel", "demo"]),
    )
    .option("--demo", "run a network on this machine and ask it; with --bootstrap-nodes, ask that")
    .addCommand(generateIdentityCommand(CLIENT_SETTINGS))
    .action(async (options, command) => {
      const wishes: Wishes = options;
      const { prompt, queryModel, discoverModels, demo } = wishes;
      if ([prompt, queryModel, discoverModels, demo].every((wish) => wish === undefined)) {
        command.help({ error: true });
      }
      const context = openCommand(CLIENT_SETTINGS, command);
      await runInterruptibly((signal) => run(wishes, context, signal));
    });
  for (const command of clientCommands()) program.addCommand(command);
  return runProgram(program, args);
}

async function run(
  wishes: Wishes,
  context: CommandContext<ClientConfig>,
  signal: AbortSignal,
): Promise<void> {
  const { config, format, sandboxWorkers } = context;
  const { bootstrapNodes } = config.network;
  const { defaults } = config.client;
  if (wishes.demo && bootstrapNodes.length === 0) {
    const { runDemo } = await import("./demo.ts");
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
  await withNetwork(context, signal, (context) => serve(wishes, context));
}

/** Does what is asked for, with a line on the terminal until there is something to show. */
async function serve(
  wishes: Wishes,
  { client, wallet, config, format, signal }: NetworkContext,
): Promise<void> {
  const { showProgress } = await import("./progress.ts");
  const { model, temperature, maxTokens, systemPrompt } = config.client.defaults;
  const hide = showProgress(() => `searching the network, ${client.peers} peers`);
  try {
    if (wishes.prompt === undefined && !wishes.demo) {
      const { printExecutors, printModels } = await import("./list.ts");
      return await (wishes.queryModel === undefined
        ? printModels(client, format, signal, hide)
        : printExecutors(client, wishes.queryModel, wallet.funds, format, signal, hide));
    }
    const { askAndPrint, chatRequest, printSummary } = await import("./ask.ts");
    const { DEMO_MODEL, DEMO_PROMPT } = await import("./demo.ts");
    const asked = model ?? (wishes.demo ? DEMO_MODEL : undefined);
    if (asked === undefined) {
      throw new LloomError(
        "config_invalid",
        "ask: name a model with --model or LLOOM_DEFAULT_MODEL; --discover-models lists them",
      );
    }
    const question = {
      model: asked,
      prompt: wishes.prompt ?? DEMO_PROMPT,
      maxTokens,
      ...(systemPrompt !== undefined && { systemPrompt }),
      ...(temperature !== undefined && { temperature }),
    };
    const options = { ...routingOptions(config), signal };
    if (wishes.dryRun) {
      const body = new TextEncoder().encode(JSON.stringify(chatRequest(question)));
      const { printDryRun } = await import("./dry_run.ts");
      return await printDryRun(client, body, options, wallet, format, hide);
    }
    const report = await askAndPrint(client, question, options, format, hide);
    const isWorthIt = Deno.stderr.isTerminal() || report.spending !== undefined;
    if (format === "text" && isWorthIt) printSummary(report);
  } catch (error) {
    if (!(error instanceof LloomError) || error.code !== "no_executor") throw error;
    if (wishes.discoverModels) throw error;
    const message = `${error.message}; --discover-models lists what is on offer`;
    throw new LloomError(error.code, message, { cause: error });
  } finally {
    hide();
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
