/** `channel open`, `channel topup`, `channel close`, `channel list`. @module */
import { Command, Option } from "@commander-js/extra-typings";
import type { Address } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import {
  type Amount,
  buyer,
  type BuyerChannel,
  formatAmount,
  planChannel,
} from "@lloom/core/payments";
import { print, printableJson, printTable, shortId } from "@lloom/host";
import { parseExecutor, parsePositive } from "./arguments.ts";
import {
  type ChannelReport,
  channelReport,
  findChannel,
  ownChannels,
  refreshChannel,
  refreshChannels,
} from "./channels.ts";
import { closeChannel } from "./close_channel.ts";
import { type MoneyContext, printResult, say, transact, withMoney } from "./context.ts";

/** `channel …` */
export function channelCommand(): Command {
  const channel = new Command("channel")
    .description("open, top up, close and list the channels that requests are paid from");
  channel.command("open")
    .description("put money into a new channel to an executor")
    .argument("<executor>", "its address or PeerId; --query-model lists them", parseExecutor)
    .addOption(amountOption())
    .action((executor, { amount }, command) =>
      withMoney(command, (context) => open(context, executor, amount))
    );
  channel.command("topup")
    .description("add money to an open channel")
    .argument("<channel>", CHANNEL)
    .addOption(amountOption())
    .action((name, { amount }, command) =>
      withMoney(command, (context) => topUp(context, name, amount))
    );
  channel.command("close")
    .description(
      "get back what a channel holds: at once if its executor agrees, else after a delay",
    )
    .argument("<channel>", CHANNEL)
    .action((name, _options, command) =>
      withMoney(command, (context) => closeChannel(context, name))
    );
  channel.command("list")
    .description("list all channels, as the chain has them now")
    .action((_options, command) => withMoney(command, list));
  return channel;
}

const CHANNEL = "its id or how that begins, or the address of its executor";

function amountOption() {
  return new Option(
    "--amount <amount>",
    "in whole units of the asset, such as 0.05 (default: that of --channel-deposit)",
  );
}

async function open(
  context: MoneyContext,
  executor: Address,
  text: string | undefined,
): Promise<void> {
  const { format, wallet, config: { payments }, funds: { asset } } = context;
  const amount = amountOf(context, text);
  const { address } = wallet.identity;
  const { closeDelay } = payments;
  const channel = await beginning(context, executor) ??
    planChannel({ client: address, executor, asset: asset.address, signer: address, closeDelay });
  say(
    format,
    `opening a channel to ${toChecksumAddress(executor)} with ${formatAmount(amount, asset)} ` +
      `of ${toChecksumAddress(address)}; what is not spent comes back when it is closed`,
  );
  // In the ledger first: a deposit is never forgotten.
  await (await wallet.ledger()).addChannel(channel);
  const { channelId, terms } = channel;
  await transact(context, (actions) => actions.open(channelId, terms, amount));
  printChannel(context, await refreshChannel(wallet, channelId));
}

/** A channel whose opening was cut off, to go on with. @throws {LloomError} `config_invalid` if one is open that would do */
async function beginning(
  context: MoneyContext,
  executor: Address,
): Promise<BuyerChannel | undefined> {
  const { wallet, config: { payments: { closeDelay } } } = context;
  const channels = await ownChannels(context);
  for (const known of channels) {
    const { channelId, terms } = known;
    const would = terms.executor === executor && terms.client === wallet.identity.address &&
      terms.closeDelay >= closeDelay;
    if (!would || known.status === "closed") continue;
    const channel = await refreshChannel(wallet, channelId);
    if (channel.status === "none") return channel;
    if (channel.status !== "open" || buyer.unusableReason(channel) !== undefined) continue;
    throw new LloomError(
      "config_invalid",
      `open channel: one to this executor is open; add to it with \`channel topup ${
        shortId(channelId)
      }\``,
    );
  }
  return undefined;
}

async function topUp(
  context: MoneyContext,
  name: string,
  text: string | undefined,
): Promise<void> {
  const { format, wallet, funds: { asset } } = context;
  const amount = amountOf(context, text);
  const { channelId } = await findChannel(context, name);
  const { status, terms, deposit } = await refreshChannel(wallet, channelId);
  if (status !== "open") {
    throw new LloomError(
      "channel_unusable",
      `top up channel: it is ${status === "none" ? "not open" : status}; ` +
        "`channel open` makes a new one",
    );
  }
  say(
    format,
    `adding ${formatAmount(amount, asset)} to the channel ${shortId(channelId)} ` +
      `to ${toChecksumAddress(terms.executor)}`,
  );
  await transact(context, (actions) => actions.topUp(channelId, terms, deposit, amount));
  printChannel(context, await refreshChannel(wallet, channelId));
}

async function list(context: MoneyContext): Promise<void> {
  const { format, funds: { asset } } = context;
  const channels = (await refreshChannels(context)).map((one) => channelReport(one, asset));
  if (format === "json") return print(`${printableJson({ asset, channels })}\n`);
  printTable(
    ["CHANNEL", "EXECUTOR", "STATUS", "DEPOSIT", "SPENT", "LEFT", "REQUESTS"],
    channels.map((channel) => [
      shortId(channel.channelId),
      channel.executor,
      statusInWords(channel),
      channel.deposit,
      channel.spent,
      channel.left,
      `${channel.requests}`,
    ]),
  );
}

function statusInWords({ status, closesAt, outOfUse }: ChannelReport): string {
  if (closesAt !== undefined) return `closing until ${closesAt}`;
  if (outOfUse !== undefined) return `only to be closed: ${outOfUse}`;
  return status === "none" ? "not open" : status;
}

function printChannel({ format, funds: { asset } }: MoneyContext, channel: BuyerChannel): void {
  const report = channelReport(channel, asset);
  printResult(format, { ...report }, [
    ["channel", report.channelId],
    ["executor", report.executor],
    ["status", statusInWords(report)],
    ["deposit", report.deposit],
    ["left", report.left],
  ]);
}

function amountOf(
  { config: { payments }, funds: { asset } }: MoneyContext,
  text: string = payments.channelDeposit,
): Amount {
  return parsePositive(text, asset);
}
