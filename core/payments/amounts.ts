/**
 * Money: the only place where its units meet. Amounts are integers, never floating point.
 * @module
 */
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";

/** Base units of an asset: wei of a coin, millionths of a token with six decimals. */
export type Amount = bigint & { readonly unit?: "amount" };

/**
 * Millionths of a base unit. Prices are base units per 1,000,000 tokens, so that tokens times price
 * is a cost without any rounding.
 */
export type Cost = bigint & { readonly unit?: "cost" };

/** Costs in one base unit. */
const COST_PER_BASE_UNIT = 1_000_000n;
/** The largest amount that a channel or a voucher can hold: 96 bits. */
export const MAX_AMOUNT: Amount = (1n << 96n) - 1n;

/** Bits that hold what {@linkcode MAX_AMOUNT} covers. */
export const COST_BITS = 116;

/** What is paid with. */
export interface Asset {
  /** The ERC-20 token; zero for the chain's native coin. */
  readonly address: Address;
  /** How people call it. */
  readonly symbol: string;
  /** A whole one is 10 to this power base units. */
  readonly decimals: number;
}

/** What tokens cost at a price per 1,000,000 of them. */
export interface Prices {
  /** Base units per 1,000,000 tokens of prompt. */
  readonly inboundPrice: bigint;
  /** Base units per 1,000,000 tokens of answer. */
  readonly outboundPrice: bigint;
}

/** Whether tokens cost nothing. */
export function isFree({ inboundPrice, outboundPrice }: Prices): boolean {
  return inboundPrice === 0n && outboundPrice === 0n;
}

/** The exact cost of so many tokens. */
export function costOf(prices: Prices, inboundTokens: number, outboundTokens: number): Cost {
  return BigInt(inboundTokens) * prices.inboundPrice +
    BigInt(outboundTokens) * prices.outboundPrice;
}

/** Base units that cover a cost: rounded up. To be done once, on the sum of all costs of a channel. */
export function toAmount(cost: Cost): Amount {
  return (cost + COST_PER_BASE_UNIT - 1n) / COST_PER_BASE_UNIT;
}

/** What an amount covers. */
export function toCost(amount: Amount): Cost {
  return amount * COST_PER_BASE_UNIT;
}

/** An amount as people read it: `0.0125 ETH`. Exact, without trailing zeros. */
export function formatAmount(amount: Amount, asset: Asset): string {
  return `${formatUnits(amount, asset.decimals)} ${asset.symbol}`;
}

/** A cost as people read it, exact to a millionth of a base unit. */
export function formatCost(cost: Cost, asset: Asset): string {
  return `${formatUnits(cost, asset.decimals + 6)} ${asset.symbol}`;
}

/** A whole number of `10^-decimals` as a decimal number. */
export function formatUnits(value: bigint, decimals: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return `${value < 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/**
 * An amount that a person wrote, in whole units of the asset: `0.0125`, or `0.0125 ETH`.
 * @throws {LloomError} `config_invalid` if it is no such number, has more decimals than the asset, or
 * is more than a channel can hold
 */
export function parseAmount(text: string, asset: Pick<Asset, "symbol" | "decimals">): Amount {
  const match = /^([0-9]{1,30})(?:\.([0-9]{1,30}))?(?: ?([^ 0-9]{1,16}))?$/.exec(text.trim());
  const fraction = match?.[2] ?? "";
  if (match === null || (match[3] !== undefined && match[3] !== asset.symbol)) {
    throw new LloomError(
      "config_invalid",
      `read amount: write it like 0.25 or 0.25 ${asset.symbol}`,
    );
  }
  if (fraction.length > asset.decimals) {
    throw new LloomError(
      "config_invalid",
      `read amount: ${asset.symbol} has ${asset.decimals} decimals`,
    );
  }
  const amount = BigInt(match[1]! + fraction.padEnd(asset.decimals, "0"));
  if (amount > MAX_AMOUNT) {
    throw new LloomError("config_invalid", "read amount: more than a channel can hold");
  }
  return amount;
}
