import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import type { Announcement, ModelOffer } from "../protocol/announcement.ts";
import { Registry, type RegistryOptions } from "./registry.ts";

const clock = () => new ManualClock(1_000_000_000);
const signed = { body: new Uint8Array(1), signature: new Uint8Array(65) };

function offer(id: string): ModelOffer {
  return {
    id,
    backend: "test",
    features: [],
    available: true,
    inboundPrice: 0n,
    outboundPrice: 0n,
  };
}

function announcement(
  peerId: string,
  sequence: number,
  timestamp: number,
  models: readonly string[] = ["m"],
  kind: Announcement["kind"] = "update",
): Announcement {
  return {
    kind,
    peerId,
    executor: `0x${"00".repeat(20)}`,
    multiaddrs: [],
    models: kind === "removal" ? [] : models.map(offer),
    load: { active: 0, queued: 0, capacity: 1 },
    timestamp,
    sequence: BigInt(sequence),
  };
}

/** Everything a reader can see. */
function content(registry: Registry, models: readonly string[]): unknown {
  const ids = (entries: Iterable<{ announcement: Announcement; lastSeen: number }>) =>
    [...entries].map(({ announcement: a, lastSeen }) => [a.peerId, a.sequence, a.kind, lastSeen])
      .sort((a, b) => String(a).localeCompare(String(b)));
  return { all: ids(registry.entries()), models: models.map((m) => ids(registry.ofModel(m))) };
}

Deno.test("the larger sequence number wins, and an equal one is known", () => {
  const time = clock();
  const registry = new Registry({}, { clock: time });
  const at = time.now();
  assert.equal(registry.apply(signed, announcement("p", 5, at, ["a"])), "admitted");
  assert.equal(registry.apply(signed, announcement("p", 5, at, ["b"])), "known");
  assert.equal(registry.apply(signed, announcement("p", 4, at, ["b"])), "known");
  assert.equal([...registry.ofModel("b")].length, 0);
  assert.equal(registry.apply(signed, announcement("p", 6, at, ["b"])), "admitted");
  assert.equal([...registry.ofModel("a")].length, 0);
  assert.equal([...registry.ofModel("b")].length, 1);
  assert.equal(registry.applied, 2);
});

Deno.test("an executor is live, then stale, then gone, swept or not", () => {
  const time = clock();
  const registry = new Registry({ staleAfterMs: 90, goneAfterMs: 300 }, { clock: time });
  registry.apply(signed, announcement("p", 1, time.now()));
  const entry = registry.get("p")!;
  time.advance(90);
  assert.equal(registry.isLive(entry), true);
  time.advance(1);
  assert.equal(registry.isLive(entry), false);
  time.advance(209);
  assert.equal(registry.get("p"), entry);
  time.advance(1);
  assert.equal(registry.get("p"), undefined);
  assert.deepEqual(content(registry, ["m"]), { all: [], models: [[]] });
  assert.equal(registry.size, 1);
  registry.sweep();
  assert.equal(registry.size, 0);
});

Deno.test("an announcement repeated after a removal, or after it is gone, brings nobody back", () => {
  const time = clock();
  const registry = new Registry({ staleAfterMs: 90, goneAfterMs: 300 }, { clock: time });
  const first = announcement("p", 1, time.now());
  registry.apply(signed, first);
  time.advance(10);
  registry.apply(signed, announcement("p", 2, time.now(), [], "removal"));
  for (let waited = 10; waited < 1000; waited += 10) {
    assert.notEqual(registry.apply(signed, first), "admitted");
    assert.equal(registry.get("p"), undefined);
    time.advance(10);
    registry.sweep();
  }
  assert.equal(registry.size, 0);
  assert.equal(registry.apply(signed, announcement("p", 3, time.now())), "admitted");
});

Deno.test("a late delivery does not prolong an executor's life", () => {
  const time = clock();
  const registry = new Registry({}, { clock: time });
  const sent = time.now();
  time.advance(80_000);
  registry.apply(signed, announcement("p", 1, sent));
  time.advance(10_001);
  assert.equal(registry.isLive(registry.get("p")!), false);
});

Deno.test("a full registry drops the one longest unheard, but never a live one", () => {
  const time = clock();
  const registry = new Registry({ maxExecutors: 3 }, { clock: time });
  for (const id of ["a", "b", "c"]) {
    registry.apply(signed, announcement(id, 1, time.now()));
    time.advance(1000);
  }
  assert.equal(registry.apply(signed, announcement("d", 1, time.now())), "full");
  assert.equal(registry.apply(signed, announcement("b", 2, time.now())), "admitted");
  time.advance(88_500); // a and c are stale, b is not
  registry.apply(signed, announcement("a", 2, time.now() - 80_000));
  time.advance(1000);
  assert.equal(registry.apply(signed, announcement("d", 1, time.now())), "admitted");
  assert.deepEqual([...registry.entries()].map((e) => e.announcement.peerId).sort(), [
    "a",
    "b",
    "d",
  ]);
  assert.equal(registry.apply(signed, announcement("e", 1, time.now())), "full");
});

Deno.test("an executor with more models than allowed is not admitted", () => {
  const time = clock();
  const registry = new Registry({ maxModelsPerExecutor: 2 }, { clock: time });
  const three = announcement("p", 1, time.now(), ["a", "b", "c"]);
  assert.equal(registry.apply(signed, three), "too_many_models");
  assert.equal(registry.size, 0);
});

Deno.test("options out of range are refused", () => {
  const bad: RegistryOptions[] = [
    { maxExecutors: 0 },
    { maxModelsPerExecutor: 1.5 },
    { staleAfterMs: NaN },
    { staleAfterMs: 300, goneAfterMs: 200 },
  ];
  for (const options of bad) {
    assert.throws(() => new Registry(options, { clock: clock() }), RangeError);
  }
});

const MODELS = ["a", "b", "c"];

/** For each of a few peers, announcements of growing age and number, then mixed. */
const history = fc.array(
  fc.record({
    peer: fc.constantFrom("p", "q", "r", "s"),
    age: fc.nat(400),
    models: fc.subarray(MODELS),
    kind: fc.constantFrom<Announcement["kind"]>("update", "heartbeat", "removal"),
  }),
  { maxLength: 20 },
).chain((steps) => {
  const now = clock().now();
  const sorted = steps.toSorted((a, b) => b.age - a.age).map(({ peer, age, models, kind }, i) =>
    announcement(peer, i + 1, now - age, models, kind)
  );
  return fc.record({
    sorted: fc.constant(sorted),
    mixed: fc.shuffledSubarray([...sorted, ...sorted], { minLength: 2 * sorted.length }),
  });
});

Deno.test("any order of announcements, with repetitions, gives the state of their own order", () => {
  fc.assert(fc.property(history, ({ sorted, mixed }) => {
    const states = [sorted, mixed].map((announcements) => {
      const time = clock();
      const registry = new Registry({ staleAfterMs: 90, goneAfterMs: 300 }, { clock: time });
      for (const a of announcements) registry.apply(signed, a);
      const now = content(registry, MODELS);
      time.advance(100);
      return [now, content(registry, MODELS)];
    });
    assert.deepEqual(states[1], states[0]);
  }));
});

Deno.test("whatever happens, caps hold, the index agrees, and no live executor is displaced", () => {
  const step = fc.record({
    peer: fc.nat(12).map((n) => `p${n}`),
    wait: fc.nat(40),
    late: fc.nat(120),
    models: fc.subarray(MODELS),
    kind: fc.constantFrom<Announcement["kind"]>("initial", "heartbeat", "removal"),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const time = clock();
    const options = { maxExecutors: 5, staleAfterMs: 90, goneAfterMs: 300 };
    const registry = new Registry(options, { clock: time });
    steps.forEach(({ peer, wait, late, models, kind }, i) => {
      time.advance(wait);
      const live = [...registry.entries()].filter((entry) => registry.isLive(entry));
      const a = announcement(peer, i, time.now() - late, models, kind);
      const foreseen = registry.check(a);
      assert.equal(registry.apply(signed, a), foreseen);
      for (const { announcement: { peerId } } of live) {
        if (peerId !== peer) assert(registry.get(peerId), `${peerId} was displaced`);
      }
      assert(registry.size <= 5);
      for (const model of MODELS) {
        const indexed = [...registry.ofModel(model)].map((e) => e.announcement.peerId).sort();
        const offering = [...registry.entries()]
          .filter((e) => e.announcement.models.some(({ id }) => id === model))
          .map((e) => e.announcement.peerId).sort();
        assert.deepEqual(indexed, offering);
      }
    });
    time.advance(1000);
    registry.sweep();
    assert.equal(registry.size, 0);
  }));
});
