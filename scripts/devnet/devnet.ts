/** The processes of a devnet. @module */
import { generateIdentity, type Identity } from "@lloom/core/identity";
import { readKeyFile, writeKeyFile } from "@lloom/host";
import { type LaunchedRole, launchRole, startAll, writeConfig } from "@lloom/host/launch";
import { LocalChain } from "@lloom/host/local-chain";
import { join } from "node:path";

const ETHER = 10n ** 18n;
/** What the client has to spend, and what each executor has for gas, at every start. */
const FUNDS = ETHER / 10n;
const FAUCET_FUNDS = 1000n * ETHER;
/** The demo model's price in wei per 1,000,000 tokens, by executor. */
const PRICES = [
  { inbound: 500_000_000_000_000n, outbound: 2_000_000_000_000_000n },
  { inbound: 1_000_000_000_000_000n, outbound: 3_000_000_000_000_000n },
  { inbound: 2_000_000_000_000_000n, outbound: 5_000_000_000_000_000n },
] as const;

/** Where a devnet is used. */
export interface DevnetPlaces {
  /** Data directory of a funded client. */
  readonly clientDir: string;
  /** The validators' multiaddrs. */
  readonly bootstrapNodes: readonly string[];
  /** The chain's endpoint. */
  readonly rpcUrl: string;
  /** The chain's number. */
  readonly chainId: number;
  /** The faucet's pages. */
  readonly faucetUrl: string;
}

/** Who is told what happens. */
export interface DevnetListener {
  /** Something has started. */
  onUp(what: string, detail: string): void;
  /** The faucet would have sent a mail. */
  onMail(mail: { readonly to: string; readonly link: string }): void;
  /** A node has ended that nobody stopped. */
  onEnded(what: string): void;
}

type RoleName = Parameters<typeof launchRole>[0]["role"];

/** How one node is started. */
interface NodeOptions {
  readonly toml?: string;
  readonly args?: readonly string[];
  readonly onPrinted?: (line: unknown) => void;
}

/** A devnet that is up. */
export class Devnet {
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #listener: DevnetListener;
  readonly #stack = new AsyncDisposableStack();
  #places: DevnetPlaces | undefined;
  #stopping = false;

  private constructor(directory: string, signal: AbortSignal, listener: DevnetListener) {
    this.#directory = directory;
    this.#signal = signal;
    this.#listener = listener;
  }

  /** Starts everything; undefined on a machine without anvil. */
  static async start(
    directory: string,
    signal: AbortSignal,
    listener: DevnetListener,
  ): Promise<Devnet | undefined> {
    const devnet = new Devnet(directory, signal, listener);
    try {
      if (await devnet.#start()) return devnet;
    } catch (error) {
      await devnet.stop();
      throw error;
    }
    await devnet.stop();
    return undefined;
  }

  /** Where it is used. */
  get places(): DevnetPlaces {
    if (this.#places === undefined) throw new TypeError("look at devnet: it is not up");
    return this.#places;
  }

  /** Stops the executors, which redeem first, then the others, and the chain last. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#stack.disposeAsync();
  }

  async #start(): Promise<boolean> {
    const [chain, validator] = await startAll([
      this.#startChain(),
      this.#startNode("validator", "validator-1", {}),
    ]);
    if (chain === undefined) return false;
    const bootstrapNodes = validator.ready.multiaddrs;
    const join = bootstrapNodes.flatMap((at) => ["--bootstrap-nodes", at]);
    const [, second, faucetUrl] = await startAll([
      this.#fund(chain, "client", FUNDS),
      this.#startNode("validator", "validator-2", { args: join }),
      this.#startFaucet(chain),
    ]);
    await startAll(PRICES.map((_, i) => this.#startExecutor(chain, i, join)));
    const { rpcUrl, blockchain: { chainId = 0 } } = chain;
    const places: DevnetPlaces = {
      clientDir: `${this.#directory}/client`,
      bootstrapNodes: [...bootstrapNodes, ...second.ready.multiaddrs],
      ...{ rpcUrl, chainId, faucetUrl },
    };
    await writeConfig(places.clientDir, clientToml(places, chain));
    this.#places = places;
    return true;
  }

  async #startChain(): Promise<LocalChain | undefined> {
    const state = join(this.#directory, "chain.json");
    const chain = await LocalChain.start({ args: ["--state", state, "--state-interval", "5"] });
    if (chain === undefined) return undefined;
    this.#stack.defer(() => chain.stop());
    this.#listener.onUp("chain", `anvil at ${chain.rpcUrl}, process ${chain.pid}`);
    return chain;
  }

  async #startFaucet(chain: LocalChain): Promise<string> {
    await this.#fund(chain, "faucet", FAUCET_FUNDS);
    const { ready } = await this.#startNode("faucet", "faucet", {
      toml: `${chain.toml}\n[mail]\nprint = true\n`,
      args: ["--port", "0"],
      onPrinted: (line) => {
        if (isMail(line)) this.#listener.onMail(line);
      },
    });
    return ready.url ?? "";
  }

  async #startExecutor(chain: LocalChain, i: number, args: readonly string[]): Promise<void> {
    const name = `executor-${i + 1}`;
    await this.#fund(chain, name, FUNDS);
    const { inbound, outbound } = PRICES[i]!;
    await this.#startNode("executor", name, {
      toml: [
        chain.toml,
        `[pricing]\ndefault_inbound_price = "${inbound}"\ndefault_outbound_price = "${outbound}"\n`,
        '[[llm_backends]]\nname = "demo"\nkind = "embedded"\n',
      ].join("\n"),
      args,
    });
  }

  /** Fills up the account of a node, which is made if it is new. */
  async #fund(chain: LocalChain, name: string, target: bigint): Promise<void> {
    await chain.fillUp(identityIn(join(this.#directory, name)).address, target);
  }

  async #startNode(role: RoleName, name: string, options: NodeOptions): Promise<LaunchedRole> {
    const { toml = "", args = [], onPrinted } = options;
    const dataDir = join(this.#directory, name);
    await writeConfig(dataDir, toml);
    const listen = role === "faucet" ? [] : ["--listen", "/ip4/127.0.0.1/tcp/0"];
    const node = await launchRole({
      ...{ role, dataDir, hosts: ["127.0.0.1"], signal: this.#signal },
      args: [...listen, ...args],
      ...(onPrinted && { onPrinted }),
    });
    this.#stack.defer(node.stop);
    void node.ended.then(() => {
      if (!this.#stopping && !this.#signal.aborted) this.#listener.onEnded(name);
    });
    const { multiaddrs, url = multiaddrs.join(" ") } = node.ready;
    this.#listener.onUp(name, `${url}, process ${node.pid}`);
    return node;
  }
}

function identityIn(dataDir: string): Identity {
  const path = join(dataDir, "identity.key");
  const found = readKeyFile(path);
  if (found !== undefined) return found;
  const identity = generateIdentity();
  writeKeyFile(path, identity);
  return identity;
}

function clientToml({ bootstrapNodes }: DevnetPlaces, chain: LocalChain): string {
  const nodes = bootstrapNodes.map((at) => `"${at}"`).join(", ");
  return `[network]\nbootstrap_nodes = [${nodes}]\n\n${chain.toml}`;
}

function isMail(line: unknown): line is { readonly to: string; readonly link: string } {
  return typeof line === "object" && line !== null && "event" in line && line.event === "mail";
}
