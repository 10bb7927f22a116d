/** A chain on this machine with the payment contracts and a rich account. Loads viem. @module */
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { deployContracts } from "@lloom/contracts/deploy";
import { type Address, type Hash, ZERO_ADDRESS } from "@lloom/core/bytes";
import { parsePrivateKey } from "@lloom/core/identity";
import { type Amount, planTopUp } from "@lloom/core/payments";
import {
  Chain,
  type ChainReader,
  createTransactionSigner,
  MemoryOutboxStore,
  openOutbox,
  type Outbox,
} from "@lloom/core/payments/chain";
import { createPublicClient, http } from "viem";
import { type Anvil, ANVIL_CHAIN_ID, type AnvilOptions, FUNDED_KEY, startAnvil } from "./anvil.ts";
import { systemClock } from "./clock.ts";
import type { BlockchainConfig } from "./config/common_settings.ts";

/** It mines each transaction at once. */
const POLL_MS = 25;

/** A chain of this machine's own. */
export class LocalChain {
  /** How nodes use it. */
  readonly blockchain: BlockchainConfig;
  /** Reads it. */
  readonly reader: ChainReader;
  readonly #anvil: Anvil;
  readonly #chain: Chain;
  readonly #outbox: Outbox;

  private constructor(anvil: Anvil, blockchain: BlockchainConfig, chain: Chain, outbox: Outbox) {
    this.#anvil = anvil;
    this.#chain = chain;
    this.#outbox = outbox;
    this.blockchain = blockchain;
    this.reader = chain;
  }

  /**
   * Starts one and deploys the contracts, where they are not there yet; undefined on a machine without
   * anvil.
   * @throws {LloomError} `chain_unavailable`
   */
  static async start(options: AnvilOptions = {}): Promise<LocalChain | undefined> {
    const anvil = await startAnvil(options);
    if (anvil === undefined) return undefined;
    try {
      const { rpcUrl } = anvil;
      await deployContracts({ rpcUrl, privateKey: FUNDED_KEY });
      const blockchain: BlockchainConfig = {
        rpcUrls: [rpcUrl],
        chainId: Number(ANVIL_CHAIN_ID),
        contractAddress: LLOOM_CHANNELS_ADDRESS.toLowerCase() as Address,
        asset: ZERO_ADDRESS,
        coin: "ETH",
        confirmations: 1,
        pollMs: POLL_MS,
        maxFeePerGas: 500,
      };
      const clock = systemClock;
      const { contractAddress: contract } = blockchain;
      const chain = new Chain({ ...blockchain, chainId: ANVIL_CHAIN_ID, contract }, { clock });
      const signer = createTransactionSigner(parsePrivateKey(FUNDED_KEY), ANVIL_CHAIN_ID);
      const store = new MemoryOutboxStore();
      const outbox = await openOutbox({}, { chain, store, signer, clock });
      return new LocalChain(anvil, blockchain, chain, outbox);
    } catch (error) {
      await anvil.stop();
      throw error;
    }
  }

  /** Where it answers. */
  get rpcUrl(): string {
    return this.#anvil.rpcUrl;
  }

  /** The number of its process. */
  get pid(): number {
    return this.#anvil.pid;
  }

  /** `[blockchain]` of a node's `config.toml`. */
  get toml(): string {
    const { chainId, confirmations, pollMs } = this.blockchain;
    return [
      "[blockchain]",
      `rpc_urls = ["${this.rpcUrl}"]`,
      `chain_id = ${chainId}`,
      `confirmations = ${confirmations}`,
      `poll_ms = ${pollMs}`,
      "",
    ].join("\n");
  }

  /** Fills an account up to a balance in native coin, as a faucet does. */
  async fillUp(account: Address, target: Amount): Promise<void> {
    const plan = await planTopUp(this.reader, {
      ...{ asset: ZERO_ADDRESS, from: this.#outbox.account, to: account, target, promised: 0n },
    });
    if (plan === undefined) return;
    const key = `fill:${crypto.randomUUID()}`;
    await this.#outbox.submit({ key, ...plan.call });
    await this.#outbox.confirmed(key);
  }

  /** What a transaction cost, and whom. */
  async feeOf(hash: Hash): Promise<{ readonly payer: Address; readonly fee: Amount }> {
    const client = createPublicClient({ transport: http(this.rpcUrl) });
    const { from, gasUsed, effectiveGasPrice } = await client.getTransactionReceipt({ hash });
    return { payer: from.toLowerCase() as Address, fee: gasUsed * effectiveGasPrice };
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.#outbox.stop();
    this.#chain.close();
    await this.#anvil.stop();
  }
}
