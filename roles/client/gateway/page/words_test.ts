import assert from "node:assert/strict";
import fc from "fast-check";
import {
  costOf,
  GatewayError,
  priceFigures,
  priceWords,
  problemWords,
  shortPeer,
} from "./words.js";

Deno.test("costs are exact, however small a price is", () => {
  const price = fc.tuple(fc.bigInt(0n, 10n ** 20n), fc.nat(18)).map(([digits, scale]) => ({
    text: scale === 0 ? String(digits) : String(digits).padStart(scale + 1, "0")
      .replace(new RegExp(`\\d{${scale}}$`), (fraction) => `.${fraction}`),
    attos: digits * 10n ** BigInt(18 - scale),
  }));
  const attosOf = (text: string) => {
    const [whole = "", fraction = ""] = text.split(".");
    return BigInt(whole + fraction.padEnd(18, "0"));
  };
  fc.assert(
    fc.property(price, price, fc.nat(), fc.nat(), (prompt, completion, inbound, outbound) => {
      const cost = costOf(
        { prompt: prompt.text, completion: completion.text },
        inbound,
        outbound,
      );
      assert.equal(
        attosOf(cost),
        prompt.attos * BigInt(inbound) + completion.attos * BigInt(outbound),
      );
      assert.match(cost, /^(?:0|[1-9]\d*)(?:\.\d*[1-9])?$/);
    }),
  );
});

Deno.test("a price is told for a million tokens, in its asset, or as free", () => {
  const pricing = { prompt: "0.00000015", completion: "0.0000006", currency: "USDC" };
  assert.equal(priceFigures(pricing), "0.15 / 0.6 USDC");
  assert.equal(priceWords(pricing), "0.15 USDC in, 0.6 USDC out, for a million tokens");
  assert.equal(priceWords({ prompt: "0", completion: "0.000", currency: "USDC" }), "free");
});

Deno.test("a peer is told by its end", () => {
  assert.equal(shortPeer("16Uiu2HAmQ7vXbQ4qTzK8c1y6e5sY3fQqHn9tW2pLxRzVbNcMdEfG"), "…bNcMdEfG");
  assert.equal(shortPeer("short"), "short");
});

Deno.test("every failure has words, and what the gateway says of it", () => {
  for (const status of [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504]) {
    const words = problemWords(new GatewayError("ask: why", { status, code: "internal" }));
    assert.match(words, /^[A-Z].*\. ?.*\(ask: why\)$/, `${status}`);
  }
  assert.match(problemWords(new GatewayError("ask: why")), /broke off\. \(ask: why\)$/);
  assert.match(problemWords(new GatewayError("", { status: 0 })), /cannot be reached/);
  assert.match(problemWords(new TypeError("x is undefined")), /This page failed.*x is undefined/);
});
