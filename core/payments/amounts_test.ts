import assert from "node:assert/strict";
import fc from "fast-check";
import { ZERO_ADDRESS } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import {
  type Asset,
  costOf,
  formatAmount,
  formatCost,
  MAX_AMOUNT,
  parseAmount,
  toAmount,
  toCost,
} from "./amounts.ts";

const COIN: Asset = { address: ZERO_ADDRESS, symbol: "ETH", decimals: 18 };
const DOLLAR: Asset = { address: ZERO_ADDRESS, symbol: "USDC", decimals: 6 };

Deno.test("a cost follows both prices and both counts of tokens, to the millionth of a base unit", () => {
  const prices = { inboundPrice: 100_000n, outboundPrice: 300_001n };
  assert.equal(costOf(prices, 0, 0), 0n);
  assert.equal(costOf(prices, 7, 0), 700_000n);
  assert.equal(costOf(prices, 0, 3), 900_003n);
  assert.equal(costOf(prices, 7, 3), 1_600_003n);
  assert.equal(costOf({ inboundPrice: 0n, outboundPrice: 0n }, 7, 3), 0n);
});

Deno.test("what a cost is covered by is rounded up once: a sum never costs more than a unit too much", () => {
  const cost = fc.bigInt({ min: 0n, max: 1n << 110n });
  fc.assert(fc.property(fc.array(cost, { maxLength: 20 }), (costs) => {
    const sum = costs.reduce((a, b) => a + b, 0n);
    const amount = toAmount(sum);
    assert.ok(toCost(amount) >= sum);
    assert.ok(toCost(amount) - sum < 1_000_000n);
  }));
});

Deno.test("amounts are decimal: 10 is ten", () => {
  assert.equal(parseAmount("10", COIN), 10n * 10n ** 18n);
  assert.equal(parseAmount("10", DOLLAR), 10_000_000n);
  assert.equal(parseAmount("0.000001 USDC", DOLLAR), 1n);
  assert.equal(formatAmount(10n, DOLLAR), "0.00001 USDC");
  assert.equal(formatAmount(16n * 10n ** 18n, COIN), "16 ETH");
  assert.equal(formatCost(100_000n, DOLLAR), "0.0000001 USDC");
});

Deno.test("an amount that is shown is read as itself", () => {
  const asset = fc.integer({ min: 0, max: 24 }).map((decimals) => ({ ...COIN, decimals }));
  fc.assert(fc.property(asset, fc.bigInt({ min: 0n, max: MAX_AMOUNT }), (asset, amount) => {
    assert.equal(parseAmount(formatAmount(amount, asset), asset), amount);
  }));
});

for (
  const text of [
    "0x10",
    "ff",
    "1e18",
    "-1",
    "1.",
    ".5",
    "1,5",
    "",
    "1 DAI",
    "0.0000001",
    "Infinity",
  ]
) {
  Deno.test(`"${text}" is no amount of a token of six decimals`, () => {
    const refused = (error: unknown) =>
      error instanceof LloomError && error.code === "config_invalid";
    assert.throws(() => parseAmount(text, DOLLAR), refused);
  });
}

Deno.test("more than a channel can hold is no amount", () => {
  const unit: Asset = { ...COIN, decimals: 0 };
  assert.equal(parseAmount(String(MAX_AMOUNT), unit), MAX_AMOUNT);
  assert.throws(() => parseAmount(String(MAX_AMOUNT + 1n), unit), LloomError);
});
