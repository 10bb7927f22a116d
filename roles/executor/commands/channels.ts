/** `channels`: who pays this executor, and how each channel stands. @module */
import { Command } from "@commander-js/extra-typings";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  type Asset,
  formatAmount,
  formatCost,
  seller,
  type SellerChannel,
} from "@lloom/core/payments";
import { isoTime, print, printableJson, printTable, shortId } from "@lloom/host";
import { type AccountContext, withAccount } from "./account.ts";

/** `channels` */
export function channelsCommand(): Command {
  return new Command("channels")
    .description("list the channels that pay this executor")
    .action((_options, command) => withAccount(command, printChannels));
}

async function printChannels({ store, asset, format }: AccountContext): Promise<void> {
  const all = await store.channels();
  const channels = all.filter(({ terms }) => terms.asset === asset.address)
    .map((channel) => reportOf(channel, asset));
  if (format === "json") return print(`${printableJson({ channels })}\n`);
  printTable(
    ["CHANNEL", "CLIENT", "STATUS", "DEPOSIT", "EARNED", "UNPAID", "REDEEMED", "TO REDEEM"],
    channels.map((one) => [
      shortId(one.channelId),
      one.client,
      one.status,
      one.deposit,
      one.earned,
      one.unpaid,
      one.redeemed,
      one.redeemable,
    ]),
  );
}

function reportOf(channel: SellerChannel, asset: Asset) {
  const { channelId, terms, status, closesAt, deposit, spent, unpaid, settled } = channel;
  return {
    channelId,
    client: toChecksumAddress(terms.client),
    status,
    ...(status === "closing" && { closesAt: isoTime({ s: closesAt }) }),
    deposit: formatAmount(deposit, asset),
    earned: formatCost(spent, asset),
    unpaid: formatCost(unpaid, asset),
    redeemed: formatAmount(settled, asset),
    redeemable: formatAmount(seller.redeemable(channel), asset),
    /** Receipts acknowledged. */
    acknowledged: channel.acknowledged,
  };
}
