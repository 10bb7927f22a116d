/** A chain that can be killed, and comes back without its newest blocks. @module */
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { deployContracts } from "@lloom/contracts/deploy";
import type { Address } from "@lloom/core/bytes";
import type { Amount } from "@lloom/core/payments";
import { type Anvil, FUNDED_KEY, startAnvil } from "@lloom/host/anvil";
import { join } from "node:path";
import { createTestClient, http, publicActions } from "viem";
import { foundry } from "viem/chains";

/** Between two blocks. */
const BLOCK_MS = 100;
/** Blocks after which nodes take something as final; so many, less one, a crash may undo. */
export const CONFIRMATIONS = 3;

const client = (rpcUrl: string) =>
  createTestClient({ mode: "anvil", chain: foundry, transport: http(rpcUrl, { retryCount: 0 }) })
    .extend(publicActions);

/** See the module. Blocks come by this process's clock, so that none comes while one is saved. */
export class FaultyChain implements AsyncDisposable {
  readonly rpcUrl: string;
  readonly #rpc: ReturnType<typeof client>;
  readonly #stateFile: string;
  #anvil: Anvil;
  #mining: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(anvil: Anvil, stateFile: string) {
    this.rpcUrl = anvil.rpcUrl;
    this.#anvil = anvil;
    this.#stateFile = stateFile;
    this.#rpc = client(anvil.rpcUrl);
  }

  /** Starts a chain with the contracts; undefined on a machine without anvil. */
  static async start(directory: string): Promise<FaultyChain | undefined> {
    const anvil = await startAnvil();
    if (anvil === undefined) return undefined;
    const chain = new FaultyChain(anvil, join(directory, "chain.json"));
    await deployContracts({ rpcUrl: anvil.rpcUrl, privateKey: FUNDED_KEY });
    await chain.#rpc.setAutomine(false);
    chain.#tick();
    return chain;
  }

  /** Gives an account coin out of nothing. */
  async fund(address: Address, value: Amount): Promise<void> {
    await this.#rpc.setBalance({ address, value });
  }

  /**
   * Ends it with SIGKILL, and starts it again on the same port.
   * @param lost how many of its newest blocks it forgets, with all that waits
   */
  async crash(lost: number): Promise<void> {
    clearInterval(this.#timer);
    await this.#mining;
    const state = await this.#rpc.dumpState();
    const json = new Blob([Uint8Array.fromHex(state.slice(2))]).stream()
      .pipeThrough(new DecompressionStream("gzip"));
    await Deno.writeFile(this.#stateFile, json);
    // Nodes see these blocks, and may act on them.
    for (let i = 0; i < lost; i++) await this.#rpc.mine({ blocks: 1 });
    await this.#anvil.stop("SIGKILL");
    const port = Number(new URL(this.rpcUrl).port);
    const args = ["--no-mining", "--load-state", this.#stateFile];
    const anvil = await startAnvil({ port, args });
    if (anvil === undefined) throw new Error("restart chain: anvil is gone");
    this.#anvil = anvil;
    this.#tick();
  }

  /** Lets time go by on the chain alone. */
  async wait(seconds: number): Promise<void> {
    await this.#rpc.increaseTime({ seconds });
  }

  /** What an account holds. */
  balance(address: Address): Promise<Amount> {
    return this.#rpc.getBalance({ address });
  }

  /** What the contract holds. */
  get held(): Promise<Amount> {
    return this.balance(LLOOM_CHANNELS_ADDRESS);
  }

  /** What all transactions of some accounts have paid for gas. */
  async fees(accounts: readonly Address[]): Promise<Amount> {
    const payers = new Set(accounts.map((account) => account.toLowerCase()));
    const newest = await this.#rpc.getBlockNumber();
    let fees = 0n;
    for (let number = 0n; number <= newest; number++) {
      const block = await this.#rpc.getBlock({ blockNumber: number });
      if (block.transactions.length === 0) continue;
      for (const hash of block.transactions) {
        const { from, gasUsed, effectiveGasPrice } = await this.#rpc.getTransactionReceipt({
          hash,
        });
        if (payers.has(from.toLowerCase())) fees += gasUsed * effectiveGasPrice;
      }
    }
    return fees;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#mining;
    await this.#anvil.stop();
  }

  #tick(): void {
    this.#timer = setInterval(() => {
      this.#mining = this.#mining.then(() => this.#rpc.mine({ blocks: 1 }));
    }, BLOCK_MS);
  }
}
