/** What the subcommands work with: a wallet, a chain, and ways to tell about them. @module */
import type { Hash } from "@lloom/core/bytes";
import type { ChannelActions } from "@lloom/core/payments/chain";
import {
  type CommandContext,
  loadIdentity,
  openCommand,
  type OutputFormat,
  type ParsedCommand,
  print,
  printable,
  printableJson,
  printError,
  printPairs,
  requirePaymentChain,
  runInterruptibly,
} from "@lloom/host";
import { CLIENT_SETTINGS, type ClientConfig } from "@lloom/host/config";
import { showProgress } from "../progress.ts";
import type { Funds, Wallet } from "../wallet.ts";

/** What a command on the wallet has. */
export interface WalletContext extends CommandContext<ClientConfig> {
  /** Money and memory. */
  readonly wallet: Wallet;
  /** Aborted when the command is interrupted. */
  readonly signal: AbortSignal;
}

/** What a command on money has. */
export interface MoneyContext extends WalletContext {
  /** What can be paid with. */
  readonly funds: Funds;
}

/** Runs a command on the wallet, with or without a chain. */
export async function withWallet(
  command: ParsedCommand,
  act: (context: WalletContext) => Promise<void>,
): Promise<void> {
  await openWallet(openCommand(CLIENT_SETTINGS, command), act);
}

/** Runs a command on money. @throws {LloomError} `config_invalid` where no chain is configured */
export async function withMoney(
  command: ParsedCommand,
  act: (context: MoneyContext) => Promise<void>,
): Promise<void> {
  const context = openCommand(CLIENT_SETTINGS, command);
  requirePaymentChain(context.config.blockchain);
  await openWallet(context, (context) => act({ ...context, funds: context.wallet.funds! }));
}

async function openWallet(
  context: CommandContext<ClientConfig>,
  act: (context: WalletContext) => Promise<void>,
): Promise<void> {
  const { config: { blockchain, payments, storage }, sandboxWorkers } = context;
  await runInterruptibly(async (signal) => {
    const { Wallet } = await import("../wallet.ts");
    const identity = loadIdentity(context.config);
    const { dataDir } = storage;
    const wallet = await Wallet.open({ identity, blockchain, payments, dataDir, sandboxWorkers });
    try {
      await act({ ...context, wallet, signal });
    } finally {
      await wallet.close();
    }
  });
}

/**
 * Has something done on the chain, and waits until it is final. Who is interrupted while waiting has
 * it done all the same: the next command that uses the chain goes on with it.
 * @param submit resolves with the key of what was submitted
 * @returns the transaction
 */
export async function transact(
  { wallet, signal }: MoneyContext,
  submit: (actions: ChannelActions) => Promise<string>,
): Promise<Hash> {
  const hide = showProgress(() => "waiting for the chain");
  try {
    return await (await wallet.chain()).use(async ({ actions, outbox }) => {
      const { transactionHash } = await outbox.confirmed(await submit(actions), signal);
      return transactionHash;
    });
  } finally {
    hide();
  }
}

/** Says on standard error what is about to be done, or was noticed; it may hold a stranger's text. */
export function say(format: OutputFormat, notice: string): void {
  printError(format === "json" ? `${printableJson({ notice })}\n` : `${printable(notice)}\n`);
}

/** Prints a result: as one object, or for people. */
export function printResult(
  format: OutputFormat,
  result: Readonly<Record<string, unknown>>,
  pairs: Parameters<typeof printPairs>[0],
): void {
  if (format === "json") print(`${printableJson(result)}\n`);
  else printPairs(pairs);
}
