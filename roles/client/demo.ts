/** `--demo`: a whole network on this machine, and one question to it. @module */
import { LloomError } from "@lloom/core/errors";
import { parseJson } from "@lloom/core/protocol";
import { printError } from "@lloom/host";
import { launchRole, withTemporaryDirectory, writeConfig } from "@lloom/host/launch";
import type { Identity } from "@lloom/core/identity";
import { directHttp } from "@lloom/workers/direct_http";
import { askAndPrint, printSummary } from "./ask.ts";
import { LloomClient } from "./client.ts";

/** What the demo asks. */
export const DEMO_PROMPT = "Please introduce yourself!";
/** What it asks on a network that already exists. */
export const DEMO_MODEL = "gpt-oss:20b";

/** Where model servers listen by default, on this machine. */
const SERVERS = [
  { kind: "ollama", name: "Ollama", port: 11434 },
  { kind: "lmstudio", name: "LM Studio", port: 1234 },
  { kind: "llamacpp", name: "llama.cpp", port: 8080 },
  { kind: "vllm", name: "vLLM", port: 8000 },
] as const;

/** The model that comes with Lloom. */
const EMBEDDED_MODEL = "lloom-demo";

/** How long a model server has to answer; the one looked for is on this machine. */
const PROBE_TIMEOUT_MS = 500;
const MAX_LISTING_BYTES = 1 << 20;

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
 * own with the permissions of their manifests, on the loopback interface only.
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { signal, format } = options;
  const say = (label: string, text: string) => {
    if (format === "text") printError(`${label.padEnd(11)}${text}\n`);
  };
  const backend = await pickBackend(options.model, signal);
  say("backend", backend.description);
  await withTemporaryDirectory(async (directory) => {
    const hosts = ["127.0.0.1"];
    const listen = ["--listen", "/ip4/127.0.0.1/tcp/0"];
    const stops: (() => Promise<void>)[] = [];
    try {
      const validator = await launchRole({
        role: "validator",
        dataDir: `${directory}/validator`,
        hosts,
        args: listen,
        signal,
      });
      stops.unshift(validator.stop);
      say("validator", `${validator.ready.peerId}, process ${validator.pid}`);
      const bootstrapNodes = validator.ready.multiaddrs;
      await writeConfig(`${directory}/executor`, backendToml(backend));
      const executor = await launchRole({
        role: "executor",
        dataDir: `${directory}/executor`,
        hosts,
        args: [...listen, ...bootstrapNodes.flatMap((at) => ["--bootstrap-nodes", at])],
        signal,
      });
      stops.unshift(executor.stop);
      say("executor", `${executor.ready.peerId}, process ${executor.pid}`);
      const client = await LloomClient.connect({
        bootstrapNodes,
        identity: options.identity,
        sandboxWorkers: options.sandboxWorkers,
      });
      stops.unshift(() => client.close());
      say("client", `${client.identity.peerId}, this process`);
      say("question", `${DEMO_PROMPT}\n`);
      const { maxTokens, timeoutMs } = options;
      const question = { model: backend.model, prompt: DEMO_PROMPT, maxTokens };
      const report = await askAndPrint(client, question, { signal, timeoutMs }, format);
      if (format === "text") printSummary(report);
    } finally {
      for (const stop of stops) await stop();
    }
  });
}

/** A model server on this machine that has a model, else the embedded model. */
async function pickBackend(wanted: string | undefined, signal: AbortSignal): Promise<Backend> {
  const found = await Promise.all(SERVERS.map(async ({ kind, name, port }) => {
    const endpoint = `http://127.0.0.1:${port}`;
    const models = await listModels(endpoint, signal);
    const model = wanted === undefined ? models[0] : models.find((id) => id === wanted);
    return model === undefined
      ? undefined
      : { kind, endpoint, model, description: `${model} of ${name} at ${endpoint}` };
  }));
  const ports = SERVERS.map(({ port }) => `:${port}`).join(", ");
  const backend = found.find((backend) => backend !== undefined);
  if (backend !== undefined) return backend;
  if (wanted !== undefined && wanted !== EMBEDDED_MODEL) {
    throw new LloomError("model_unavailable", `run demo: no model server on ${ports} has it`);
  }
  return {
    kind: "embedded",
    model: EMBEDDED_MODEL,
    description: `lloom-demo, a very small model inside the executor (no model server on ${ports})`,
  };
}

/** The models of a server; none if there is no such server. */
async function listModels(endpoint: string, signal: AbortSignal): Promise<readonly string[]> {
  const timeout = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  using client = directHttp(new URL(endpoint));
  try {
    const response = await fetch(`${endpoint}/v1/models`, {
      redirect: "error",
      signal: AbortSignal.any([signal, timeout]),
      ...(client !== undefined && { client }),
    });
    const listing = parseJson(await response.bytes(), MAX_LISTING_BYTES);
    const { data } = listing as { readonly data?: unknown };
    if (!response.ok || !Array.isArray(data)) return [];
    return data.map((model) => model?.id).filter((id) => typeof id === "string");
  } catch {
    // Nobody there, or something else: either way no model server.
    signal.throwIfAborted();
    return [];
  }
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
