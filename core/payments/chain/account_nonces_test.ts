import assert from "node:assert/strict";
import { OutboxWorld as World } from "../../../tests/support/outbox_world.ts";

/** Looks for ten minutes at an account of this nonce. */
function look(world: World, nonce: number, looks = 41): void {
  for (let i = 0; i < looks; i++) {
    world.now += 15_000;
    const observation = { ...world.chain.observe(world.machine.watched), nonce, finalNonce: nonce };
    world.handle({ type: "observed", observation });
    world.syncAll();
    world.estimate("estimated");
    world.syncAll();
  }
}

Deno.test("a nonce that our own transactions do not lead up to is used once it was told several times", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  look(world, 500, 1);
  look(world, 0, 1);
  assert.equal(world.machine.record("a")?.nonce, 0);
  world.settle();
  assert.equal(world.machine.record("a")?.state, "confirmed");
  world.submit("b");
  world.syncAll();
  look(world, 500, 2);
  assert.equal(world.machine.record("b")?.nonce, undefined);
  look(world, 500, 1);
  assert.equal(world.machine.record("b")?.nonce, 500);
});

Deno.test("what was signed for a nonce far too high is signed anew, and holds up nothing else", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  look(world, 500, 3);
  assert.equal(world.machine.record("a")?.nonce, 500);
  look(world, 0);
  assert.equal(world.machine.record("a")?.nonce, 0);
  world.submit("b");
  world.settle();
  assert.equal(world.machine.record("a")?.state, "confirmed");
  assert.equal(world.machine.record("b")?.nonce, 1);
  assert.equal(world.machine.record("b")?.state, "confirmed");
});

Deno.test("a few nonces that nothing has are filled", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  look(world, 2, 3);
  assert.equal(world.machine.record("a")?.nonce, 2);
  look(world, 0);
  world.settle();
  assert.equal(world.machine.record("a")?.nonce, 2);
  assert.equal(world.machine.record("a")?.state, "confirmed");
});

Deno.test("a transaction counts as overtaken only after minutes of agreeing looks", () => {
  const world = new World();
  world.submit("a");
  world.syncAll();
  look(world, 0, 1);
  look(world, 1, 19);
  assert.equal(world.machine.record("a")?.state, "pending");
  assert.ok(world.machine.doubts);
  look(world, 0, 1);
  assert.ok(!world.machine.doubts);
  look(world, 1, 20);
  assert.equal(world.machine.record("a")?.state, "pending");
  look(world, 1, 1);
  assert.equal(world.machine.record("a")?.state, "failed");
});
