/** Fills an account up to a balance: what a faucet does. @module */
import { type Address, ZERO_ADDRESS } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Amount } from "./amounts.ts";
import type { Call, ChainReader } from "./chain/ports.ts";

/** Who is filled up, and by whom. */
export interface TopUpOptions {
  /** The ERC-20 token to give; zero for the chain's native coin. */
  readonly asset: Address;
  /** Who pays. */
  readonly from: Address;
  /** Who gets it. */
  readonly to: Address;
  /** The balance to reach. */
  readonly target: Amount;
  /** What was promised to that account and may not show in its balance yet. */
  readonly promised: Amount;
}

/** A payment that reaches the target. */
export interface TopUp {
  /** What is paid, more than zero. */
  readonly amount: Amount;
  /** How: for an outbox. */
  readonly call: Call;
}

/**
 * What an account lacks of its target; undefined if nothing. Sends nothing.
 * @throws {LloomError} `insufficient_funds` if the payer has too little for the payment and its gas,
 * `transaction_failed` if the account would refuse it, `chain_unavailable`, `chain_mismatch`
 */
export async function planTopUp(
  reader: Pick<ChainReader, "balance" | "gasCost">,
  { asset, from, to, target, promised }: TopUpOptions,
): Promise<TopUp | undefined> {
  const amount = target - promised - await reader.balance(asset, to);
  if (amount <= 0n) return undefined;
  const call = transferCall(asset, to, amount);
  const funds = await reader.balance(asset, from);
  const gas = funds < amount ? 0n : await reader.gasCost(call, from);
  const coin = asset === ZERO_ADDRESS ? funds : await reader.balance(ZERO_ADDRESS, from);
  if (funds < amount || coin < call.value + gas) {
    throw new LloomError("insufficient_funds", "top up account: the payer has too little");
  }
  return { amount, call };
}

/** The call that hands over an amount of native coin or of a token. */
export function transferCall(asset: Address, to: Address, amount: Amount): Call {
  if (asset === ZERO_ADDRESS) return { to, data: "0x", value: amount };
  // ERC-20: transfer(address,uint256)
  const words = to.slice(2).padStart(64, "0") + amount.toString(16).padStart(64, "0");
  return { to: asset, data: `0xa9059cbb${words}`, value: 0n };
}
