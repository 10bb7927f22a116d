/** What a command on the network works with: a wallet, and a client that it pays for. @module */
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { formatAmount } from "@lloom/core/payments";
import { type CommandContext, loadIdentity, printError } from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import type { LloomClient } from "./client.ts";
import type { Deposit, Wallet } from "./wallet.ts";

/** What a command on the network has. */
export interface NetworkContext extends CommandContext<ClientConfig> {
  /** A node of the network. */
  readonly client: LloomClient;
  /** What pays for it. */
  readonly wallet: Wallet;
  /** Aborted when the command is interrupted. */
  readonly signal: AbortSignal;
}

/**
 * Opens the wallet, joins the network, and leaves it again.
 * @throws {LloomError} `config_invalid` if nothing says where the network is; what opening the wallet
 * throws; what `act` throws
 */
export async function withNetwork(
  context: CommandContext<ClientConfig>,
  signal: AbortSignal,
  act: (context: NetworkContext) => Promise<void>,
): Promise<void> {
  const { config, format, sandboxWorkers } = context;
  const { bootstrapNodes } = config.network;
  requireNetwork(config);
  const identity = loadIdentity(config);
  const [{ LloomClient }, { Wallet }] = await Promise.all([
    import("./client.ts"),
    import("./wallet.ts"),
  ]);
  const { blockchain, payments, storage: { dataDir } } = config;
  const wallet = await Wallet.open({
    ...{ identity, blockchain, payments, dataDir, sandboxWorkers },
    onDeposit: (deposit) => {
      // A line of progress may stand there.
      const clear = Deno.stderr.isTerminal() ? "\r\x1b[2K" : "";
      if (format === "text") printError(`${clear}${inWords(deposit)}\n`);
    },
  });
  try {
    const client = await LloomClient.connect({
      bootstrapNodes,
      wallet,
      network: config.network,
      sandboxWorkers,
    });
    try {
      await act({ ...context, client, wallet, signal });
    } finally {
      await client.close();
    }
  } finally {
    await wallet.close();
  }
}

/** @throws {LloomError} `config_invalid` if nothing says where the network is */
export function requireNetwork({ network }: ClientConfig): void {
  if (network.bootstrapNodes.length > 0 || network.enableMdns) return;
  throw new LloomError(
    "config_invalid",
    "join network: name a node with --bootstrap-nodes or LLOOM_BOOTSTRAP_NODES, or try --demo",
  );
}

/** What is done with money, before it is done. */
function inWords({ executor, amount, asset, isNew }: Deposit): string {
  const [what, how] = isNew ? ["opening a channel", "with"] : ["topping up the channel", "by"];
  return `${what} to ${toChecksumAddress(executor)} ${how} ${formatAmount(amount, asset)}`;
}

/** An error, with what to do where nobody serves what was asked. */
export function advised(error: unknown): unknown {
  if (!(error instanceof LloomError) || error.code !== "no_executor") return error;
  const message = `${error.message}; --discover-models lists what is on offer`;
  return new LloomError(error.code, message, { cause: error });
}
