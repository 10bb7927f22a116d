import assert from "node:assert/strict";
import { askOptions, type OwnersTerms } from "./ask_options.ts";

const ASSET = { address: `0x${"00".repeat(20)}`, symbol: "USDC", decimals: 6 } as const;
const WEIGHTS = { price: 1, latency: 0, reliability: 0, load: 0 };
const TERMS: OwnersTerms = {
  routing: { strategy: { type: "balanced", weights: WEIGHTS }, maxInboundPrice: 100n },
  maxPrice: 5_000_000n,
  asset: ASSET,
};
const use = { cache: "use" } as const;

Deno.test("without wishes a request is routed as the settings say", () => {
  assert.deepEqual(askOptions(use, TERMS), { ...TERMS.routing, maxPrice: 5_000_000n });
});

Deno.test("limits in whole units become base units, and never exceed the owner's", () => {
  const wished = { maxInboundPrice: "0.00005", maxOutboundPrice: "2.5", maxPrice: "1" };
  const options = askOptions({ ...use, ...wished }, TERMS);
  assert.deepEqual(
    [options.maxInboundPrice, options.maxOutboundPrice, options.maxPrice],
    [50n, 2_500_000n, 1_000_000n],
  );
  const greedy = askOptions({ ...use, maxInboundPrice: 101n, maxPrice: "99" }, TERMS);
  assert.deepEqual([greedy.maxInboundPrice, greedy.maxPrice], [100n, 5_000_000n]);
});

Deno.test("a limit finer than the asset is rounded down, and one too large is refused", () => {
  const fine = askOptions({ ...use, maxOutboundPrice: "0.0000019" }, TERMS);
  assert.equal(fine.maxOutboundPrice, 1n);
  assert.throws(
    () => askOptions({ ...use, maxPrice: "9".repeat(30) }, TERMS),
    { code: "request_invalid" },
  );
});

Deno.test("a conversation stays where it is, and else goes where the strategy says", () => {
  assert.deepEqual(askOptions({ ...use, conversation: "c" }, TERMS).strategy, {
    type: "sticky",
    key: "c",
    otherwise: TERMS.routing.strategy,
  });
  const cheap = askOptions({ ...use, conversation: "c", strategy: "best-price" }, TERMS).strategy;
  assert.deepEqual(cheap, { type: "sticky", key: "c", otherwise: { type: "best-price" } });
});

Deno.test("a strategy by name has the settings' weights where they are for it", () => {
  assert.deepEqual(
    askOptions({ ...use, strategy: "balanced" }, TERMS).strategy,
    TERMS.routing.strategy,
  );
  assert.deepEqual(askOptions({ ...use, strategy: "fastest" }, TERMS).strategy, {
    type: "fastest",
  });
});

Deno.test("whom the owner excludes, or alone has asked, no wish brings back", () => {
  const names = ["16Uiu2HAmOwners"];
  const exclude = ["16Uiu2HAmBad"];
  const terms: OwnersTerms = { routing: { strategy: { type: "specific", names }, exclude } };
  const wished = askOptions({ ...use, strategy: "fastest", exclude: ["16Uiu2HAmSlow"] }, terms);
  assert.deepEqual(wished.strategy, terms.routing.strategy);
  assert.deepEqual(wished.exclude, ["16Uiu2HAmBad", "16Uiu2HAmSlow"]);
});
