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

Deno.test("when full, the newest of who told of most gives way to who told of fewer", () => {
  const time = clock();
  const registry = new Registry({ maxExecutors: 6 }, { clock: time });
  const tell = (peerId: string, source: string, sequence = 1) =>
    registry.apply(signed, announcement(peerId, sequence, time.now()), source);
  const kept = () => [...registry.entries()].map((e) => e.announcement.peerId).sort().join();
  for (const id of ["a1", "a2", "a3", "a4"]) tell(id, "a");
  tell("b1", "b");
  tell("c", "c");
  // News of an executor do not make it new, and do not move it to whoever brings them.
  for (const id of ["a1", "a2", "a3"]) assert.equal(tell(id, "b", 2), "admitted");
  assert.equal(tell("a5", "a"), "full");
  assert.equal(tell("b2", "b"), "admitted");
  assert.equal(kept(), "a1,a2,a3,b1,b2,c");
  assert.equal(tell("b3", "b"), "full");
  assert.equal(tell("d", "d"), "admitted");
  assert.equal(kept(), "a1,a2,b1,b2,c,d");
  // An executor that speaks for itself counts as its own, and stays.
  assert.equal(tell("a2", "a2", 3), "admitted");
  assert.equal(tell("e", "e"), "admitted");
  assert.equal(kept(), "a1,a2,b1,c,d,e");
  assert.equal(tell("f", "f"), "full");
  // Room that becomes free is anybody's.
  registry.apply(signed, announcement("c", 9, time.now(), [], "removal"), "c");
  assert.equal(tell("a6", "a"), "admitted");
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

Deno.test("whatever happens, caps hold, the index agrees, and only who told of too many is displaced", () => {
  const step = fc.record({
    source: fc.constantFrom("", "s", "t", "self"),
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
    const sources = new Map<string, string>();
    steps.forEach(({ peer, wait, late, models, kind, source: from }, i) => {
      const source = from === "self" ? peer : from;
      time.advance(wait);
      const live = [...registry.entries()].filter((entry) => registry.isLive(entry));
      const a = announcement(peer, i, time.now() - late, models, kind);
      const foreseen = registry.check(a, source);
      assert.equal(registry.apply(signed, a, source), foreseen);
      for (const { announcement: { peerId } } of live) {
        if (peerId === peer || registry.get(peerId)) continue;
        const of = (wanted?: string) =>
          live.filter((e) =>
            e.announcement.peerId !== peer && sources.get(e.announcement.peerId) === wanted
          ).length;
        const told = sources.get(peerId);
        assert(told !== peerId && told !== source, `${peerId} was displaced`);
        assert(of(told) > of(source) + 1, `${peerId} was displaced`);
      }
      if (foreseen === "admitted" && (!sources.has(peer) || source === peer)) {
        sources.set(peer, source);
      }
      for (const known of sources.keys()) {
        if (!registry.get(known) && known !== peer) sources.delete(known);
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
