/** How the demo's channel ends, and where the money is then. @module */
import { type Address, type Hash, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { type Amount, type Asset, formatAmount, toAmount } from "@lloom/core/payments";
import type { ChainReader, ChannelEvent } from "@lloom/core/payments/chain";
import type { JsonObject } from "@lloom/core/protocol";
import type { LocalChain } from "@lloom/host/local-chain";
import type { Wallet } from "../wallet.ts";

/** What the demo pays with. */
export const COIN: Asset = { address: ZERO_ADDRESS, symbol: "ETH", decimals: 18 };
/** How long the executor may take to redeem on a busy machine. */
const SETTLE_TIMEOUT_MS = 30_000;
/** Amounts are shown to people to a billionth of a coin. */
const SHOWN = 10n ** 9n;

/** Where an account's money is in the end. In base units. */
interface AccountReport {
  readonly address: Address;
  /** What it began with. */
  readonly before: Amount;
  /** What it has outside the contract. */
  readonly account: Amount;
  /** What it may withdraw from the contract. */
  readonly credit: Amount;
  /** What its transactions cost. */
  readonly gas: Amount;
}

/** How the demo's channel ended. */
export interface Settlement {
  readonly channelId: Hash;
  /** What the channel was opened with. */
  readonly deposit: Amount;
  /** What the answers came to. */
  readonly cost: Amount;
  /** What the executor redeemed: the cost, and what was paid ahead for what comes next. */
  readonly settled: Amount;
  /** What the client got back. */
  readonly refunded: Amount;
  readonly client: AccountReport;
  readonly executor: AccountReport;
}

/**
 * Asks for the end of the demo's channel, whereupon the executor redeems what it was paid and closes
 * it, and tells where all the money is.
 * @param before what each account began with
 */
export async function settleChannel(
  chain: LocalChain,
  wallet: Wallet,
  before: Amount,
  signal: AbortSignal,
): Promise<Settlement> {
  const [channel] = await (await wallet.ledger()).channels();
  if (channel === undefined) throw new LloomError("internal", "settle demo: there is no channel");
  const { channelId, terms } = channel;
  const cost = toAmount(channel.spent);
  const access = await wallet.chain();
  await access.use(async ({ actions, outbox }) =>
    await outbox.confirmed(await actions.requestClose(channelId, terms), signal)
  );
  const timeout = AbortSignal.timeout(SETTLE_TIMEOUT_MS);
  const { reader } = chain;
  const events = await untilClosed(reader, channelId, AbortSignal.any([signal, timeout]));
  const { deposit, settled, refunded } = endOf(events);
  const hashes = [...new Set(events.map(({ transactionHash }) => transactionHash))];
  const fees = await Promise.all(hashes.map((hash) => chain.feeOf(hash)));
  const report = async (address: Address): Promise<AccountReport> => ({
    address,
    before,
    account: await reader.balance(ZERO_ADDRESS, address),
    credit: await reader.credit(ZERO_ADDRESS, address),
    gas: fees.reduce((sum, { payer, fee }) => payer === address ? sum + fee : sum, 0n),
  });
  const [client, executor] = await Promise.all([report(terms.client), report(terms.executor)]);
  return { channelId, deposit, cost, settled, refunded, client, executor };
}

/** All that happened to a channel, once it is closed. */
async function untilClosed(
  reader: ChainReader,
  channelId: Hash,
  signal: AbortSignal,
): Promise<readonly ChannelEvent[]> {
  const found: ChannelEvent[] = [];
  const over = new AbortController();
  await reader.watch(0n, (events) => {
    found.push(...events.filter((event) => event.channelId === channelId));
    if (found.some(({ change }) => change.type === "closed")) over.abort();
    return Promise.resolve();
  }, AbortSignal.any([signal, over.signal]));
  if (over.signal.aborted) return found;
  if (signal.reason?.name !== "TimeoutError") throw signal.reason;
  throw new LloomError("timeout", "settle demo: the executor did not redeem in time");
}

function endOf(events: readonly ChannelEvent[]): Pick<
  Settlement,
  "deposit" | "settled" | "refunded"
> {
  let deposit = 0n;
  for (const { change } of events) {
    if (change.type === "opened" || change.type === "topped_up") ({ deposit } = change);
    if (change.type === "closed") {
      return { deposit, settled: change.settled, refunded: change.refunded };
    }
  }
  throw new TypeError("sum up channel: it is not closed");
}

/** For people. */
export function describeSettlement(settlement: Settlement): string {
  const { deposit, cost, settled, refunded, client, executor } = settlement;
  const left = deposit - settled - refunded;
  const ahead = settled > cost ? ` (${show(settled - cost)} of it paid ahead)` : "";
  return [
    `channel    redeemed by the executor, and closed; ${show(left)} is left in it`,
    `executor   has ${show(executor.account)}; earned ${show(executor.credit)}${ahead}; ` +
    `gas ${show(executor.gas)}`,
    `client     has ${show(client.account)}; got back ${show(client.credit)}; ` +
    `gas ${show(client.gas)}`,
    "",
  ].join("\n");
}

function show(amount: Amount): string {
  return formatAmount((amount + SHOWN / 2n) / SHOWN * SHOWN, COIN);
}

/** For programs: amounts in base units, as decimal text. */
export function settlementJson(settlement: Settlement): JsonObject {
  const account = ({ address, before, account, credit, gas }: AccountReport) => ({
    address: toChecksumAddress(address),
    before: String(before),
    account: String(account),
    credit: String(credit),
    gas: String(gas),
  });
  const { channelId, deposit, cost, settled, refunded, client, executor } = settlement;
  return {
    asset: { ...COIN },
    channelId,
    deposit: String(deposit),
    cost: String(cost),
    settled: String(settled),
    refunded: String(refunded),
    client: account(client),
    executor: account(executor),
  };
}
