/** The client's channels: as the chain has them, by name, and as they are shown. @module */
import type { Hash } from "@lloom/core/bytes";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  type Asset,
  buyer,
  type BuyerChannel,
  formatAmount,
  formatCost,
  roomOf,
} from "@lloom/core/payments";
import { isoTime, UsageError } from "@lloom/host";
import type { MoneyContext } from "./context.ts";

/** A channel as `--format json` has it. */
export interface ChannelReport {
  readonly channelId: Hash;
  readonly executor: string;
  /** `none` before the chain has it. */
  readonly status: BuyerChannel["status"];
  readonly deposit: string;
  /** What its requests came to. */
  readonly spent: string;
  /** What further requests can be paid with. */
  readonly left: string;
  /** What the executor has redeemed. */
  readonly settled: string;
  /** Receipts acknowledged. */
  readonly requests: number;
  /** When its client can end it alone, once it is closing. */
  readonly closesAt?: string;
  /** Why nothing more is paid from it, though it is open: it can only be closed. */
  readonly outOfUse?: string;
  /** How long that takes, in seconds. */
  readonly closeDelay: number;
}

/** Channels in the asset that is paid with, the newest first. */
export async function ownChannels(
  { wallet, funds: { asset } }: MoneyContext,
): Promise<readonly BuyerChannel[]> {
  const channels = await (await wallet.ledger()).channels();
  return channels.filter(({ terms }) => terms.asset === asset.address);
}

/** The same, each as the chain has it now, unless it is closed for ever. @throws {LloomError} `chain_unavailable` */
export async function refreshChannels(context: MoneyContext): Promise<readonly BuyerChannel[]> {
  const { wallet } = context;
  return await Promise.all(
    (await ownChannels(context)).map((channel) =>
      channel.status === "closed" ? channel : refreshChannel(wallet, channel.channelId)
    ),
  );
}

/** A channel as the chain has it now. @throws {LloomError} `chain_unavailable` */
export async function refreshChannel(
  wallet: MoneyContext["wallet"],
  channelId: Hash,
): Promise<BuyerChannel> {
  const view = await (await wallet.chain()).reader.channel(channelId);
  return await (await wallet.ledger()).viewChannel(channelId, view);
}

/**
 * The channel that somebody means: by its id or how that begins, or by its executor.
 * @throws {UsageError} if that is none, or several
 */
export async function findChannel(
  context: MoneyContext,
  name: string,
): Promise<BuyerChannel> {
  const wanted = name.toLowerCase();
  const named = (await ownChannels(context)).filter(({ channelId, terms, status }) =>
    wanted.length > 2 && channelId.startsWith(wanted) ||
    terms.executor === wanted && status !== "closed"
  );
  const [channel] = named;
  if (channel !== undefined && named.length === 1) return channel;
  throw new UsageError(
    `find channel: ${named.length === 0 ? "none" : "several"} of that name; \`channel list\` ` +
      "shows them, by an id of which the beginning will do",
  );
}

/** A channel for programs. */
export function channelReport(channel: BuyerChannel, asset: Asset): ChannelReport {
  const { channelId, terms, status, deposit, settled, spent, requests, closesAt } = channel;
  const outOfUse = status === "open" ? buyer.unusableReason(channel) : undefined;
  const usable = status === "open" && outOfUse === undefined;
  return {
    channelId,
    executor: toChecksumAddress(terms.executor),
    status,
    deposit: formatAmount(deposit, asset),
    spent: formatCost(spent, asset),
    left: formatCost(usable ? roomOf(channel) : 0n, asset),
    settled: formatAmount(settled, asset),
    requests,
    ...(status === "closing" && { closesAt: isoTime({ s: closesAt }) }),
    ...(outOfUse !== undefined && { outOfUse }),
    closeDelay: terms.closeDelay,
  };
}
