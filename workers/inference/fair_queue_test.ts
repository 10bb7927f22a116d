import assert from "node:assert/strict";
import fc from "fast-check";
import { FairQueue } from "./fair_queue.ts";

const anybody = () => true;

function filled(...items: readonly string[]): FairQueue<string> {
  const queue = new FairQueue<string>();
  for (const item of items) queue.add(item[0]!, item);
  return queue;
}

function drain(queue: FairQueue<string>, mayGo: (owner: string) => boolean = anybody): string[] {
  const taken: string[] = [];
  for (let item = queue.next(mayGo); item !== undefined; item = queue.next(mayGo)) taken.push(item);
  return taken;
}

Deno.test("owners take turns, and each one's items keep their order", () => {
  const queue = filled("a1", "a2", "a3", "a4", "b1", "c1", "c2");
  assert.equal(queue.next(anybody), "a1");
  queue.add("d", "d1");
  assert.deepEqual(drain(queue), ["b1", "c1", "a2", "d1", "c2", "a3", "a4"]);
  assert.equal(queue.size, 0);
});

Deno.test("an owner that may not go is passed over, and keeps its turn", () => {
  const queue = filled("a1", "a2", "b1");
  assert.deepEqual(drain(queue, (owner) => owner !== "a"), ["b1"]);
  queue.add("b", "b2");
  assert.deepEqual(drain(queue), ["a1", "b2", "a2"]);
});

Deno.test("what makes room is the latest of who has most, for who has less only", () => {
  const queue = filled("a1", "a2", "b1", "b2", "b3");
  assert.equal(queue.surplus("b"), undefined);
  assert.equal(queue.surplus("a"), undefined);
  assert.equal(queue.surplus("c"), "b3");
  assert.ok(queue.delete("b", "b3"));
  queue.add("c", "c1");
  assert.equal(queue.surplus("c"), undefined);
  assert.equal(queue.surplus("d"), "a2");
  assert.deepEqual([...queue].sort(), ["a1", "a2", "b1", "b2", "c1"]);
});

Deno.test("every item comes out once, and nobody waits for more than one turn of each other", () => {
  const owner = fc.constantFrom("a", "b", "c", "d");
  const step = fc.oneof(owner, fc.constant("next"), fc.constant("delete"));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const queue = new FairQueue<string>();
    const waiting = new Set<string>();
    /** Turns of others since an owner began to wait or had its last one. */
    const passed = new Map<string, string[]>();
    for (const [i, what] of steps.entries()) {
      if (what.length === 1) {
        queue.add(what, `${what}${i}`);
        waiting.add(`${what}${i}`);
        if (!passed.has(what)) passed.set(what, []);
      } else {
        const item = what === "next" ? queue.next(anybody) : [...waiting].at(-1);
        if (what === "delete" && item !== undefined) assert.ok(queue.delete(item[0]!, item));
        if (item === undefined) assert.equal(waiting.size, 0);
        else assert.ok(waiting.delete(item));
        if (what === "next" && item !== undefined) {
          passed.set(item[0]!, []);
          for (const [other, turns] of passed) if (other !== item[0]) turns.push(item[0]!);
        }
        for (const owner of [...passed.keys()]) {
          if (![...waiting].some((left) => left[0] === owner)) passed.delete(owner);
        }
      }
      assert.equal(queue.size, waiting.size);
      for (const turns of passed.values()) assert.equal(new Set(turns).size, turns.length);
    }
  }));
});
