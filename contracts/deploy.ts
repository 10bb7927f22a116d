/**
 * Deploys the contracts to a chain, at the same addresses on every chain: through the deterministic
 * deployment proxy, which is itself deployed if the chain lacks it.
 * @module
 */
import {
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  type PublicClient,
  type TransactionReceipt,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { creationData, PROXY, PROXY_COST, PROXY_CREATOR, PROXY_TRANSACTION } from "./create2.ts";
import { EXECUTOR_BOND_ADDRESS, LLOOM_CHANNELS_ADDRESS } from "./generated/addresses.ts";
import { EXECUTOR_BOND_INIT_CODE, LLOOM_CHANNELS_INIT_CODE } from "./generated/init_code.ts";
import {
  EXECUTOR_BOND_INIT_CODE_HASH,
  LLOOM_CHANNELS_INIT_CODE_HASH,
} from "./generated/init_code_hashes.ts";
import { minedReceipt } from "./mined_receipt.ts";

const CONTRACTS = {
  LloomChannels: {
    address: LLOOM_CHANNELS_ADDRESS,
    initCode: LLOOM_CHANNELS_INIT_CODE,
    initCodeHash: LLOOM_CHANNELS_INIT_CODE_HASH,
  },
  ExecutorBond: {
    address: EXECUTOR_BOND_ADDRESS,
    initCode: EXECUTOR_BOND_INIT_CODE,
    initCodeHash: EXECUTOR_BOND_INIT_CODE_HASH,
  },
} as const;

/** The name of a contract. */
export type ContractName = "LloomChannels" | "ExecutorBond";

/** A contract on a chain. */
export interface DeployedContract {
  /** Where it is; the same on every chain. */
  readonly address: Hex;
  /** keccak256 of what created it. */
  readonly initCodeHash: Hex;
  /** What created it; absent if it was there before. */
  readonly transactionHash?: Hex;
  /** Where that transaction is. */
  readonly blockNumber?: number;
}

/** What was deployed, and where. */
export interface Deployment {
  /** Number of the chain, as in EIP-155. */
  readonly chainId: number;
  /** What is there now. */
  readonly contracts: Readonly<Record<ContractName, DeployedContract>>;
}

/** Where to deploy to, and who pays. */
export interface DeployOptions {
  /** Of the chain's node; http or https. */
  readonly rpcUrl: string;
  /** The key of the account that pays for gas. */
  readonly privateKey: Hex;
}

/**
 * Deploys what is not there yet.
 * @throws {Error} if the chain refuses a transaction, or has no CREATE2
 */
export async function deployContracts(options: DeployOptions): Promise<Deployment> {
  const transport = http(options.rpcUrl);
  const reader = createPublicClient({ transport });
  const chainId = await reader.getChainId();
  const wallet = createWalletClient({
    account: privateKeyToAccount(options.privateKey),
    chain: defineChain({
      id: chainId,
      name: `chain ${chainId}`,
      nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 },
      rpcUrls: { default: { http: [options.rpcUrl] } },
    }),
    transport,
  });
  const confirm = async (hash: Hex): Promise<TransactionReceipt> => {
    const receipt = await minedReceipt(reader, hash);
    if (receipt.status !== "success") throw new Error(`deploy contracts: ${hash} was reverted`);
    return receipt;
  };

  if (!await hasCode(reader, PROXY)) {
    const balance = await reader.getBalance({ address: PROXY_CREATOR });
    if (balance < PROXY_COST) {
      const value = PROXY_COST - balance;
      await confirm(await wallet.sendTransaction({ to: PROXY_CREATOR, value }));
    }
    await confirm(
      await reader.sendRawTransaction({ serializedTransaction: PROXY_TRANSACTION }),
    );
  }

  const deploy = async (name: ContractName): Promise<DeployedContract> => {
    const { address, initCode, initCodeHash } = CONTRACTS[name];
    if (await hasCode(reader, address)) return { address, initCodeHash };
    const data = creationData(initCode);
    const { transactionHash, blockNumber } = await confirm(
      await wallet.sendTransaction({ to: PROXY, data }),
    );
    if (!await hasCode(reader, address)) {
      throw new Error(`deploy ${name}: nothing at ${address} after ${transactionHash}`);
    }
    return { address, initCodeHash, transactionHash, blockNumber: Number(blockNumber) };
  };
  const LloomChannels = await deploy("LloomChannels");
  return { chainId, contracts: { LloomChannels, ExecutorBond: await deploy("ExecutorBond") } };
}

async function hasCode(reader: PublicClient, address: Hex): Promise<boolean> {
  return (await reader.getCode({ address }) ?? "0x") !== "0x";
}
