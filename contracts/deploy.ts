/**
 * Deploys the contracts to a chain, at the same address on every chain: through the deterministic
 * deployment proxy (https://github.com/Arachnid/deterministic-deployment-proxy), which is itself
 * deployed if the chain lacks it.
 * @module
 */
import {
  concatHex,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  parseEther,
  type PublicClient,
  type TransactionReceipt,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { EXECUTOR_BOND_ADDRESS, LLOOM_CHANNELS_ADDRESS } from "./generated/addresses.ts";
import { EXECUTOR_BOND_INIT_CODE, LLOOM_CHANNELS_INIT_CODE } from "./generated/init_code.ts";
import {
  EXECUTOR_BOND_INIT_CODE_HASH,
  LLOOM_CHANNELS_INIT_CODE_HASH,
} from "./generated/init_code_hashes.ts";

const PROXY = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const SALT: Hex = `0x${"00".repeat(32)}`;
/** Nobody has this account's key: its one transaction was signed by choosing the signature. */
const PROXY_DEPLOYER = "0x3fab184622dc19b6109349b94811493bf45362";
/** Gas limit times gas price of that transaction. */
const PROXY_COST = parseEther("0.01");
const PROXY_TRANSACTION: Hex =
  "0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222";

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
    const receipt = await reader.waitForTransactionReceipt({ hash });
    if (receipt.status !== "success") throw new Error(`deploy contracts: ${hash} was reverted`);
    return receipt;
  };

  if (!await hasCode(reader, PROXY)) {
    const balance = await reader.getBalance({ address: PROXY_DEPLOYER });
    if (balance < PROXY_COST) {
      const value = PROXY_COST - balance;
      await confirm(await wallet.sendTransaction({ to: PROXY_DEPLOYER, value }));
    }
    await confirm(
      await reader.sendRawTransaction({ serializedTransaction: PROXY_TRANSACTION }),
    );
  }

  const deploy = async (name: ContractName): Promise<DeployedContract> => {
    const { address, initCode, initCodeHash } = CONTRACTS[name];
    if (await hasCode(reader, address)) return { address, initCodeHash };
    const data = concatHex([SALT, initCode]);
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
