/**
 * Gas that payments cost, on a chain of their own: whole transactions, calldata and base cost
 * included. The figures depend on the contracts alone, not on the machine. Takes a few seconds.
 * @module
 */
import type { TransactionReceipt } from "viem";
import { missing } from "../../scripts/contracts/toolchain.ts";
import { PaymentChain } from "../support/payment_chain.ts";

const BATCHES = [1, 10, 100];
const REQUESTS = [1, 10, 100, 1000];
/** Deposit of each channel: more than all vouchers here promise. */
const DEPOSIT = 10n ** 18n;
/** What a request costs here, in wei. */
const PRICE = 371_000_000_000n;

/** What payments cost, in gas. */
export interface GasResult {
  readonly open: number;
  readonly topUp: number;
  /** The first of an executor takes a slot of the ledger; later ones find it in use. */
  readonly redeem: { readonly first: number; readonly later: number };
  /** Per channel, by the number of channels in one transaction; not the executor's first. */
  readonly redeemManyPerChannel: Readonly<Record<number, number>>;
  /** Per request, by the number of requests since the last redemption. */
  readonly perRequest: Readonly<
    Record<number, { readonly alone: number; readonly inBatchesOf100: number }>
  >;
}

const gasOf = ({ gasUsed }: TransactionReceipt) => Number(gasUsed);
const toTenth = (gas: number) => Math.round(gas * 10) / 10;

/** Redeems one voucher a channel in one transaction. */
async function redeemMany(chain: PaymentChain, salts: readonly bigint[], requests: bigint) {
  const items = salts.map((salt) =>
    chain.redemption(chain.terms(salt), requests * PRICE, requests)
  );
  const receipt = await chain.send(chain.executor, "redeemMany", [items]);
  const paid = receipt.logs.length;
  if (paid !== salts.length) throw new Error(`bench gas: ${paid} of ${salts.length} were redeemed`);
  return gasOf(receipt) / salts.length;
}

/** Measures all; the reason why not, on a machine without anvil. */
export async function benchGas(): Promise<GasResult | { readonly skipped: string }> {
  await using chain = await PaymentChain.start();
  if (chain === undefined) return { skipped: missing("anvil") };
  let salt = 0n;
  const open = async () => {
    const terms = chain.terms(++salt);
    return { terms, gas: gasOf(await chain.send(chain.payer, "open", [terms, DEPOSIT], DEPOSIT)) };
  };

  const { terms, gas } = await open();
  const topUp = gasOf(await chain.send(chain.payer, "topUp", [terms, DEPOSIT], DEPOSIT));
  const redeem = async (requests: bigint) =>
    gasOf(
      await chain.send(chain.executor, "redeem", [
        chain.redemption(terms, requests * PRICE, requests),
      ]),
    );
  const alone = { first: await redeem(1000n), later: await redeem(2000n) };

  const perChannel: Record<number, number> = {};
  for (const size of BATCHES) {
    const salts: bigint[] = [];
    for (let i = 0; i < size; i++) {
      await open();
      salts.push(salt);
    }
    perChannel[size] = toTenth(await redeemMany(chain, salts, 1000n));
  }
  const batched = perChannel[100]!;
  const perRequest = Object.fromEntries(
    REQUESTS.map((n) => [n, {
      alone: toTenth(alone.later / n),
      inBatchesOf100: toTenth(batched / n),
    }]),
  );
  return { open: gas, topUp, redeem: alone, redeemManyPerChannel: perChannel, perRequest };
}

/** Prints the result for people. */
export function printGas(result: Awaited<ReturnType<typeof benchGas>>): void {
  if ("skipped" in result) return console.log(`skipped: ${result.skipped}`);
  const { open, topUp, redeem, redeemManyPerChannel, perRequest } = result;
  console.log(`open ${open}, top up ${topUp}, redeem ${redeem.first} first, ${redeem.later} later`);
  console.log("redeemMany, per channel, by channels in one transaction:");
  console.table(redeemManyPerChannel);
  console.log("per request, by requests since the last redemption:");
  console.table(perRequest);
}
