/**
 * What paying costs a request: asked of an executor that is paid, and of the same one free, in turns,
 * so that whatever else the machine does hits both. The client is this process, as its library; both
 * sides keep their accounts on disk. Takes about a minute, with the rates of signatures.
 * @module
 */
import { LloomClient, Wallet } from "@lloom/client";
import { Identity, parsePrivateKey } from "@lloom/core/identity";
import type { Address } from "@lloom/core/bytes";
import { missing } from "@lloom/host/foundry";
import { LocalChain } from "@lloom/host/local-chain";
import { benchCrypto, type CryptoResult, printCrypto } from "./bench_crypto.ts";
import { type Figure, figure, show } from "./figures.ts";
import { type Market, withMarket } from "./market.ts";
import { type Ask, askNetwork, type Round, runFor, runRound, sumUp, type Way } from "./rounds.ts";

const AT_ONCE = [1, 16] as const;
/** Each round measures both ways. */
const ROUNDS = 7;
const WARM_UP_MS = 1500;
/** The client's key: any. */
const KEY = `0x${"5a".repeat(32)}`;
const FUNDS = 10n ** 20n;
const PRICING = [
  "[pricing]",
  'default_inbound_price = "500000000000000"',
  'default_outbound_price = "2000000000000000"',
  "",
].join("\n");

/** One number of requests at once. */
export interface PayRow {
  readonly atOnce: number;
  readonly free: Way;
  readonly paid: Way;
  /** What paying adds, round by round. */
  readonly addedFirstByteMs: Figure;
  /** CPU milliseconds per request that paying adds over client and executor, round by round. */
  readonly addedCpuMs: Figure;
  /** Paid rate by the free rate, round by round. */
  readonly rateRatio: Figure;
}

/** What paying costs, and what signatures do. */
export interface PayResult {
  readonly requests: readonly PayRow[];
  readonly signatures: CryptoResult;
}

/** Measures all; the reason why not, on a machine without anvil. */
export async function benchPay(): Promise<PayResult | { readonly skipped: string }> {
  const chain = await LocalChain.start();
  if (chain === undefined) return { skipped: missing("anvil") };
  try {
    const requests = await withMarket((market) => measureAll(market, chain));
    return { requests, signatures: await benchCrypto() };
  } finally {
    await chain.stop();
  }
}

async function measureAll(market: Market, chain: LocalChain): Promise<readonly PayRow[]> {
  const { bootstrapNodes, directory, pids: { executor, validator } } = market;
  const paidExecutor = await market.startExecutor("paid", `${chain.toml}\n${PRICING}`);
  const identity = new Identity(parsePrivateKey(KEY));
  await chain.fillUp(paidExecutor.ready.address.toLowerCase() as Address, FUNDS);
  await chain.fillUp(identity.address, FUNDS);
  await using stack = new AsyncDisposableStack();
  const wallet = await Wallet.open({
    identity,
    blockchain: chain.blockchain,
    payments: {
      ...{ channelDeposit: "1", autoOpen: true, closeDelay: 3600, maxCloseDelay: 86_400 },
      ...{ maxPrice: undefined, budgetHour: undefined, budgetDay: undefined },
      keepContent: false,
    },
    dataDir: `${directory}/client`,
    sandboxWorkers: true,
  });
  stack.defer(() => wallet.close());
  const payer = await LloomClient.connect({ bootstrapNodes, wallet, sandboxWorkers: true });
  stack.defer(() => payer.close());
  const guest = await LloomClient.connect({ bootstrapNodes, sandboxWorkers: true });
  stack.defer(() => guest.close());
  const ways = {
    free: askNetwork(guest),
    paid: askNetwork(payer, {
      strategy: { type: "specific", names: [paidExecutor.ready.peerId] },
    }),
  };
  const pids = {
    free: { client: Deno.pid, executor, validator },
    paid: { client: Deno.pid, executor: paidExecutor.pid, validator },
  };
  const rows: PayRow[] = [];
  for (const atOnce of AT_ONCE) rows.push(await measure(atOnce, ways, pids));
  return rows;
}

type BothWays<T> = Readonly<Record<"free" | "paid", T>>;

async function measure(
  atOnce: number,
  ways: BothWays<Ask>,
  pids: BothWays<Readonly<Record<string, number>>>,
): Promise<PayRow> {
  for (const ask of Object.values(ways)) await runFor(WARM_UP_MS, atOnce, ask);
  const free: Round[] = [];
  const paid: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    free.push(await runRound(atOnce, ways.free, pids.free));
    paid.push(await runRound(atOnce, ways.paid, pids.paid));
  }
  const added = (of: (round: Round) => number) =>
    figure(paid.map((one, i) => of(one) - of(free[i]!)));
  return {
    atOnce,
    free: sumUp(free),
    paid: sumUp(paid),
    addedFirstByteMs: added(({ firstByteMs }) => firstByteMs),
    addedCpuMs: added(({ cpuMs: { client = NaN, executor = NaN } }) => client + executor),
    rateRatio: figure(paid.map((one, i) => one.perSecond / free[i]!.perSecond)),
  };
}

/** Prints the result for people. */
export function printPay(result: PayResult | { readonly skipped: string }): void {
  if ("skipped" in result) return console.log(`skipped: ${result.skipped}`);
  console.log("median (least–most of rounds)");
  console.table(Object.fromEntries(
    result.requests.map(({ atOnce, free, paid, addedFirstByteMs, addedCpuMs, rateRatio }) => [
      `${atOnce} at once`,
      {
        "first byte, free ms": show(free.firstByteMs, 1),
        "paid ms": show(paid.firstByteMs, 1),
        "added ms": show(addedFirstByteMs, 1),
        "requests/s, free": show(free.perSecond, 0),
        "paid": show(paid.perSecond, 0),
        "ratio": show(rateRatio, 2),
        "added CPU ms": show(addedCpuMs, 2),
      },
    ]),
  ));
  console.log("CPU ms per request, by process");
  console.table(Object.fromEntries(result.requests.flatMap(({ atOnce, free, paid }) => [
    [`free, ${atOnce}`, free.cpuMs],
    [`paid, ${atOnce}`, paid.cpuMs],
  ])));
  printCrypto(result.signatures);
}
