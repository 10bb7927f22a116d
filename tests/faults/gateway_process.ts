/** A gateway's process, which must outlive all executors. @module */
import type { ReadyInfo } from "@lloom/host";
import { join } from "node:path";
import { roleArguments } from "../support/network.ts";
import { Member } from "./member.ts";

/** See the module. */
export class GatewayProcess extends Member {
  readonly #dataDir: string;
  readonly #bootstrapNodes: readonly string[];
  readonly #ready = Promise.withResolvers<ReadyInfo>();

  constructor(dataDir: string, bootstrapNodes: readonly string[]) {
    super();
    this.#dataDir = dataDir;
    this.#bootstrapNodes = bootstrapNodes;
  }

  /** Where it listens, without a final slash. */
  get url(): Promise<string> {
    return Promise.race([this.#ready.promise, this.failed]).then(({ url }) => url!);
  }

  /** Writes its settings, and starts it. @param toml the lines of its `config.toml` */
  async begin(toml: readonly string[]): Promise<void> {
    await Deno.mkdir(this.#dataDir, { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(join(this.#dataDir, "config.toml"), toml.join("\n"), { mode: 0o600 });
    this.start();
  }

  start(): void {
    this.run([
      ...roleArguments("client", this.#dataDir),
      ...["--data-dir", this.#dataDir, "--stop-with-stdin"],
      ...this.#bootstrapNodes.flatMap((address) => ["--bootstrap-nodes", address]),
      ...["gateway", "--port", "0", "--format", "json"],
    ], (line) => {
      if (line.includes('"event":"ready"')) this.#ready.resolve(JSON.parse(line));
    });
  }
}
