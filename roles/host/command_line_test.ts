import assert from "node:assert/strict";
import { CLIENT_SETTINGS } from "./config/client_settings.ts";
import { EXECUTOR_SETTINGS, type ExecutorConfig } from "./config/executor_settings.ts";
import { type CommandContext, createProgram, openCommand } from "./command_line.ts";
import type { ClientConfig } from "./config/client_settings.ts";

/** What a subcommand `go` sees when a program is given some arguments. */
async function opened(args: string[]): Promise<CommandContext<ExecutorConfig>> {
  const program = createProgram(EXECUTOR_SETTINGS, "test");
  let context: CommandContext<ExecutorConfig> | undefined;
  program.command("go").action((_options, command) => {
    context = openCommand(EXECUTOR_SETTINGS, command);
  });
  program.exitOverride();
  await program.parseAsync(args, { from: "user" });
  assert.ok(context, "go was not run");
  return context;
}

const A = "/ip4/127.0.0.1/tcp/1";
const B = "/ip4/127.0.0.1/tcp/2";

Deno.test("a flag for a list may be repeated, and does not take the subcommand for an item", async () => {
  const one = await opened(["--bootstrap-nodes", A, "go"]);
  assert.deepEqual(one.config.network.bootstrapNodes, [A]);
  const two = await opened(["--bootstrap-nodes", A, "--bootstrap-nodes", B, "--listen", B, "go"]);
  assert.deepEqual(two.config.network.bootstrapNodes, [A, B]);
  assert.deepEqual(two.config.network.listenAddresses, [B]);
});

Deno.test("flags count before and after the subcommand", async () => {
  const { config, format, sandboxWorkers } = await opened([
    "--port=7",
    "go",
    "--log-level",
    "error",
    "--format",
    "json",
    "--sandbox-workers",
  ]);
  assert.equal(config.network.port, 7);
  assert.equal(config.logging.level, "error");
  assert.deepEqual([format, sandboxWorkers], ["json", true]);
  const plain = await opened(["go"]);
  assert.deepEqual([plain.format, plain.sandboxWorkers], ["text", false]);
});

Deno.test("a client's request is described by flags", async () => {
  const program = createProgram(CLIENT_SETTINGS, "test");
  let config: ClientConfig | undefined;
  program.action((_options, command) => {
    config = openCommand(CLIENT_SETTINGS, command).config;
  });
  const flags = ["--model", "llama", "--temperature", "0.5", "--max-tokens", "9"];
  await program.parseAsync([...flags, "--executor", `0x${"ab".repeat(20)}`], { from: "user" });
  assert.deepEqual(config?.client.defaults, {
    model: "llama",
    temperature: 0.5,
    maxTokens: 9,
    systemPrompt: undefined,
    requestTimeoutSecs: 300,
  });
  assert.deepEqual(config?.executorSelection.preferredExecutors, [`0x${"ab".repeat(20)}`]);
  assert.equal(config?.executorSelection.maxInboundPrice, undefined);
});
