/** Checks of the chain and of the money on it. Loads viem: import it where a chain is configured. @module */
import { ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { buyer, type BuyerChannel, formatAmount, roomOf, toCost } from "@lloom/core/payments";
import { Chain, type ChainHead } from "@lloom/core/payments/chain";
import { type PaymentChain, shortId, systemClock } from "@lloom/host";
import type { BlockchainConfig } from "@lloom/host/config";
import type { Funds, Wallet } from "../wallet.ts";
import { failed, ok, type Outcome, skipped, warning } from "./check.ts";
import { inWords } from "./time_span.ts";

/** A chain whose newest block is older has come to a stand, or the endpoint lags behind it. */
const OLD_HEAD_MS = 600_000;

/** One endpoint, as it was found. */
export interface ProbedEndpoint {
  /** Its host alone: a URL may hold a key. */
  readonly host: string;
  /** How long its answers took, in milliseconds. */
  readonly ms: number;
  /** Its newest block; absent if it is of no use. */
  readonly head?: ChainHead;
  /** Why not; absent if it is. */
  readonly error?: LloomError;
}

/** Looks at all endpoints, each by itself: its chain, the contract there, and its newest block. */
export function probeEndpoints(
  { rpcUrls, coin }: BlockchainConfig,
  { chainId, contract }: PaymentChain,
): Promise<readonly ProbedEndpoint[]> {
  return Promise.all(rpcUrls.map(async (url) => {
    const { host } = new URL(url);
    const startMs = performance.now();
    const took = () => Math.round(performance.now() - startMs);
    const chain = new Chain({ rpcUrls: [url], chainId, contract, coin }, { clock: systemClock });
    try {
      const head = await chain.head();
      return { host, ms: took(), head };
    } catch (error) {
      return { host, ms: took(), error: LloomError.wrap(error) };
    } finally {
      chain.close();
    }
  }));
}

/** Whether the endpoints are of the chain that is meant, and up to date. */
export function checkEndpoints(
  endpoints: readonly ProbedEndpoint[],
  { chainId, contract }: PaymentChain,
  nowMs: number,
): readonly Outcome[] {
  const isUsable = endpoints.some(({ head }) => head !== undefined);
  return endpoints.map(({ host, ms, head, error }) => {
    if (head === undefined) {
      const remedy = error?.code === "chain_mismatch"
        ? "look at --chain-id and blockchain.contract_address, or name an endpoint of that chain"
        : "name an endpoint that answers with --rpc-url";
      const finding = `${host}: ${error?.message ?? "no answer"}`;
      return isUsable
        ? warning(finding, remedy)
        : failed(error?.code ?? "chain_unavailable", finding, remedy);
    }
    const ageMs = nowMs - head.timestamp * 1000;
    const finding = `${host}: chain ${chainId} with contract ${toChecksumAddress(contract)}, ` +
      `block ${head.number} of ${inWords(ageMs)} ago, after ${ms} ms`;
    return ageMs > OLD_HEAD_MS
      ? warning(finding, "the endpoint lags behind, or the chain stands still: name another one")
      : ok(finding);
  });
}

/** What the account has. @throws {LloomError} `chain_unavailable`, `chain_mismatch` */
export async function checkAccount(wallet: Wallet, { asset }: Funds): Promise<readonly Outcome[]> {
  const { address } = wallet.identity;
  const { reader } = await wallet.chain();
  const [coin, gas, balance, credit, channels] = await Promise.all([
    reader.asset(ZERO_ADDRESS),
    reader.balance(ZERO_ADDRESS, address),
    reader.balance(asset.address, address),
    reader.credit(asset.address, address),
    wallet.ledger().then((store) => store.channels()),
  ]);
  const open = channels.filter(isUsable);
  const left = open.reduce((sum, channel) => sum + roomOf(channel), 0n);
  const account = toChecksumAddress(address);
  const finding = `${account} has ${formatAmount(balance, asset)}, ` +
    `${formatAmount(credit, asset)} in the payment contract, and ${open.length} open channels`;
  const outcomes = [
    balance === 0n && credit === 0n && left === 0n
      ? warning(finding, `models with a price cannot be asked: send ${asset.symbol} to ${account}`)
      : ok(finding),
  ];
  if (gas === 0n && asset.address !== ZERO_ADDRESS) {
    const remedy = `no channel can be opened or closed: send ${coin.symbol} to ${account}`;
    outcomes.push(warning(`${account} has no ${coin.symbol} for gas`, remedy));
  }
  return outcomes;
}

/** Channels that want something of their owner. */
export async function checkChannels(
  wallet: Wallet,
  { asset, channelDeposit }: Funds,
): Promise<Outcome | readonly Outcome[]> {
  const channels = (await (await wallet.ledger()).channels())
    .filter(({ status, terms }) => status !== "closed" && terms.asset === asset.address);
  if (channels.length === 0) return skipped("there is none");
  const doubtful = channels.flatMap((channel) => doubtOf(channel) ?? []);
  if (doubtful.length > 0) return doubtful;
  const spent = channels.filter((channel) => roomOf(channel) * 10n < toCost(channelDeposit)).length;
  const note = spent === 0 ? "" : `, ${spent} of them nearly spent: they are topped up when used`;
  return ok(`${channels.length} in order${note}`);
}

function doubtOf(channel: BuyerChannel): Outcome | undefined {
  const id = shortId(channel.channelId);
  switch (channel.status) {
    case "none":
      return warning(`${id}: the chain has not confirmed it`, "`channel list` looks again");
    case "closing":
      return warning(`${id}: it is being closed`, `\`channel close ${id}\` ends that when due`);
    case "open": {
      const reason = buyer.unusableReason(channel);
      return reason === undefined
        ? undefined
        : warning(`${id}: out of use, as ${reason}`, `\`channel close ${id}\` frees its money`);
    }
    case "closed":
      return undefined;
  }
}

function isUsable(channel: BuyerChannel): boolean {
  return channel.status === "open" && buyer.unusableReason(channel) === undefined;
}
