import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import { modelKey, type ProviderKey } from "../protocol/ids.ts";
import { MAX_PUBLICATIONS, MIN_RECORD_HOLDERS } from "../protocol/limits.ts";
import { ProviderRecords, type RecordPublisher } from "./provider_records.ts";

const KEY = modelKey("a");

/** A node whose publications end when a test says so. */
class FakeNode implements RecordPublisher {
  /** Every change begun, in order. */
  readonly calls: string[] = [];
  readonly #underWay = new Map<ProviderKey, PromiseWithResolvers<number>>();
  readonly #listeners = new Set<(peerId: string) => void>();

  get listeners(): number {
    return this.#listeners.size;
  }

  onDhtPeer(listener: (peerId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  provide(key: ProviderKey, signal: AbortSignal): Promise<number> {
    const publication = this.#begin("provide", key);
    signal.addEventListener("abort", () => publication.reject(signal.reason));
    return publication.promise;
  }

  async unprovide(key: ProviderKey): Promise<void> {
    await this.#begin("unprovide", key).promise;
  }

  meet(): void {
    for (const listener of this.#listeners) listener("peer");
  }

  /** Ends what is under way for a key: with so many takers, or a failure. */
  async end(key: ProviderKey, outcome: number | LloomError): Promise<void> {
    const change = this.#underWay.get(key);
    if (change === undefined) return;
    this.#underWay.delete(key);
    if (typeof outcome === "number") change.resolve(outcome);
    else change.reject(outcome);
    // Whatever follows from that does so in microtasks.
    await new Promise((resolve) => setTimeout(resolve));
  }

  isIdle(key: ProviderKey): boolean {
    return !this.#underWay.has(key);
  }

  #begin(what: string, key: ProviderKey): PromiseWithResolvers<number> {
    assert.ok(!this.#underWay.has(key), "two changes of one record at once");
    this.calls.push(`${what} ${key}`);
    const change = Promise.withResolvers<number>();
    this.#underWay.set(key, change);
    return change;
  }
}

function keeping(...keys: ProviderKey[]): { node: FakeNode; records: ProviderRecords } {
  const node = new FakeNode();
  const records = new ProviderRecords(node);
  records.keep(keys);
  return { node, records };
}

const times = (node: FakeNode, call: string) => node.calls.filter((one) => one === call).length;

Deno.test("a record that too few took is published again for every new node, until enough hold it", async () => {
  const { node } = keeping(KEY);
  for (let holders = 1; holders <= MIN_RECORD_HOLDERS; holders++) {
    assert.equal(times(node, `provide ${KEY}`), holders);
    await node.end(KEY, holders);
    node.meet();
  }
  assert.equal(node.calls.length, MIN_RECORD_HOLDERS);
});

Deno.test("nodes that come during a publication have it repeated once, and not at all where enough took it", async () => {
  const other = modelKey("b");
  const { node } = keeping(KEY, other);
  for (let i = 0; i < 5; i++) node.meet();
  await node.end(KEY, 1);
  await node.end(other, MIN_RECORD_HOLDERS);
  assert.equal(times(node, `provide ${KEY}`), 2);
  assert.equal(times(node, `provide ${other}`), 1);
  await node.end(KEY, 1);
  assert.equal(times(node, `provide ${KEY}`), 2);
});

Deno.test("a record that failed, or that nobody took, is tried again when asked for, others are not", async () => {
  const failing = modelKey("failing");
  const { node, records } = keeping(KEY, failing, modelKey("untaken"));
  await node.end(KEY, 1);
  await node.end(failing, new LloomError("timeout", "provide"));
  await node.end(modelKey("untaken"), 0);
  const keys = [KEY, failing, modelKey("untaken")];
  records.keep(keys);
  records.keep(keys);
  assert.deepEqual(node.calls.slice(3), keys.slice(1).map((key) => `provide ${key}`));
});

Deno.test("a record no longer wanted is withdrawn after its publication, and forgotten", async () => {
  const { node, records } = keeping(KEY);
  records.keep([]);
  assert.deepEqual(node.calls, [`provide ${KEY}`]);
  await node.end(KEY, 1);
  assert.deepEqual(node.calls, [`provide ${KEY}`, `unprovide ${KEY}`]);
  await node.end(KEY, 0);
  node.meet();
  assert.equal(node.calls.length, 2);
});

Deno.test("no more records are published at once than nodes take, and all in the end", async () => {
  const keys = Array.from({ length: 3 * MAX_PUBLICATIONS }, (_, i) => modelKey(`model ${i}`));
  const { node } = keeping(...keys);
  for (const [i, key] of keys.entries()) {
    assert.equal(node.calls.length, Math.min(i + MAX_PUBLICATIONS, keys.length));
    await node.end(key, MIN_RECORD_HOLDERS);
  }
  assert.deepEqual(node.calls, keys.map((key) => `provide ${key}`));
});

Deno.test("nothing is published after the end", async () => {
  const { node, records } = keeping(KEY);
  node.meet();
  records.stop();
  await node.end(KEY, 0);
  records.keep([KEY]);
  assert.equal(node.listeners, 0);
  assert.deepEqual(node.calls, [`provide ${KEY}`]);
});

Deno.test("whatever happens, records end as they are wanted, with no two changes of one at once", async () => {
  const keys = ["a", "b"].map(modelKey);
  const step = fc.oneof(
    fc.record({ type: fc.constant("keep" as const), keys: fc.subarray(keys) }),
    fc.record({ type: fc.constant("meet" as const) }),
    fc.record({
      type: fc.constant("end" as const),
      key: fc.constantFrom(...keys),
      takers: fc.nat({ max: MIN_RECORD_HOLDERS }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const { node, records } = keeping();
      let wanted: readonly ProviderKey[] = [];
      for (const step of steps) {
        if (step.type === "keep") records.keep(wanted = step.keys);
        else if (step.type === "meet") node.meet();
        else await node.end(step.key, step.takers);
      }
      // Whoever is waited for twice at most: what is under way, and what follows from it.
      for (const key of [...keys, ...keys, ...keys]) await node.end(key, MIN_RECORD_HOLDERS);
      for (const key of keys) {
        assert.ok(node.isIdle(key));
        const last = node.calls.findLast((call) => call.endsWith(` ${key}`));
        if (wanted.includes(key)) assert.equal(last, `provide ${key}`);
        else assert.notEqual(last, `provide ${key}`);
      }
    }),
    { numRuns: 100 },
  );
});
