import assert from "node:assert/strict";
import fc from "fast-check";
import { modelSigner } from "../../../tests/support/model_chain.ts";
import {
  CONFIRMATIONS,
  intentOf,
  NO_COIN,
  OutboxWorld as World,
} from "../../../tests/support/outbox_world.ts";

const step = fc.oneof(
  fc.record({ do: fc.constant("submit" as const), key: fc.constantFrom("a", "b", "c", "d", "e") }),
  fc.record({ do: fc.constantFrom("sync" as const, "syncAll" as const, "crash" as const) }),
  fc.record({
    do: fc.constant("estimate" as const),
    answer: fc.constantFrom(
      "estimated" as const,
      "estimated" as const,
      "refused" as const,
      "unanswered" as const,
    ),
  }),
  fc.record({ do: fc.constant("observe" as const), behind: fc.nat(6) }),
  fc.record({ do: fc.constant("mine" as const), pick: fc.nat(3) }),
  fc.record({ do: fc.constant("reorganize" as const), depth: fc.nat(4), forgets: fc.boolean() }),
  fc.record({ do: fc.constant("drop" as const) }),
  fc.record({ do: fc.constant("gas" as const), baseFee: fc.constantFrom(10n, 40n, 300n, 5000n) }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1000, 20_000, 60_000) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(world: World, step: Step): void {
  switch (step.do) {
    case "submit":
      return world.submit(step.key);
    case "sync":
      return world.sync();
    case "syncAll":
      return world.syncAll();
    case "crash":
      return world.crash();
    case "estimate":
      return world.estimate(step.answer);
    case "observe":
      return world.observe(step.behind);
    case "mine":
      return world.chain.mine(step.pick);
    case "reorganize":
      return world.chain.reorganize(step.depth, step.forgets);
    case "drop":
      return world.chain.drop();
    case "gas":
      world.chain.baseFee = step.baseFee;
      return;
    case "wait":
      world.now += step.ms;
      return;
  }
}

Deno.test("whatever chain, endpoints and crashes do, a transaction happens at most once, and in the end once", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const world = new World();
      for (const each of steps) take(world, each);
      world.chain.baseFee = 10n;
      world.settle();
      assert.equal(world.machine.busy, false, "something never ended");
      const executions = world.chain.executions();
      for (const key of world.acknowledged) assert.ok(world.disk.has(key), `${key} is lost`);
      for (const { key, state } of world.disk.values()) {
        const times = executions.get(intentOf(key).data) ?? 0;
        assert.deepEqual(
          [state, times],
          state === "failed" ? ["failed", 0] : ["confirmed", 1],
          key,
        );
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a transaction that would fail takes no nonce, and may be submitted again", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  world.observe();
  world.estimate("refused");
  world.syncAll();
  assert.deepEqual(world.ended.get("a")?.failure, NO_COIN);
  assert.equal(world.ended.get("a")?.nonce, undefined);
  world.submit("a");
  world.settle();
  assert.equal(world.ended.get("a")?.state, "confirmed");
});

Deno.test("transactions wait while gas costs more than the owner pays", () => {
  const world = new World();
  world.chain.baseFee = 5000n;
  world.submit("a");
  world.settle(10);
  assert.equal(world.machine.record("a")?.state, "waiting");
  world.chain.baseFee = 10n;
  world.settle();
  assert.equal(world.machine.record("a")?.state, "confirmed");
});

Deno.test("a fee is raised when blocks go by without the transaction, and not on a chain that stands still", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  world.observe();
  world.estimate("estimated");
  world.syncAll();
  world.chain.baseFee = 300n;
  for (let i = 0; i < 10; i++) {
    world.now += 40_000;
    world.observe();
    world.syncAll();
  }
  assert.equal(world.machine.record("a")?.attempts.length, 1);
  world.settle();
  assert.equal(world.machine.record("a")?.state, "confirmed");
  assert.ok(world.machine.record("a")!.attempts.at(-1)!.maxFeePerGas >= 300n);
});

Deno.test("a transaction whose place another took fails, once that is certain", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  world.observe();
  world.estimate("estimated");
  world.syncAll();
  world.chain.drop();
  const { raw } = modelSigner.sign({
    ...intentOf("foreign"),
    nonce: 0,
    gas: 1n,
    maxFeePerGas: 500n,
    maxPriorityFeePerGas: 1n,
  });
  world.chain.broadcast(raw);
  for (let i = 0; i < CONFIRMATIONS; i++) world.chain.mine();
  world.observe();
  assert.equal(world.machine.record("a")?.state, "pending");
  world.settle();
  assert.equal(world.machine.record("a")?.failure?.code, "transaction_failed");
  world.submit("a");
  world.settle();
  assert.equal(world.machine.record("a")?.state, "confirmed");
});

Deno.test("what a reorganization deeper than any thought final takes back is sent again", async (test) => {
  const undone = () => {
    const world = new World();
    world.submit("a");
    world.settle();
    assert.equal(world.machine.record("a")?.state, "confirmed");
    world.chain.rewrite(0);
    assert.equal(world.chain.executions().size, 0);
    return world;
  };
  await test.step("when it is submitted again", () => {
    const world = undone();
    world.submit("a");
    world.settle();
    assert.equal(world.chain.executions().get(intentOf("a").data), 1);
  });
  await test.step("when another transaction comes behind it", () => {
    const world = undone();
    world.submit("b");
    world.settle();
    assert.equal(world.chain.executions().get(intentOf("a").data), 1);
    assert.equal(world.chain.executions().get(intentOf("b").data), 1);
  });
});

Deno.test("a transaction is forgotten long after its end, its bytes sooner", () => {
  const world = new World();
  world.submit("a");
  world.settle();
  const day = 86_400_000;
  world.now += 2 * day;
  world.submit("b");
  world.settle();
  assert.deepEqual(world.disk.get("a")?.attempts, []);
  assert.equal(world.disk.get("a")?.state, "confirmed");
  assert.ok(world.disk.get("a")?.mined !== undefined);
  world.submit("a"); // known still
  world.now += 90 * day;
  world.submit("c");
  world.settle();
  assert.equal(world.disk.has("a"), false);
  assert.equal(world.chain.executions().get(intentOf("a").data), 1);
});
