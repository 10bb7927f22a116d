/** The program `lloom-client`. @module */
import { Option } from "@commander-js/extra-typings";
import { LloomError } from "@lloom/core/errors";
import { generateIdentity, Identity, parsePrivateKey } from "@lloom/core/identity";
import {
  createProgram,
  generateIdentityCommand,
  loadIdentity,
  openCommand,
  runInterruptibly,
  runProgram,
} from "@lloom/host";
import { CLIENT_SETTINGS, type ClientConfig } from "@lloom/host/config";
import type { CompleteOptions, LloomClient } from "./client.ts";

/** What the command line asks for. */
interface Wishes {
  readonly prompt?: string | undefined;
  readonly queryModel?: string | undefined;
  readonly discoverModels?: true | undefined;
  readonly demo?: true | undefined;
}

interface Context {
  readonly config: ClientConfig;
  readonly format: "text" | "json";
  readonly sandboxWorkers: boolean;
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
  return runProgram(program, args);
}

async function run(wishes: Wishes, context: Context, signal: AbortSignal): Promise<void> {
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
  if (bootstrapNodes.length === 0 && !config.network.enableMdns) {
    throw new LloomError(
      "config_invalid",
      "join network: name a node with --bootstrap-nodes or LLOOM_BOOTSTRAP_NODES, or try --demo",
    );
  }
  const identity = loadIdentity(config);
  const { LloomClient } = await import("./client.ts");
  const client = await LloomClient.connect({
    bootstrapNodes,
    identity,
    network: config.network,
    sandboxWorkers,
  });
  try {
    await serve(wishes, client, context, signal);
  } finally {
    await client.close();
  }
}

/** Does what is asked for, with a line on the terminal until there is something to show. */
async function serve(
  wishes: Wishes,
  client: LloomClient,
  { config, format }: Context,
  signal: AbortSignal,
): Promise<void> {
  const { showProgress } = await import("./progress.ts");
  const { model, temperature, maxTokens, systemPrompt, requestTimeoutSecs } =
    config.client.defaults;
  const hide = showProgress(() => `searching the network, ${client.peers} peers`);
  try {
    if (wishes.prompt === undefined && !wishes.demo) {
      const { printExecutors, printModels } = await import("./list.ts");
      return await (wishes.queryModel === undefined
        ? printModels(client, format, signal, hide)
        : printExecutors(client, wishes.queryModel, format, signal, hide));
    }
    const { askAndPrint, printSummary } = await import("./ask.ts");
    const { DEMO_MODEL, DEMO_PROMPT } = await import("./demo.ts");
    const asked = model ?? (wishes.demo ? DEMO_MODEL : undefined);
    if (asked === undefined) {
      throw new LloomError(
        "config_invalid",
        "ask: name a model with --model or LLOOM_DEFAULT_MODEL; --discover-models lists them",
      );
    }
    const report = await askAndPrint(
      client,
      {
        model: asked,
        prompt: wishes.prompt ?? DEMO_PROMPT,
        maxTokens,
        ...(systemPrompt !== undefined && { systemPrompt }),
        ...(temperature !== undefined && { temperature }),
      },
      { ...routing(config), timeoutMs: requestTimeoutSecs * 1000, signal },
      format,
      hide,
    );
    if (format === "text" && Deno.stderr.isTerminal()) printSummary(report);
  } catch (error) {
    if (!(error instanceof LloomError) || error.code !== "no_executor") throw error;
    if (wishes.discoverModels) throw error;
    const hint = "--discover-models lists what is on offer";
    throw new LloomError(error.code, `${error.message}; ${hint}`, { cause: error });
  } finally {
    hide();
  }
}

/** How the settings say that an executor is chosen. */
function routing({ executorSelection }: ClientConfig): CompleteOptions {
  const { strategy, weights, preferredExecutors, ...prices } = executorSelection;
  const { maxInboundPrice, maxOutboundPrice } = prices;
  return {
    strategy: strategy === "specific"
      ? { type: strategy, names: preferredExecutors }
      : strategy === "balanced"
      ? { type: strategy, weights }
      : { type: strategy },
    prefer: preferredExecutors,
    ...(maxInboundPrice !== undefined && { maxInboundPrice }),
    ...(maxOutboundPrice !== undefined && { maxOutboundPrice }),
  };
}

if (import.meta.main) Deno.exit(await main(Deno.args));
