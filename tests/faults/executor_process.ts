/** An executor's process among others that are killed: the program itself, with its own permissions. @module */
import type { Identity } from "@lloom/core/identity";
import type { ReadyInfo } from "@lloom/host";
import { join } from "node:path";
import { LOOPBACK, roleArguments } from "../support/network.ts";
import { Member } from "./member.ts";

/** See the module. */
export class ExecutorProcess extends Member {
  readonly identity: Identity;
  readonly dataDir: string;
  #ready = Promise.withResolvers<ReadyInfo>();
  #isUp = false;
  #listen = LOOPBACK;
  #multiaddrs: readonly string[] = [];

  constructor(identity: Identity, dataDir: string) {
    super();
    this.identity = identity;
    this.dataDir = dataDir;
  }

  /** Where it listens, after every start. */
  get multiaddrs(): readonly string[] {
    return this.#multiaddrs;
  }

  /** Resolves once the process that was started last is ready. */
  get ready(): Promise<unknown> {
    return Promise.race([this.#ready.promise, this.failed]);
  }

  /** Whether the process that was started last was ready, and was not killed since. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Writes its settings, and starts it for the first time. @param toml the lines of its `config.toml` */
  async begin(toml: readonly string[]): Promise<void> {
    const { dataDir } = this;
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
    const settings = { mode: 0o600 } as const;
    await Deno.writeTextFile(join(dataDir, "config.toml"), toml.join("\n"), settings);
    const key = this.identity.exportPrivateKey().toHex();
    await Deno.writeTextFile(join(dataDir, "identity.key"), key, settings);
    this.start();
    const { multiaddrs } = await Promise.race([this.#ready.promise, this.failed]);
    this.#multiaddrs = multiaddrs;
    // So that clients find it where it was.
    this.#listen = multiaddrs[0]!.replace(/\/p2p\/.*/, "");
  }

  start(): void {
    const { dataDir } = this;
    const ready = this.#ready = Promise.withResolvers();
    const args = ["--data-dir", dataDir, "--format", "json", "--listen", this.#listen];
    this.run([...roleArguments("executor", dataDir), "--stop-with-stdin", ...args], (line) => {
      if (!line.includes('"event":"ready"')) return;
      this.#isUp = this.#ready === ready;
      ready.resolve(JSON.parse(line));
    });
  }

  override async kill(): Promise<void> {
    this.#isUp = false;
    await super.kill();
  }

  /** Has it end as its operator would. */
  async stop(): Promise<void> {
    this.#isUp = false;
    await this.endWith((process) => process.kill("SIGTERM"));
  }
}
