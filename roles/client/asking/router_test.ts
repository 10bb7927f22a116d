/** Whom a request goes to: what its options, and its conversation, have to say. */
import assert from "node:assert/strict";
import { ZERO_ADDRESS } from "@lloom/core/bytes";
import type { JsonObject, ModelOffer } from "@lloom/core/protocol";
import { Observations, type Strategy } from "@lloom/core/routing";
import { executor, offer } from "../../../tests/support/executor.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { readQuestion } from "./question.ts";
import { Router, type RoutingOptions } from "./router.ts";

const USER = { role: "user", content: "hi" };
const STICKY: Strategy = { type: "sticky", otherwise: { type: "best-price" } };

/** A router among executors of `m`; prices grow with their place. */
function routing(...offers: readonly Partial<ModelOffer>[]) {
  const clock = new ManualClock();
  const observations = new Observations({}, { clock });
  const entries = offers.map((change, i) => {
    const announcement = {
      ...executor().announcement({ timestamp: clock.now(), peerId: `p${i}` }),
      models: [offer({ id: "m", features: ["chat", "completions"], ...change })],
      payment: {
        ...{ chainId: 1n, contract: ZERO_ADDRESS, asset: ZERO_ADDRESS },
        ...{ stepTokens: 256, closeDelay: 1 },
      },
    };
    return { announcement, lastSeen: clock.now() };
  });
  const router = new Router({
    finder: { find: () => Promise.resolve() },
    registry: { ofModel: () => entries.values() as never },
    observations,
    clock,
    means: { chainId: 1n, contract: ZERO_ADDRESS, asset: ZERO_ADDRESS, maxCloseDelay: 1 },
    maxPrice: undefined,
  });
  const plans = (request: JsonObject, options: RoutingOptions) =>
    router.plans(readQuestion({ model: "m", ...request }), options, { timeoutMs: 1000 });
  return {
    observations,
    plans,
    order: async (options: RoutingOptions = {}, request: JsonObject = { messages: [USER] }) => {
      const all = await plans(request, { strategy: { type: "best-price" }, ...options });
      return all.map(({ candidate }) => candidate.announcement.peerId);
    },
    served: async (request: JsonObject, peerId: string, options: RoutingOptions) => {
      const all = await plans(request, options);
      const one = all.find(({ candidate }) => candidate.announcement.peerId === peerId);
      await router.answered(readQuestion({ model: "m", ...request }), one!.candidate, options);
    },
  };
}

const priced = (price: bigint, change: Partial<ModelOffer> = {}) => ({
  ...change,
  inboundPrice: price,
  outboundPrice: price,
});

Deno.test("preferred executors come first, in their order, unless they sit out", async () => {
  const { order, observations } = routing(priced(1n), priced(2n), priced(3n));
  assert.deepEqual(await order(), ["p0", "p1", "p2"]);
  assert.deepEqual(await order({ prefer: ["p2", "nobody", "p1"] }), ["p2", "p1", "p0"]);
  observations.started("p2", "m").failed({ code: "overloaded", message: "test" });
  assert.deepEqual(await order({ prefer: ["p2", "p1"] }), ["p1", "p0", "p2"]);
});

Deno.test("who is not named, is excluded, or too dear, is not asked", async () => {
  const { order } = routing(priced(1n), priced(2n), priced(3n));
  assert.deepEqual(await order({ only: ["p1", "p2"], exclude: ["p1"] }), ["p2"]);
  assert.deepEqual(await order({ maxOutboundPrice: 2n }), ["p0", "p1"]);
  await assert.rejects(order({ only: ["p9"] }), {
    code: "no_executor",
    message: "select executor: 3 not named",
  });
  await assert.rejects(order({ maxPrice: 0n }), { code: "budget_exceeded" });
});

Deno.test("parameters are demanded only if the caller says so, kinds and abilities always", async () => {
  const { order } = routing(
    priced(1n),
    priced(2n, { features: ["chat", "seed"] }),
    priced(3n, { features: ["chat", "seed", "stop", "tools"] }),
  );
  const seeded = { messages: [USER], seed: 1, stop: ["x"] };
  assert.deepEqual(await order({}, seeded), ["p0", "p1", "p2"]);
  assert.deepEqual(await order({ requireParameters: true }, seeded), ["p2"]);
  assert.deepEqual(await order({}, { prompt: "Once" }), ["p0"]);
  const tools = [{ type: "function", function: { name: "f" } }];
  assert.deepEqual(await order({}, { messages: [USER], tools }), ["p2"]);
  await assert.rejects(order({}, { input: "text" }), { code: "no_executor" });
});

Deno.test("a conversation is known by its beginning, and stays where it was served last", async () => {
  const { order, served } = routing(priced(1n), priced(2n), priced(3n));
  const system = { role: "system", content: "Be brief." };
  const first = { messages: [system, USER] };
  const longer = { messages: [system, USER, { role: "assistant", content: "Yes?" }, USER] };
  await served(first, "p1", { strategy: STICKY });
  assert.deepEqual(await order({ strategy: STICKY }, longer), ["p1", "p0", "p2"]);
  assert.deepEqual(await order({ strategy: STICKY }, { messages: [USER] }), ["p0", "p1", "p2"]);
  assert.deepEqual(await order({ strategy: { type: "best-price" } }, first), ["p0", "p1", "p2"]);
  await served(longer, "p2", { strategy: STICKY });
  assert.deepEqual(await order({ strategy: STICKY }, first), ["p2", "p0", "p1"]);
});

Deno.test("a conversation that has a key is known by that alone", async () => {
  const { order, served } = routing(priced(1n), priced(2n));
  const keyed = { ...STICKY, key: "talk" } as const;
  await served({ messages: [USER] }, "p1", { strategy: keyed });
  assert.deepEqual(await order({ strategy: keyed }, { prompt: "Once" }), ["p1", "p0"]);
  assert.deepEqual(await order({ strategy: { ...keyed, key: "other" } }), ["p0", "p1"]);
});
