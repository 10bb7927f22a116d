import assert from "node:assert/strict";
import fc from "fast-check";
import { FloodGuard } from "./flood_guard.ts";

function setUp(maxPeers = 10) {
  let nowMs = 1000;
  const guard = new FloodGuard({
    messages: { burst: 10, perSecond: 2 },
    bytes: { burst: 1000, perSecond: 100 },
    maxPeers,
  }, () => nowMs);
  const count = (n: number, bytes: number, peer = "a") => {
    return Array.from({ length: n }, () => guard.count(peer, bytes));
  };
  return { count, pass: (ms: number) => nowMs += ms };
}

const times = <T>(n: number, value: T): T[] => Array.from({ length: n }, () => value);

Deno.test("a burst is within the limits, another above them, and all that follows far above", () => {
  for (const bytes of [0, 100]) {
    const { count } = setUp();
    assert.deepEqual(count(10, bytes), times(10, "within"));
    assert.deepEqual(count(9, bytes), times(9, "above"));
    assert.deepEqual(count(50, bytes), times(50, "far_above"));
    assert.deepEqual(count(1, bytes, "b"), ["within"]);
  }
});

Deno.test("a peer that rests is heard again, however much it sent before", () => {
  const { count, pass } = setUp();
  count(500, 1000);
  pass(10_500);
  assert.deepEqual(count(1, 40), ["within"]);
  assert.deepEqual(count(1, 40), ["above"]);
  pass(1_000_000);
  assert.deepEqual(count(11, 0), [...times(10, "within"), "above"]);
});

Deno.test("who keeps to the rate is always within the limits, and nobody gets more through", () => {
  fc.assert(fc.property(
    fc.array(fc.record({ ms: fc.nat(3000), bytes: fc.nat(300) })),
    (steps) => {
      const { count, pass } = setUp();
      let total = 0, messages = 0, bytes = 0;
      for (const step of steps) {
        pass(step.ms);
        total += step.ms / 1000;
        const [flow] = count(1, step.bytes);
        if (flow !== "within") continue;
        messages++;
        bytes += step.bytes;
        assert.ok(messages <= 10 + 2 * total + 1e-6);
        assert.ok(bytes <= 1000 + 100 * total + 1e-6);
      }
    },
  ));
  const { count, pass } = setUp();
  for (let i = 0; i < 100; i++) {
    assert.deepEqual(count(1, 50), ["within"]);
    pass(500);
  }
});

Deno.test("peers heard longest ago are no longer counted once there are too many", () => {
  const { count } = setUp(2);
  count(30, 0, "a");
  count(1, 0, "b");
  assert.deepEqual(count(1, 0, "a"), ["far_above"]);
  count(1, 0, "c");
  count(1, 0, "d");
  assert.deepEqual(count(1, 0, "a"), ["within"]);
});
