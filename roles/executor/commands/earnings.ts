/** `earnings`: what was earned, by model. @module */
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import {
  type Asset,
  type ChannelTakings,
  formatAmount,
  formatCost,
  type ModelTakings,
} from "@lloom/core/payments";
import { isoTime, print, printableJson, printPairs, printTable } from "@lloom/host";
import { type AccountContext, withAccount } from "./account.ts";

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `earnings` */
export function earningsCommand(): Command<[], { since?: number }> {
  return new Command("earnings")
    .description("tell what this executor has earned, by model")
    .addOption(
      new Option(
        "--since <age>",
        "only requests that ended within this time, such as 30m, 24h or 7d",
      )
        .argParser(parseAge),
    )
    .action(({ since }, command) =>
      withAccount(
        command,
        (context) => printEarnings(context, since === undefined ? 0 : Date.now() - since),
      )
    );
}

async function printEarnings(
  { store, asset, format }: AccountContext,
  sinceMs: number,
): Promise<void> {
  const earnings = await store.earnings(sinceMs);
  const models = earnings.models.filter((model) => model.asset === asset.address);
  const channels = earnings.channels.filter(({ channel }) => channel.terms.asset === asset.address);
  const sums = sumsOf(channels, asset);
  if (format === "json") {
    const since = sinceMs === 0 ? {} : { since: isoTime({ ms: sinceMs }) };
    const rows = models.map((model) => ({ ...model, ...inWords(model, asset) }));
    return print(`${printableJson({ ...since, asset, models: rows, ...sums })}\n`);
  }
  printTable(
    ["MODEL", "REQUESTS", "TOKENS IN", "TOKENS OUT", "PAID", "UNPAID"],
    models.map((model) => {
      const { paid, unpaid } = inWords(model, asset);
      const { requests, inboundTokens, outboundTokens } = model;
      return [model.model, `${requests}`, `${inboundTokens}`, `${outboundTokens}`, paid, unpaid];
    }),
  );
  print("\n");
  printPairs([
    ["paid", sums.paid],
    ["not paid", sums.unpaid],
    ["redeemed", `${sums.redeemed}, from the channels of these requests`],
    ["to redeem", sums.redeemable],
  ]);
}

function inWords({ paid, unpaid }: Pick<ModelTakings, "paid" | "unpaid">, asset: Asset) {
  return { paid: formatCost(paid, asset), unpaid: formatCost(unpaid, asset) };
}

function sumsOf(channels: readonly ChannelTakings[], asset: Asset) {
  const sum = (amountOf: (one: ChannelTakings) => bigint) =>
    channels.reduce((total, one) => total + amountOf(one), 0n);
  return {
    ...inWords({ paid: sum(({ paid }) => paid), unpaid: sum(({ unpaid }) => unpaid) }, asset),
    redeemed: formatAmount(sum(({ channel }) => channel.settled), asset),
    redeemable: formatAmount(sum(({ redeemable }) => redeemable), asset),
  };
}

function parseAge(text: string): number {
  const [, count, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  if (count === undefined) {
    throw new InvalidArgumentError("It must be a time such as 30m, 24h or 7d.");
  }
  return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
}
