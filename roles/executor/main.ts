/** The program `lloom-executor`. @module */
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  createProgram,
  generateIdentityCommand,
  loadIdentity,
  openCommand,
  print,
  printReady,
  runProgram,
  runUntilSignal,
} from "@lloom/host";
import { EXECUTOR_SETTINGS, type ExecutorConfig } from "@lloom/host/config";
import { executorCommands } from "./commands/mod.ts";
import type { ModelTest } from "./test_models.ts";

/** A stop lets requests finish first: their time, and some for the rest. */
const STOP_GRACE_MS = 20_000;

/**
 * Runs the program.
 * @returns the code to exit with
 */
export function main(args: readonly string[]): Promise<number> {
  const program = createProgram(
    EXECUTOR_SETTINGS,
    "Offers language models to the Lloom network, and serves them.",
  );
  program
    .option("--openai-api-key <key>", "serve OpenAI's models with this key; prefer an api_key_env")
    .option("--test", "ask every model for a few tokens first, and leave out what fails")
    .addCommand(generateIdentityCommand(EXECUTOR_SETTINGS))
    .action(async (options, command) => {
      const { config, format, ...context } = openCommand(EXECUTOR_SETTINGS, command);
      const settings = withOpenAi(config, options.openaiApiKey);
      assertBackends(settings);
      const identity = loadIdentity(config);
      // Loaded after the settings were found right: the network's code is most of the start.
      const { Executor } = await import("./executor.ts");
      await runUntilSignal(
        async (signal) => {
          const executor = await Executor.start(identity, settings, {
            sandboxWorkers: context.sandboxWorkers,
            signal,
            test: options.test === true,
            onTested: (test) => printTest(test, format),
          });
          printReady({
            role: "executor",
            peerId: identity.peerId,
            address: toChecksumAddress(identity.address),
            multiaddrs: executor.node.multiaddrs(),
            models: executor.models,
          }, format);
          return executor;
        },
        (executor) => executor.stop(),
        { graceMs: STOP_GRACE_MS, stopWithStdin: context.stopWithStdin },
      );
    });
  for (const command of executorCommands()) program.addCommand(command);
  return runProgram(program, args);
}

/** The settings, with OpenAI as a further backend if its key came as a flag. */
function withOpenAi(config: ExecutorConfig, apiKey: string | undefined): ExecutorConfig {
  if (apiKey === undefined) return config;
  if (config.llmBackends.some(({ kind }) => kind === "openai")) {
    throw new LloomError(
      "config_invalid",
      "read flag --openai-api-key: the configuration has an openai backend; give it an api_key_env",
    );
  }
  return {
    ...config,
    llmBackends: [...config.llmBackends, {
      name: "openai",
      kind: "openai",
      endpoint: "https://api.openai.com",
      apiKeyEnv: undefined,
      apiKey,
      supportedModels: [],
      aliases: {},
      contextLength: undefined,
      rateLimit: undefined,
      maxConcurrent: 16,
      maxQueue: 64,
      timeoutSecs: 120,
      features: [],
      extraFields: [],
    }],
  };
}

/** An executor with nothing to serve is a mistake worth a whole example. */
function assertBackends({ llmBackends, storage }: ExecutorConfig): void {
  if (llmBackends.length > 0) return;
  throw new LloomError(
    "config_invalid",
    `start executor: no backend to serve; add one to ${storage.dataDir}/config.toml, such as\n\n` +
      '[[llm_backends]]\nname = "local"\nkind = "ollama"\nendpoint = "http://127.0.0.1:11434"\n\n' +
      'or, for the small demo model, name = "demo" and kind = "embedded"',
  );
}

function printTest({ model, durationMs, error }: ModelTest, format: "text" | "json"): void {
  const ms = Math.round(durationMs);
  if (format === "json") {
    print(`${JSON.stringify({ event: "tested", model, ok: !error, durationMs: ms, error })}\n`);
  } else if (error === undefined) {
    print(`${model}: answers (${ms} ms)\n`);
  } else {
    print(`${model}: left out: ${error.message} (${error.code})\n`);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
