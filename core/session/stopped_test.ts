/** What is owed for a paid request that ends before it has a receipt. */
import assert from "node:assert/strict";
import { ABOUT_PAID, World } from "../../tests/support/session_world.ts";
import type { ErrorData } from "../errors.ts";
import { costOf } from "../payments/amounts.ts";
import type { ExecutorEvent } from "./executor_events.ts";

const FAILED: ErrorData = { code: "backend_failed", message: "test: failed" };
const prepay = ABOUT_PAID.payment!.prepay;

/** A request that was accepted and has said nothing. */
function accepted(paid = true): World {
  const world = new World(paid);
  world.toTheClient({ type: "start" });
  for (const step of ["→", "executor completes", "executor completes", "←"]) move(world, step);
  return world;
}

function move(world: World, step: string): void {
  world.moves().find(([name]) => name === step)![1]();
}

function owed(world: World): bigint {
  const [end] = world.executorEnds;
  assert.ok(end?.type === "done");
  assert.equal(end.response, undefined);
  return end.owed;
}

for (
  const [name, event] of Object.entries<ExecutorEvent>({
    "cancels": { type: "cancel" },
    "goes away": { type: "cut", error: { code: "stream_broken", message: "test: gone" } },
    "lets its time pass": { type: "timer", timer: "total" },
  })
) {
  Deno.test(`a client that ${name} before the first token has paid for its prompt, and both count it`, () => {
    const world = accepted();
    world.toTheExecutor(event);
    world.toTheExecutor({ type: "failed", error: FAILED });
    assert.equal(owed(world), prepay);
    assert.ok(world.broken);
    world.toTheClient({ type: "cut" });
    const [end] = world.clientEnds;
    assert.ok(end?.type === "fail");
    assert.deepEqual(world.reservationEnds, ["abandon"]);
  });
}

Deno.test("nothing is owed where the model fails, or the executor shuts down, before the first token", () => {
  const failing = accepted();
  failing.toTheExecutor({ type: "failed", error: FAILED });
  const ending = accepted();
  ending.toTheExecutor({ type: "shutdown" });
  ending.toTheExecutor({ type: "failed", error: FAILED });
  for (const world of [failing, ending]) {
    assert.equal(owed(world), 0n);
    assert.deepEqual(world.toClient.map(({ type }) => type), ["reject"]);
  }
});

Deno.test("a free request that is cancelled before the first token is rejected, and its stream goes on", () => {
  const world = accepted(false);
  world.toTheExecutor({ type: "cancel" });
  world.toTheExecutor({ type: "failed", error: FAILED });
  assert.deepEqual(world.toClient.map(({ type }) => type), ["reject"]);
  assert.ok(!world.broken);
});

Deno.test("what a broken answer owes counts its prompt as the model did", () => {
  const world = accepted();
  move(world, "batch");
  world.toTheExecutor({ type: "cut", error: FAILED });
  move(world, "batch");
  const trailer = new Uint8Array();
  const contentHash = `0x${"00".repeat(32)}` as const;
  const counts = { promptTokens: 900, completionTokens: 0 };
  const end = { trailer, contentHash, ...counts, success: false };
  world.toTheExecutor({ type: "end", end, nowMs: 0 });
  assert.equal(owed(world), costOf(ABOUT_PAID.request.commitment, 900, world.handedOut));
});
