/** A small network on the loopback interface, of processes with their manifests' permissions. @module */
import {
  type LaunchedRole,
  launchRole,
  withTemporaryDirectory,
  writeConfig,
} from "@lloom/host/launch";
import { fileURLToPath } from "node:url";
import { startDeno } from "../support/child_process.ts";

/** Tokens of every answer. */
export const TOKENS = 32;
/** The backend's only model. */
export const MODEL = "mock-model";

/** A model server, a validator, and an executor that offers the server's model. */
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
  /** Starts one more executor of the server's model. @param toml further sections of its settings */
  startExecutor(name: string, toml: string): Promise<LaunchedRole>;
}

/** Runs a market for the time that `use` takes. */
export async function withMarket<T>(use: (market: Market) => Promise<T>): Promise<T> {
  return await withTemporaryDirectory(async (directory) => {
    const stops: (() => Promise<unknown>)[] = [];
    try {
      const mock = fileURLToPath(new URL("../support/mock_llm_server.ts", import.meta.url));
      const args = ["--port", "0", "--tokens", String(TOKENS), "--model", MODEL];
      const backend = startDeno(["--allow-net=127.0.0.1", mock, ...args]);
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
      const startExecutor = async (name: string, toml: string): Promise<LaunchedRole> => {
        const dataDir = `${directory}/${name}`;
        await writeConfig(dataDir, backendToml(backendUrl) + toml);
        const executor = await launchRole({
          ...start,
          role: "executor",
          dataDir,
          args: [...listen, ...bootstrapNodes.flatMap((at) => ["--bootstrap-nodes", at])],
        });
        stops.unshift(executor.stop);
        return executor;
      };
      const executor = await startExecutor("executor", "");
      const pids = { backend: backend.pid, validator: validator.pid, executor: executor.pid };
      return await use({ backendUrl, bootstrapNodes, pids, directory, startExecutor });
    } finally {
      for (const stop of stops) await stop();
    }
  });
}

/** As many answers at once as the bench asks for: a queue would be measured otherwise. */
function backendToml(endpoint: string): string {
  return [
    "[[llm_backends]]",
    'name = "mock"',
    'kind = "openai"',
    `endpoint = "${endpoint}"`,
    "max_concurrent = 64",
    "",
  ].join("\n");
}
