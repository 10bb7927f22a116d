/** `--demo`: a whole network on this machine, and one question to it. @module */
import { LloomError } from "@lloom/core/errors";
import { print, printableJson, printError } from "@lloom/host";
import { findTool, missing } from "@lloom/host/foundry";
import {
  type LaunchedRole,
  launchRole,
  startAll,
  withTemporaryDirectory,
  writeConfig,
} from "@lloom/host/launch";
import type { Identity } from "@lloom/core/identity";
import { LloomClient } from "../client.ts";
import { findModelServers, MODEL_SERVERS } from "../diagnose/model_servers.ts";
import { ask, askAndPrint, printSummary } from "../prompt/ask.ts";
import type { Wallet } from "../wallet.ts";
import type { DemoMoney } from "./demo_money.ts";
import { describeSettlement, settlementJson } from "./demo_settlement.ts";

/** What the demo asks. */
export const DEMO_PROMPT = "Please introduce yourself!";
/** What it asks on a network that already exists. */
export const DEMO_MODEL = "gpt-oss:20b";

/** The model that comes with Lloom. */
const EMBEDDED_MODEL = "lloom-demo";

/** How the demo is run. */
export interface DemoOptions {
  /** Who asks. */
  readonly identity: Identity;
  /** @default the first that the backend names */
  readonly model: string | undefined;
  readonly maxTokens: number;
  readonly timeoutMs: number;
  readonly format: "text" | "json";
  readonly sandboxWorkers: boolean;
  readonly signal: AbortSignal;
}

interface Backend {
  readonly kind: string;
  readonly endpoint?: string;
  readonly model: string;
  readonly description: string;
}

/**
 * Starts a validator and an executor, asks, prints, and stops them. They run as processes of their
 * own with the permissions of their manifests, on the loopback interface only. Where there is anvil,
 * the answer is paid for, on a chain of the demo's own.
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { signal, format } = options;
  const say = (label: string, text: string) => {
    if (format === "text") printError(`${label.padEnd(11)}${text}\n`);
  };
  const backend = await pickBackend(options.model, signal);
  say("backend", backend.description);
  await withTemporaryDirectory(async (directory) => {
    await using stack = new AsyncDisposableStack();
    const run = { directory, signal, stack };
    const [{ money, problem }, validator] = await startAll([
      startMoney(options, directory, stack),
      launch("validator", [], run),
    ]);
    say("chain", money?.description ?? `none, so this is free: ${problem}`);
    say("validator", `${validator.ready.peerId}, process ${validator.pid}`);
    const bootstrapNodes = validator.ready.multiaddrs;
    await writeConfig(`${directory}/executor`, backendToml(backend) + (money?.executorToml ?? ""));
    const [executor, client] = await startAll([
      launch("executor", bootstrapNodes, run),
      connect(options, bootstrapNodes, money?.wallet, stack),
    ]);
    say("executor", `${executor.ready.peerId}, process ${executor.pid}`);
    const funds = money === undefined ? "" : `, with ${money.funds}`;
    say("client", `${client.identity.peerId}, this process${funds}`);
    if (money !== undefined) say("channel", await money.open(executor.ready.address));
    say("question", `${DEMO_PROMPT}\n`);
    const { maxTokens, timeoutMs } = options;
    const question = { model: backend.model, prompt: DEMO_PROMPT, maxTokens };
    if (format === "json") {
      const report = await ask(client, question, { signal, timeoutMs });
      const settlement = money && settlementJson(await money.settle(signal));
      return print(`${printableJson({ ...report, ...(settlement && { settlement }) })}\n`);
    }
    printSummary(await askAndPrint(client, question, { signal, timeoutMs }, { format }));
    if (money !== undefined) printError(describeSettlement(await money.settle(signal)));
  });
}

/** A chain, and what is paid with on it; why not, on a machine where anvil does not run. */
async function startMoney(
  { identity, sandboxWorkers }: DemoOptions,
  directory: string,
  stack: AsyncDisposableStack,
): Promise<{ readonly money?: DemoMoney; readonly problem?: string }> {
  // What follows loads viem.
  if (await findTool("anvil") === undefined) return { problem: missing("anvil") };
  const { DemoMoney } = await import("./demo_money.ts");
  try {
    const dataDir = `${directory}/client`;
    const money = await DemoMoney.start({ identity, dataDir, sandboxWorkers });
    if (money === undefined) return { problem: missing("anvil") };
    stack.defer(() => money.close());
    return { money };
  } catch (error) {
    if (!(error instanceof LloomError) || error.code !== "chain_unavailable") throw error;
    return { problem: error.message };
  }
}

async function launch(
  role: "validator" | "executor",
  bootstrapNodes: readonly string[],
  { directory, signal, stack }: {
    readonly directory: string;
    readonly signal: AbortSignal;
    readonly stack: AsyncDisposableStack;
  },
): Promise<LaunchedRole> {
  const launched = await launchRole({
    role,
    dataDir: `${directory}/${role}`,
    hosts: ["127.0.0.1"],
    args: [
      ...["--listen", "/ip4/127.0.0.1/tcp/0"],
      ...bootstrapNodes.flatMap((at) => ["--bootstrap-nodes", at]),
    ],
    signal,
  });
  stack.defer(launched.stop);
  return launched;
}

async function connect(
  { identity, sandboxWorkers }: DemoOptions,
  bootstrapNodes: readonly string[],
  wallet: Wallet | undefined,
  stack: AsyncDisposableStack,
): Promise<LloomClient> {
  const client = await LloomClient.connect({
    bootstrapNodes,
    identity,
    sandboxWorkers,
    ...(wallet && { wallet }),
  });
  stack.defer(() => client.close());
  return client;
}

/** A model server on this machine that has a model, else the embedded model. */
async function pickBackend(wanted: string | undefined, signal: AbortSignal): Promise<Backend> {
  for (const { kind, name, endpoint, models } of await findModelServers(signal)) {
    const model = wanted === undefined ? models[0] : models.find((id) => id === wanted);
    if (model === undefined) continue;
    return { kind, endpoint, model, description: `${model} of ${name} at ${endpoint}` };
  }
  const ports = MODEL_SERVERS.map(({ port }) => `:${port}`).join(", ");
  if (wanted !== undefined && wanted !== EMBEDDED_MODEL) {
    throw new LloomError("model_unavailable", `run demo: no model server on ${ports} has it`);
  }
  return {
    kind: "embedded",
    model: EMBEDDED_MODEL,
    description: `lloom-demo, a very small model inside the executor (no model server on ${ports})`,
  };
}

function backendToml({ kind, endpoint }: Backend): string {
  return [
    "[[llm_backends]]",
    `name = "demo"`,
    `kind = "${kind}"`,
    ...(endpoint === undefined ? [] : [`endpoint = "${endpoint}"`]),
    "",
  ].join("\n");
}
