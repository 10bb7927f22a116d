/** What the executor's commands on money read: its account, and what is paid with. @module */
import type { Identity } from "@lloom/core/identity";
import type { Asset, SellerStore } from "@lloom/core/payments";
import {
  type CommandContext,
  ledgerPath,
  loadIdentity,
  nativeAsset,
  openCommand,
  type ParsedCommand,
  requirePaymentChain,
} from "@lloom/host";
import { EXECUTOR_QUERY_SETTINGS, type ExecutorConfig } from "@lloom/host/config";
import { openSellerStore } from "@lloom/host/stores";

/** What a command that only looks has. */
export interface AccountContext extends CommandContext<ExecutorConfig> {
  /** What is paid with. */
  readonly asset: Asset;
  /** The account, which the executor at work may change meanwhile. */
  readonly store: SellerStore;
}

/**
 * Runs a command on the account, beside the executor at work.
 * @throws {LloomError} `config_invalid` where no chain is configured; `chain_unavailable` and
 * `chain_mismatch` where a token's decimals must be asked of it
 */
export async function withAccount(
  command: ParsedCommand,
  act: (context: AccountContext) => Promise<void>,
): Promise<void> {
  const context = openCommand(EXECUTOR_QUERY_SETTINGS, command);
  const { config, sandboxWorkers } = context;
  const chain = requirePaymentChain(config.blockchain);
  const asset = nativeAsset(config.blockchain) ?? await readAsset(loadIdentity(config), config);
  const path = ledgerPath(config.storage.dataDir, chain);
  const ledger = await openSellerStore({ path, sandbox: sandboxWorkers });
  try {
    await act({ ...context, asset, store: ledger.store });
  } finally {
    await ledger.close();
  }
}

async function readAsset(identity: Identity, config: ExecutorConfig): Promise<Asset> {
  const { ChainAccess } = await import("@lloom/host/chain");
  const { blockchain, storage: { dataDir } } = config;
  const access = new ChainAccess({ blockchain, identity, dataDir });
  try {
    return await access.reader.asset(blockchain.asset);
  } finally {
    access.close();
  }
}
