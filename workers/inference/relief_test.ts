import assert from "node:assert/strict";
import fc from "fast-check";
import { type Place, toCutShort } from "./relief.ts";

const place = (client: string, since = 0, change: Partial<Place> = {}): Place => ({
  client,
  since,
  paused: false,
  leaving: false,
  ...change,
});

Deno.test("who waits too long gets a place of who has most: one that is not read, or the oldest", () => {
  const active = [place("a", 3), place("a", 1), place("a", 2, { paused: true }), place("b", 0)];
  assert.deepEqual(toCutShort([place("c", 10)], active, 9), []);
  assert.deepEqual(toCutShort([place("c", 9), place("c", 8)], active, 9), [active[2]]);
  assert.deepEqual(toCutShort([place("c"), place("d")], active, 9), [active[2], active[1]]);
});

Deno.test("nobody loses a last place, nor one for somebody who has a place or is making room", () => {
  const active = [place("a"), place("b"), place("b")];
  assert.deepEqual(toCutShort([place("a"), place("b")], active, 9), []);
  const some = toCutShort([place("c"), place("d"), place("e")], active, 9);
  assert.deepEqual(some, [active[1]]);
  const leaving = [place("a"), place("b", 0, { leaving: true }), place("b"), place("b")];
  assert.deepEqual(toCutShort([place("c")], leaving, 9), []);
});

Deno.test("whoever waits: as many make room as are missed, and who loses one still has one", () => {
  const places = fc.array(
    fc.record({
      client: fc.constantFrom("a", "b", "c", "d", "e"),
      since: fc.nat(20),
      paused: fc.boolean(),
      leaving: fc.boolean(),
    }),
    { maxLength: 12 },
  );
  fc.assert(fc.property(places, places, fc.nat(20), (waiting, active, latest) => {
    const cut = toCutShort(waiting, active, latest);
    const wanting = new Set(waiting.filter((one) => one.since <= latest).map((one) => one.client));
    for (const { client } of active) wanting.delete(client);
    assert.ok(cut.length <= wanting.size);
    const stays = (client: string) =>
      active.some((one) => one.client === client && !one.leaving && !cut.includes(one));
    for (const one of cut) assert.ok(!one.leaving && stays(one.client));
  }));
});
