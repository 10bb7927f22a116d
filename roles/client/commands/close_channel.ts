/** `channel close`: at once where its executor agrees, else by the chain's own delay. @module */
import { LloomError } from "@lloom/core/errors";
import type { SignedConsent } from "@lloom/core/net";
import { type BuyerChannel, formatAmount } from "@lloom/core/payments";
import { isoTime, shortId } from "@lloom/host";
import { findChannel, refreshChannel } from "./channels.ts";
import { type MoneyContext, printResult, say, transact } from "./context.ts";

/** Closes a channel, or begins to. @throws {LloomError} `channel_unusable` if it was never opened */
export async function closeChannel(context: MoneyContext, name: string): Promise<void> {
  const { wallet } = context;
  const { channelId } = await findChannel(context, name);
  const before = await refreshChannel(wallet, channelId);
  if (before.status === "none") {
    throw new LloomError("channel_unusable", "close channel: it is not open on the chain");
  }
  if (before.status !== "closed") await end(context, before);
  printEnd(context, before, await refreshChannel(wallet, channelId));
}

async function end(context: MoneyContext, channel: BuyerChannel): Promise<void> {
  const { format, funds: { asset } } = context;
  const { channelId, terms, status } = channel;
  if (status === "closing" && await isDue(context, channel)) {
    say(format, `ending the channel ${shortId(channelId)}: the delay is over`);
    await transact(context, (actions) => actions.finalize(channelId, terms));
    return;
  }
  const agreed = await askExecutor(context, channel);
  if (agreed !== undefined) {
    const { consent, signature } = agreed;
    say(
      format,
      `closing the channel ${shortId(channelId)} at once: its executor agrees, and gets ` +
        `${formatAmount(consent.finalAmount, asset)} in all`,
    );
    await transact(context, (actions) => actions.closeWithConsent(terms, consent, signature));
  } else if (status === "open") {
    say(
      format,
      `closing the channel ${shortId(channelId)} without its executor: that takes ` +
        `${terms.closeDelay} seconds, in which it may redeem what it was paid`,
    );
    await transact(context, (actions) => actions.requestClose(channelId, terms));
  }
}

/** The executor's consent; undefined, and said why, where there is none. */
async function askExecutor(
  { wallet, config: { network }, format, sandboxWorkers, signal }: MoneyContext,
  channel: BuyerChannel,
): Promise<SignedConsent | undefined> {
  const { bootstrapNodes, enableMdns } = network;
  if (bootstrapNodes.length === 0 && !enableMdns) {
    say(format, "its executor is not asked: that takes a node of the network, --bootstrap-nodes");
    return undefined;
  }
  const { LloomClient } = await import("../client.ts");
  const client = await LloomClient.connect({ bootstrapNodes, wallet, network, sandboxWorkers });
  try {
    return await client.askToClose(channel, signal);
  } catch (thrown) {
    const { code, message } = LloomError.wrap(thrown);
    if (signal.aborted) throw thrown;
    say(format, `its executor does not agree: ${message} (${code})`);
    return undefined;
  } finally {
    await client.close();
  }
}

/** Whether the delay is over. Where nobody sends transactions the newest block may be an old one. */
async function isDue({ wallet }: MoneyContext, { closesAt }: BuyerChannel): Promise<boolean> {
  const { timestamp } = await (await wallet.chain()).reader.head();
  return Math.max(timestamp, Date.now() / 1000) >= closesAt;
}

function printEnd(
  { format, funds: { asset } }: MoneyContext,
  before: BuyerChannel,
  { channelId, status, settled, closesAt }: BuyerChannel,
): void {
  const executorGot = formatAmount(settled, asset);
  if (status === "closed") {
    // What is refunded no longer counts as its deposit.
    const refund = before.status === "closed" ? 0n : before.deposit - settled;
    const refunded = formatAmount(refund, asset);
    printResult(format, { channelId, status, executorGot, refunded }, [
      ["channel", channelId],
      ["status", status],
      ["executor", `got ${executorGot} in all`],
      ["refunded", `${refunded}; \`withdraw all\` pays it out`],
    ]);
    return;
  }
  const until = isoTime({ s: closesAt });
  printResult(format, { channelId, status, executorGot, closesAt: until }, [
    ["channel", channelId],
    ["status", `${status} until ${until}`],
    ["next", `from then on, \`channel close ${shortId(channelId)}\` again ends it`],
  ]);
}
