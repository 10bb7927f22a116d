/** What follows from the settings of a chain, without asking it. Loads nothing. @module */
import { type Address, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { Asset } from "@lloom/core/payments";
import { FREE_DOMAIN, type SigningDomain } from "@lloom/core/signing";
import { join } from "node:path";
import type { BlockchainConfig } from "./config/common_settings.ts";

/** The chain that payments count on. */
export interface PaymentChain {
  /** Its number. */
  readonly chainId: bigint;
  /** The payment contract there. */
  readonly contract: Address;
  /** What is paid with; zero for the native coin. */
  readonly asset: Address;
  /** What is signed about payments is signed for this. */
  readonly domain: SigningDomain;
}

/** The chain of the settings; undefined where they name none. */
export function paymentChain(config: BlockchainConfig): PaymentChain | undefined {
  const { rpcUrls, chainId: number, contractAddress: contract, asset } = config;
  if (rpcUrls.length === 0 || number === undefined) return undefined;
  const chainId = BigInt(number);
  return {
    ...{ chainId, contract, asset },
    domain: { ...FREE_DOMAIN, chainId, verifyingContract: contract },
  };
}

/** The chain of the settings. @throws {LloomError} `config_invalid` where they name none */
export function requirePaymentChain(config: BlockchainConfig): PaymentChain {
  const chain = paymentChain(config);
  if (chain !== undefined) return chain;
  throw new LloomError(
    "config_invalid",
    "use money: no chain is configured; name one with --rpc-url and --chain-id",
  );
}

/** The asset of the settings, if that is known without asking the chain: the native coin. */
export function nativeAsset(
  { asset, coin }: Pick<BlockchainConfig, "asset" | "coin">,
): Asset | undefined {
  return asset === ZERO_ADDRESS ? { address: asset, symbol: coin, decimals: 18 } : undefined;
}

/** Where a role keeps its account: one for each contract on each chain, and one where there is none. */
export function ledgerPath(dataDir: string, chain: PaymentChain | undefined): string {
  const name = chain === undefined ? "free" : `${chain.chainId}-${chain.contract.slice(2, 10)}`;
  return join(dataDir, "payments", `${name}.db`);
}

/** Where a role keeps the transactions of its account on a chain. */
export function outboxPath(dataDir: string, { chainId }: PaymentChain): string {
  return join(dataDir, "payments", `outbox-${chainId}.db`);
}
