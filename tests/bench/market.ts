/** A small network on the loopback interface, of processes with their manifests' permissions. @module */
import {
  type LaunchedRole,
  launchRole,
  withTemporaryDirectory,
  writeConfig,
} from "@lloom/host/launch";
import { fileURLToPath } from "node:url";
import { startDeno } from "../support/child_process.ts";

/** A model server to start, and how many answers an executor asks it for at once. */
export interface BackendProgram {
  /** In `tests/`. */
  readonly program: string;
  readonly args: readonly string[];
  readonly maxConcurrent: number;
}

/** Tokens of every answer of {@linkcode MOCK}. */
export const TOKENS = 32;
/** The only model of {@linkcode MOCK}. */
export const MODEL = "mock-model";

/** The model server of the tests, which answers at once. A queue would be measured below 64 at once. */
export const MOCK: BackendProgram = {
  program: "support/mock_llm_server.ts",
  args: ["--port", "0", "--tokens", String(TOKENS), "--model", MODEL],
  maxConcurrent: 64,
};

/** A model server, a validator, and an executor that offers the server's models. */
export interface Market {
  /** Of the model server, without a final slash. */
  readonly backendUrl: string;
  readonly bootstrapNodes: readonly string[];
  /** Process ids by name. */
  readonly pids: {
    readonly backend: number;
    readonly validator: number;
    readonly executor: number;
  };
  /** A directory for what else is started. */
  readonly directory: string;
  /** Starts one more executor of the server's models. @param toml further sections of its settings */
  startExecutor(name: string, toml: string): Promise<LaunchedRole>;
  /** Starts a gateway on a free port. @param toml its settings */
  startGateway(name: string, toml: string): Promise<LaunchedRole>;
}

/** Runs a market for the time that `use` takes. */
export async function withMarket<T>(
  use: (market: Market) => Promise<T>,
  backendProgram = MOCK,
): Promise<T> {
  return await withTemporaryDirectory(async (directory) => {
    const stops: (() => Promise<unknown>)[] = [];
    try {
      const { program, args, maxConcurrent } = backendProgram;
      const path = fileURLToPath(new URL(`../${program}`, import.meta.url));
      const backend = startDeno(["--allow-net=127.0.0.1", path, ...args]);
      stops.unshift(() => {
        backend.kill("SIGKILL");
        return backend.ended;
      });
      const backendUrl = `http://127.0.0.1:${(await backend.line("")).trim()}`;
      const start = {
        hosts: ["127.0.0.1"],
        signal: new AbortController().signal,
      };
      const listen = ["--listen", "/ip4/127.0.0.1/tcp/0"];
      const validator = await launchRole({
        ...start,
        role: "validator",
        dataDir: `${directory}/validator`,
        args: listen,
      });
      stops.unshift(validator.stop);
      const bootstrapNodes = validator.ready.multiaddrs;
      const bootstrap = bootstrapNodes.flatMap((at) => ["--bootstrap-nodes", at]);
      const startExecutor = async (name: string, toml: string): Promise<LaunchedRole> => {
        const dataDir = `${directory}/${name}`;
        await writeConfig(dataDir, executorToml(backendUrl, maxConcurrent) + toml);
        const executor = await launchRole({
          ...start,
          role: "executor",
          dataDir,
          args: [...listen, ...bootstrap],
        });
        stops.unshift(executor.stop);
        return executor;
      };
      const startGateway = async (name: string, toml: string): Promise<LaunchedRole> => {
        const dataDir = `${directory}/${name}`;
        await writeConfig(dataDir, toml);
        const args = [...bootstrap, "gateway", "--port", "0"];
        const gateway = await launchRole({ ...start, role: "client", dataDir, args });
        stops.unshift(gateway.stop);
        return gateway;
      };
      const executor = await startExecutor("executor", "");
      const pids = { backend: backend.pid, validator: validator.pid, executor: executor.pid };
      return await use({
        ...{ backendUrl, bootstrapNodes, pids, directory },
        ...{ startExecutor, startGateway },
      });
    } finally {
      for (const stop of stops) await stop();
    }
  });
}

/** One client may have a quarter of all requests under way. */
function executorToml(endpoint: string, maxConcurrent: number): string {
  return [
    "[executor]",
    `max_concurrent_requests = ${4 * maxConcurrent}`,
    "[[llm_backends]]",
    'name = "backend"',
    'kind = "openai"',
    `endpoint = "${endpoint}"`,
    `max_concurrent = ${maxConcurrent}`,
    "",
  ].join("\n");
}
