import assert from "node:assert/strict";
import fc from "fast-check";
import { ZERO_ADDRESS } from "../bytes.ts";
import type { PaymentTerms } from "../payments/ports.ts";
import { STALE_AFTER_MS } from "../protocol/limits.ts";
import { executor, offer } from "../../tests/support/executor.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { type Candidate, candidatesOf } from "./candidate.ts";
import {
  isNamed,
  noExecutor,
  type PaymentMeans,
  type Refusal,
  refusal,
  type Requirements,
} from "./filter.ts";
import { Observations } from "./observations.ts";
import {
  expectedCost,
  expectedMs,
  firstTokenMs,
  loadOf,
  penalties,
  timesOf,
  tokenMs,
} from "./score.ts";
import { StickyRoutes } from "./sticky_routes.ts";
import { select, type StickyStrategy, type Strategy } from "./select.ts";

const clock = new ManualClock();
const now = clock.now();
const ANYONE = executor();
const CHAIN = { chainId: 1n, contract: ANYONE.address, asset: ZERO_ADDRESS } as const;
const PAYMENT: PaymentTerms = { ...CHAIN, stepTokens: 256, closeDelay: 3600 };
const MEANS: PaymentMeans = { ...CHAIN, maxCloseDelay: 3600 };
/** Whoever offers the model, at any price. */
const ANY: Requirements = { model: "model", payment: MEANS };
const DEMAND = { promptTokens: 100, completionTokens: 100 };

interface Change {
  readonly id?: string;
  readonly offer?: Partial<Candidate["offer"]>;
  readonly observed?: Partial<Candidate["observed"]>;
  readonly load?: Candidate["announcement"]["load"];
  readonly lastSeen?: number;
  readonly payment?: Partial<PaymentTerms>;
}

function candidate(given: Change): Candidate {
  const { id = "p", offer: change, observed, load, lastSeen = now, payment } = given;
  return {
    announcement: {
      ...ANYONE.announcement({ timestamp: now, peerId: id }),
      payment: { ...PAYMENT, ...payment },
      executor: `0x${(parseInt(id.slice(1), 10) || 0).toString(16).padStart(40, "a")}`,
      load: load ?? { active: 0, queued: 0, capacity: 1 },
    },
    offer: offer(change),
    lastSeen,
    observed: { reliability: 1, inFlight: 0, satOutUntil: 0, ...observed },
  };
}

/** Numbers from a seed: mulberry32. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const names = (candidates: readonly Candidate[]) =>
  candidates.map(({ announcement }) => announcement.peerId);

const market: fc.Arbitrary<readonly Candidate[]> = fc.array(
  fc.record({
    offer: fc.record({
      id: fc.constantFrom("model", "model", "model", "other"),
      available: fc.constantFrom(true, true, true, false),
      features: fc.subarray(["tools", "vision", "seed"]),
      inboundPrice: fc.bigInt({ min: 0n, max: 5n }),
      outboundPrice: fc.oneof(
        fc.bigInt({ min: 0n, max: 5n }),
        fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }),
      ),
      contextLength: fc.constantFrom(1000, 8000),
      performance: fc.record({
        tokensPerSecond: fc.double({ min: 0, max: 1e6, noNaN: true }),
        timeToFirstTokenMs: fc.nat(10_000),
        successRate: fc.constant(1),
      }),
    }, { requiredKeys: ["id", "available", "features", "inboundPrice", "outboundPrice"] }),
    observed: fc.record({
      timeToFirstTokenMs: fc.nat(10_000),
      msPerToken: fc.nat(100),
      reliability: fc.double({ min: 0, max: 1, noNaN: true }),
      inFlight: fc.nat(5),
      satOutUntil: fc.constantFrom(0, 0, 0, now + 1, now + 2),
    }, { requiredKeys: ["reliability"] }),
    load: fc.record({ active: fc.nat(9), queued: fc.nat(9), capacity: fc.nat(9) }),
    lastSeen: fc.constantFrom(now, now - STALE_AFTER_MS, now - STALE_AFTER_MS - 1),
  }),
  { maxLength: 12 },
).map((changes) => changes.map((change, i) => candidate({ ...change, id: `p${i}` })));

const requirements: fc.Arbitrary<Requirements> = fc.record({
  model: fc.constant("model"),
  features: fc.subarray(["tools", "vision"]),
  parameters: fc.subarray(["seed"]),
  maxInboundPrice: fc.bigInt({ min: 0n, max: 5n }),
  maxOutboundPrice: fc.bigInt({ min: 0n, max: 5n }),
  only: fc.subarray(["p0", "p1", "p5", `0x${"3".padStart(40, "A")}`]),
  exclude: fc.subarray(["p0", "p1", `0x${"2".padStart(40, "A")}`]),
  payment: fc.constant(MEANS),
}, { requiredKeys: ["model"] });

const SCORED = [
  { type: "best-price" },
  { type: "fastest" },
  { type: "latency" },
  { type: "throughput" },
  { type: "balanced" },
] as const;

const plain: fc.Arbitrary<Exclude<Strategy, StickyStrategy>> = fc.oneof(
  fc.constantFrom(...SCORED),
  fc.array(fc.constantFrom("p0", "p1", "p2", "p3", `0x${"4".padStart(40, "A")}`))
    .map((names) => ({ type: "specific" as const, names })),
);

const strategy: fc.Arbitrary<Strategy> = fc.oneof(
  plain,
  plain.map((otherwise): Strategy => ({ type: "sticky", otherwise })),
);

Deno.test("a selection is a permutation of what is allowed, and violates no limit", () => {
  fc.assert(
    fc.property(market, requirements, strategy, fc.integer(), (market, wanted, how, seed) => {
      const components = { clock, random: seeded(seed), stuckTo: "p1" };
      const order = select(market, wanted, how, DEMAND, components);
      const plain = how.type === "sticky" ? how.otherwise! : how;
      const allowed = market.filter((c) =>
        refusal(c, wanted, now) === undefined &&
        (plain.type !== "specific" || plain.names.some((name) => isNamed(c, name)))
      );
      assert.deepEqual(names(order).sort(), names(allowed).sort());
      for (const { offer, lastSeen, announcement } of order) {
        assert.equal(offer.id, "model");
        assert(offer.available && now - lastSeen <= STALE_AFTER_MS);
        for (const feature of [...wanted.features ?? [], ...wanted.parameters ?? []]) {
          assert(offer.features.includes(feature));
        }
        const c = order.find((one) => one.announcement === announcement)!;
        assert(wanted.only?.some((name) => isNamed(c, name)) !== false);
        assert(offer.inboundPrice <= (wanted.maxInboundPrice ?? offer.inboundPrice));
        assert(offer.outboundPrice <= (wanted.maxOutboundPrice ?? offer.outboundPrice));
        assert(!wanted.exclude?.includes(announcement.peerId));
        assert(wanted.payment !== undefined || offer.inboundPrice + offer.outboundPrice === 0n);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("best-price tries the cheapest first, and those that sit out last", () => {
  fc.assert(fc.property(market, fc.integer(), (market, seed) => {
    const how = { type: "best-price" } as const;
    const order = select(market, ANY, how, DEMAND, { clock, random: seeded(seed) });
    for (const [i, next] of order.slice(1).entries()) {
      const [a, b] = [order[i]!, next];
      assert(a.observed.satOutUntil <= b.observed.satOutUntil);
      if (a.observed.satOutUntil > 0 || b.observed.satOutUntil > 0) continue;
      assert(expectedCost(a, DEMAND) <= expectedCost(b, DEMAND));
    }
  }));
});

type Timed = "fastest" | "latency" | "throughput" | "balanced";

Deno.test("no strategy prefers one that is clearly worse", () => {
  const order = (market: readonly Candidate[], type: Timed, seed: number) =>
    select(market, ANY, { type }, DEMAND, { clock, random: seeded(seed) })
      .filter(({ observed }) => observed.satOutUntil <= now);
  fc.assert(fc.property(market, fc.integer(), (market, seed) => {
    const allowed = market.filter((c) => refusal(c, ANY, now) === undefined);
    const times = timesOf(allowed, (c) => expectedMs(c, DEMAND));
    const first = timesOf(allowed, firstTokenMs);
    const each = timesOf(allowed, tokenMs);
    const marks = penalties(allowed, DEMAND);
    const check = (type: Timed, slack: (i: number, j: number) => boolean) => {
      const indexes = order(market, type, seed).map((c) => allowed.indexOf(c));
      indexes.forEach((i, at) => indexes.slice(at + 1).forEach((j) => assert(slack(i, j), type)));
    };
    check("fastest", (i, j) => times[i]! <= times[j]! * 1.1 + 1e-9);
    check("latency", (i, j) => first[i]! <= first[j]! * 1.1 + 1e-9);
    check("throughput", (i, j) => each[i]! <= each[j]! * 1.1 + 1e-9);
    check("balanced", (i, j) => marks[i]! <= marks[j]! + 0.05 + 1e-9);
  }));
});

Deno.test("under one seed the order is the same, in whatever order candidates are given", () => {
  fc.assert(fc.property(
    market.chain((m) =>
      fc.tuple(fc.constant(m), fc.shuffledSubarray([...m], { minLength: m.length }))
    ),
    fc.constantFrom(...SCORED),
    fc.integer(),
    ([given, shuffled], how, seed) => {
      const [a, b] = [given, shuffled].map((market) =>
        names(select(market, ANY, how, DEMAND, { clock, random: seeded(seed) }))
      );
      assert.deepEqual(a, b);
    },
  ));
});

Deno.test("equals share the requests, the less loaded getting more, the most loaded fewest", () => {
  const market = [0, 1, 2, 3].map((n) =>
    candidate({ id: `p${n}`, load: { active: n, queued: 0, capacity: 4 } })
  );
  const random = seeded(1);
  const first = [0, 0, 0, 0];
  for (let i = 0; i < 4000; i++) {
    const [chosen] = select(
      market,
      ANY,
      { type: "balanced", weights: { load: 0 } },
      DEMAND,
      {
        clock,
        random,
      },
    );
    first[market.indexOf(chosen!)]!++;
  }
  // Of 16 pairs drawn, the least loaded is in 7, the next one best in 5, then 3, then 1.
  [7, 5, 3, 1].forEach((share, n) => assert(Math.abs(first[n]! / 250 - share) < 0.6, `${first}`));
});

Deno.test("named executors come in the order named, by PeerId or address of either case", () => {
  const market = ["p1", "p2", "p3"].map((id) => candidate({ id }));
  const address = market[1]!.announcement.executor.toUpperCase().replace("0X", "0x");
  const named = ["p3", "nobody", address, "p3"];
  const order = select(market, ANY, { type: "specific", names: named }, DEMAND, {
    clock,
  });
  assert.deepEqual(names(order), ["p3", "p2"]);
});

Deno.test("a conversation stays on its executor, until that one sits out or may not be asked", () => {
  const market = [1, 2, 3].map((n) =>
    candidate({ id: `p${n}`, offer: { inboundPrice: BigInt(n), outboundPrice: 1n } })
  );
  const how: Strategy = { type: "sticky", otherwise: { type: "best-price" } };
  const order = (market: readonly Candidate[], stuckTo?: string, wanted = ANY) =>
    names(select(market, wanted, how, DEMAND, { clock, stuckTo }));
  assert.deepEqual(order(market), ["p1", "p2", "p3"]);
  assert.deepEqual(order(market, "p3"), ["p3", "p1", "p2"]);
  assert.deepEqual(order(market, "gone"), ["p1", "p2", "p3"]);
  assert.deepEqual(order(market, "p3", { ...ANY, exclude: ["p3"] }), ["p1", "p2"]);
  const [p1, p2, p3] = market as [Candidate, Candidate, Candidate];
  const resting = { ...p3, observed: { ...p3.observed, satOutUntil: now + 1 } };
  assert.deepEqual(order([p1, p2, resting], "p3"), ["p1", "p2", "p3"]);
});

Deno.test("as many conversations are remembered as was said, those used last", () => {
  const routes = new StickyRoutes(2);
  routes.served("a", "p1");
  routes.served("b", "p2");
  routes.served("a", "p3");
  routes.served("c", "p4");
  assert.deepEqual(["a", "b", "c"].map((key) => routes.of(key)), ["p3", undefined, "p4"]);
});

Deno.test("each requirement refuses for its own reason, and the error tells them", () => {
  const wanted: Requirements = {
    model: "model",
    features: ["tools"],
    parameters: ["seed"],
    maxInboundPrice: 1n,
    maxOutboundPrice: 2n,
    only: ["p", "p9"],
    exclude: ["p9"],
    payment: MEANS,
  };
  const good = { features: ["tools", "seed"] };
  const cases: [Change, Refusal | undefined][] = [
    [{ offer: good }, undefined],
    [{ offer: { ...good, id: "Model" } }, "other model"],
    [{ offer: good, id: "p9" }, "excluded"],
    [{ offer: good, id: "p8" }, "not named"],
    [{ offer: { ...good, available: false } }, "unavailable"],
    [{ offer: good, lastSeen: now - STALE_AFTER_MS - 1 }, "unavailable"],
    [{ offer: { ...good, features: ["vision"] } }, "feature missing"],
    [{ offer: { ...good, features: ["tools"] } }, "parameter not honoured"],
    [{ offer: { ...good, inboundPrice: 2n } }, "too expensive"],
    [{ offer: { ...good, outboundPrice: 3n } }, "too expensive"],
    [{ offer: good, payment: { chainId: 2n } }, "paid otherwise"],
    [{ offer: good, payment: { asset: ANYONE.address } }, "paid otherwise"],
    [{ offer: good, payment: { contract: ZERO_ADDRESS } }, "paid otherwise"],
    [{ offer: good, payment: { closeDelay: 3601 } }, "paid otherwise"],
  ];
  for (const [change, why] of cases) {
    assert.equal(refusal(candidate(change), wanted, now), why);
  }
  const error = noExecutor(cases.slice(6, 9).map(([change]) => candidate(change)), wanted, now);
  assert.equal(error.code, "no_executor");
  assert.equal(
    error.message,
    "select executor: 1 feature missing, 1 parameter not honoured, 1 too expensive",
  );
  assert.match(noExecutor([], wanted, now).message, /none offers this model/);
});

Deno.test("who cannot pay is offered what is free, and nothing else", () => {
  const free = candidate({ offer: { inboundPrice: 0n, outboundPrice: 0n } });
  assert.equal(refusal(free, { model: "model" }, now), undefined);
  for (const price of [{ inboundPrice: 0n }, { outboundPrice: 0n }]) {
    assert.match(refusal(candidate({ offer: price }), { model: "model" }, now)!, /^not free/);
  }
  const { payment: _, ...announcement } = candidate({}).announcement;
  assert.equal(refusal({ ...candidate({}), announcement }, ANY, now), "paid otherwise");
});

Deno.test("formulas: cost, time, load and penalties", () => {
  const performance = { tokensPerSecond: 100, timeToFirstTokenMs: 200, successRate: 1 };
  const cheap = candidate({ offer: { inboundPrice: 1n, outboundPrice: 1n, performance } });
  const dear = candidate({
    offer: { inboundPrice: 1n, outboundPrice: 3n, performance },
    observed: { timeToFirstTokenMs: 1000, msPerToken: 14, reliability: 0.5, inFlight: 2 },
    load: { active: 1, queued: 0, capacity: 4 },
  });
  assert.equal(expectedCost(dear, DEMAND), 400n);
  assert.equal(expectedMs(cheap, DEMAND), 1200);
  assert.equal(expectedMs(dear, DEMAND), 2400, "what is observed counts before what is announced");
  assert.equal(expectedMs(candidate({}), DEMAND), undefined);
  const times = timesOf([cheap, candidate({}), dear], (one) => expectedMs(one, DEMAND));
  assert.deepEqual(times, [1200, 2400, 2400]);
  assert.equal(loadOf(dear), 0.5);
  assert.equal(loadOf(candidate({ load: { active: 3, queued: 0, capacity: 0 } })), 3);
  const [best, worse] = penalties([cheap, dear], DEMAND, {
    price: 1,
    latency: 1,
    reliability: 1,
    load: 1,
  });
  assert.equal(best, 0);
  assert.equal(worse, 0.5);
  const zero = { price: 0, latency: 0, reliability: 0, load: 0 };
  assert.throws(() => penalties([cheap], DEMAND, zero), RangeError);
  assert.throws(() => penalties([cheap], DEMAND, { price: -1 }), RangeError);
});

Deno.test("candidates are the executors of exactly that model, with what was observed of them", () => {
  const observations = new Observations({}, { clock });
  const attempt = observations.started("p1", "a");
  const entries = [
    { lastSeen: now, ids: ["a", "b"], peerId: "p1" },
    { lastSeen: now, ids: ["A"], peerId: "p2" },
  ].map(({ lastSeen, ids, peerId }) => ({
    lastSeen,
    announcement: ANYONE.announcement({
      timestamp: now,
      peerId,
      models: ids.map((id) => offer({ id })),
    }),
  }));
  const [found, ...rest] = candidatesOf(entries, "a", observations);
  assert.equal(found?.offer.id, "a");
  assert.equal(found?.observed.inFlight, 1);
  assert.equal(rest.length, 0);
  attempt.succeeded(1);
});
