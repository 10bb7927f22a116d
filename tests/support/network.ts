/** A network of real processes on this machine, each with the permissions of its manifest. @module */
import { LloomClient, type LloomClientOptions } from "@lloom/client";
import { generateIdentity } from "@lloom/core/identity";
import { createNode, type LloomNode } from "@lloom/core/net";
import { MAX_ANSWER_BYTES, REGISTRY_PROTOCOL } from "@lloom/core/protocol";
import { queryPages, verifiedExecutors } from "@lloom/core/registry";
import { type ReadyInfo, systemClock } from "@lloom/host";
import type { RoleName } from "@lloom/host/config";
import { manifestFlags, manifestOf } from "@lloom/host/manifest";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, type ChildOptions, type ChildResult, startDeno } from "./child_process.ts";
import { verifier } from "./executor.ts";
import { type MockLlmOptions, type MockLlmServer, startMockLlmServer } from "./mock_llm_server.ts";

/** libp2p leaves timers behind, which the test runner would take for leaks. */
export const PROCESS_TEST = { sanitizeOps: false, sanitizeResources: false } as const;

/** Where nodes listen. */
export const LOOPBACK = "/ip4/127.0.0.1/tcp/0";

const ROOT = new URL("../../", import.meta.url);

/** A validator or an executor at work. */
export interface RunningRole {
  readonly ready: ReadyInfo;
  readonly peerId: string;
  readonly child: Child;
  readonly dataDir: string;
  /** Ends it with SIGKILL. */
  destroy(): Promise<void>;
}

/** How a role is started. */
export interface StartOptions {
  /** Multiaddrs. @default those of all validators started so far */
  readonly bootstrap?: readonly string[];
  /** @default {@linkcode LOOPBACK} */
  readonly listen?: string;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** A name of its own for its data; the same again is a restart. */
  readonly name?: string;
}

/** How an executor is started. */
export interface ExecutorStartOptions extends StartOptions {
  /** Servers that it offers the models of. */
  readonly backends: readonly MockLlmServer[];
  /** Lines for every `[[llm_backends]]`. */
  readonly backend?: string;
  /** Further sections of its `config.toml`. */
  readonly config?: string;
  /** Validators that are to list it. @default those among its bootstrap nodes */
  readonly listedBy?: readonly RunningRole[];
}

/** Deno's arguments for a role: the flags of its manifest, its program, and its own arguments. */
export function roleArguments(role: RoleName, dataDir: string): readonly string[] {
  const manifest = manifestOf(role);
  const values = { code: [fileURLToPath(ROOT)], data: [dataDir], config: [], env: [] };
  return ["--quiet", ...manifestFlags(manifest, values), program(role), ...manifest.arguments];
}

/** The path of a role's program. */
export function program(role: RoleName): string {
  return fileURLToPath(new URL(`roles/${role}/main.ts`, ROOT));
}

/** The sections of a `config.toml` that name model servers. */
export function backendsToml(backends: readonly MockLlmServer[], lines = ""): string {
  return backends.map(({ url, options }, i) =>
    [
      "[[llm_backends]]",
      `name = "mock${i}"`,
      `kind = "${options.dialect ?? "openai"}"`,
      `endpoint = "${url}"`,
      lines,
      "",
    ].join("\n")
  ).join("\n");
}

/** Processes, mocks and clients that end with the test, however it ends. */
export class Network implements AsyncDisposable {
  readonly #dir: string;
  readonly #children: Child[] = [];
  readonly #mocks: MockLlmServer[] = [];
  readonly #clients: LloomClient[] = [];
  readonly #validators: RunningRole[] = [];
  #probe: Promise<LloomNode> | undefined;
  #made = 0;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** A network of as many validators; the first is the others' bootstrap node. */
  static async open(validators = 1): Promise<Network> {
    const network = new Network(await Deno.makeTempDir({ prefix: "lloom-e2e-" }));
    try {
      for (let i = 0; i < validators; i++) await network.validator();
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All validators started so far. */
  get validators(): readonly RunningRole[] {
    return this.#validators;
  }

  /** The multiaddrs of all validators started so far. */
  get bootstrap(): readonly string[] {
    return this.#validators.flatMap(({ ready }) => ready.multiaddrs);
  }

  /** A new directory. */
  async directory(name = `node${this.#made++}`): Promise<string> {
    const path = join(this.#dir, name);
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /** Starts a model server without a model. */
  mock(options: MockLlmOptions = {}): MockLlmServer {
    const mock = startMockLlmServer(options);
    this.#mocks.push(mock);
    return mock;
  }

  /** Starts a validator. */
  async validator(options: StartOptions = {}): Promise<RunningRole> {
    const validator = await this.#start("validator", options);
    this.#validators.push(validator);
    return validator;
  }

  /** Starts an executor; resolves once validators list it. */
  async executor(options: ExecutorStartOptions): Promise<RunningRole> {
    const { backends, backend, config = "" } = options;
    const name = options.name ?? `node${this.#made++}`;
    const toml = `${backendsToml(backends, backend)}\n${config}`;
    const path = join(await this.directory(name), "config.toml");
    await Deno.writeTextFile(path, toml, { mode: 0o600 });
    const executor = await this.#start("executor", { ...options, name });
    const { bootstrap = this.bootstrap } = options;
    const listedBy = options.listedBy ??
      this.#validators.filter(({ ready }) =>
        ready.multiaddrs.some((address) => bootstrap.includes(address))
      );
    await Promise.all(listedBy.map((validator) => announced(validator, executor)));
    return executor;
  }

  /** A client as a library. */
  async client(options: Partial<LloomClientOptions> = {}): Promise<LloomClient> {
    const client = await LloomClient.connect({ bootstrapNodes: this.bootstrap, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Starts the client's program. */
  command(
    args: readonly string[],
    { bootstrap = this.bootstrap }: StartOptions = {},
    child: ChildOptions = {},
  ): Child {
    const dataDir = join(this.#dir, "client");
    return this.track(startDeno([
      ...roleArguments("client", dataDir),
      ...["--data-dir", dataDir],
      ...bootstrap.flatMap((address) => ["--bootstrap-nodes", address]),
      ...args,
    ], child));
  }

  /** Runs the client's program to its end. */
  run(...args: readonly string[]): Promise<ChildResult> {
    return this.command(args).ended;
  }

  /** Has a process end with the network. */
  track(child: Child): Child {
    this.#children.push(child);
    return child;
  }

  /** The PeerIds of the executors that a node lists, as it answers now. */
  async listed(at: RunningRole): Promise<readonly string[]> {
    this.#probe ??= this.#startProbe();
    const { peerId, multiaddrs } = at.ready;
    const stream = await (await this.#probe).openStream(
      { peerId, multiaddrs },
      REGISTRY_PROTOCOL,
      { maxFrameBytes: MAX_ANSWER_BYTES },
    );
    const { signal } = new AbortController();
    const peers: string[] = [];
    for await (const { executors } of queryPages(stream, { type: "search" }, signal)) {
      const components = { verifier, clock: systemClock };
      const entries = await verifiedExecutors(executors, components);
      peers.push(...entries.map(({ announcement }) => announcement.peerId));
    }
    await stream.close();
    return peers;
  }

  /** Ends everything at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    if (this.#probe !== undefined) await (await this.#probe).stop();
    for (const child of this.#children) kill(child, "SIGKILL");
    await Promise.all(this.#children.map(({ ended }) => ended));
    await Promise.all(this.#mocks.map((mock) => mock.stop()));
    await Deno.remove(this.#dir, { recursive: true });
  }

  async #startProbe(): Promise<LloomNode> {
    const node = await createNode(
      { listen: [], loopbackOnly: true },
      { privateKey: generateIdentity().exportPrivateKey(), clock: systemClock },
    );
    await node.start();
    return node;
  }

  async #start(role: "validator" | "executor", options: StartOptions): Promise<RunningRole> {
    const { listen = LOOPBACK, bootstrap = this.bootstrap, args = [], name } = options;
    const dataDir = await this.directory(name);
    const child = this.track(startDeno([
      ...roleArguments(role, dataDir),
      // So that nothing is left behind, even where this process is killed.
      "--stop-with-stdin",
      ...["--data-dir", dataDir, "--format", "json", "--log-level", "debug", "--listen", listen],
      ...bootstrap.flatMap((address) => ["--bootstrap-nodes", address]),
      ...args,
    ], { openStdin: true }));
    const ready = await readyOf(child);
    const destroy = async () => {
      kill(child, "SIGKILL");
      await child.ended;
    };
    return { ready, peerId: ready.peerId, child, dataDir, destroy };
  }
}

/** Waits for a role's ready line. @throws with exit code and log if it ends before */
export async function readyOf(child: Child): Promise<ReadyInfo> {
  const ready = await child.line('"event":"ready"').catch(async (cause) => {
    kill(child, "SIGKILL");
    const { code, stderr } = await child.ended;
    throw new Error(`start role: exit code ${code}\n${stderr}`, { cause });
  });
  return JSON.parse(ready) as ReadyInfo;
}

/** Resolves once a validator has taken an executor's models in. */
export async function announced(validator: RunningRole, executor: RunningRole): Promise<void> {
  await validator.child.logged(new RegExp(`of .*${executor.peerId}.*: [1-9]\\d* models`));
}

/** Sends a signal, unless the process has ended. */
export function kill(child: Child, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // Deno throws TypeError for a process that it has seen the end of.
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}
