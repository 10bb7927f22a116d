import { type Hash, toHex } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ChannelEvent } from "./ports.ts";
import { type EventSource, watchEvents } from "./watch.ts";

function hashOf(number: number): Hash {
  return toHex(new Uint8Array(32).fill(0).with(31, number & 255).with(30, number >> 8));
}

/** A chain of blocks, each its number of events, and endpoints that fail and lag. */
class EventChain implements EventSource {
  readonly pollMs = 1;
  readonly confirmations: number;
  #blocks: { readonly hash: Hash; readonly events: number }[] = [];
  #made = 0;

  constructor(confirmations: number) {
    this.confirmations = confirmations;
  }

  get height(): number {
    return this.#blocks.length;
  }

  mine(events: number): void {
    this.#blocks.push({ hash: hashOf(++this.#made), events });
  }

  reorganize(depth: number): void {
    const undone = this.#blocks.splice(Math.max(0, this.#blocks.length - depth));
    for (const { events } of undone) this.mine(events > 0 ? events - 1 : 1);
  }

  list(from: bigint, to: bigint): ChannelEvent[] {
    return this.#blocks.flatMap(({ hash, events }, i) => {
      const blockNumber = BigInt(i + 1);
      if (blockNumber < from || blockNumber > to) return [];
      return Array.from({ length: events }, (_, logIndex): ChannelEvent => ({
        channelId: hash,
        change: { type: "topped_up", deposit: 1n },
        blockNumber,
        blockHash: hash,
        logIndex,
        transactionHash: hash,
        removed: false,
      }));
    });
  }

  /** What the next questions meet. */
  readonly troubles: ("fails" | "lags")[] = [];

  events(
    from: bigint,
    to: bigint,
  ): Promise<{ readonly events: readonly ChannelEvent[]; readonly head: bigint }> {
    const trouble = this.troubles.shift();
    if (trouble === "fails") return Promise.reject(new LloomError("chain_unavailable", "no"));
    const head = BigInt(Math.max(0, this.height - (trouble === "lags" ? 2 : 0)));
    return Promise.resolve({ events: this.list(from, to < head ? to : head), head });
  }
}

const step = fc.oneof(
  fc.record({
    do: fc.constant("mine" as const),
    events: fc.nat(2),
    blocks: fc.constantFrom(1, 1, 30),
  }),
  fc.record({ do: fc.constant("reorganize" as const), depth: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    do: fc.constant("trouble" as const),
    kind: fc.constantFrom("fails" as const, "lags" as const),
  }),
  fc.record({ do: fc.constant("restart" as const) }),
  fc.record({ do: fc.constant("look" as const) }),
);

Deno.test("whoever follows the events knows exactly those of the chain, whatever reorganizations, failures and restarts come", async () => {
  const CONFIRMATIONS = 4;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const chain = new EventChain(CONFIRMATIONS);
      const known = new Map<string, ChannelEvent>();
      let resumeAt = 1n;
      let steady = 0;
      const pending = [...steps];
      const keyOf = ({ blockHash, logIndex }: ChannelEvent) => `${blockHash}/${logIndex}`;
      while (pending.length > 0 || steady < 2) {
        const stop = new AbortController();
        await watchEvents(
          chain,
          resumeAt,
          (events, upTo) => {
            assert.ok(upTo <= BigInt(chain.height), "beyond the newest block");
            for (const event of events) {
              if (event.removed) {
                assert.ok(known.delete(keyOf(event)), "removed what was not told");
                const there = chain.list(event.blockNumber, event.blockNumber).map(keyOf);
                assert.ok(!there.includes(keyOf(event)), "removed what is there");
              } else known.set(keyOf(event), event);
            }
            resumeAt = upTo + 1n;
            return Promise.resolve();
          },
          stop.signal,
          () => {
            const next = pending.shift();
            if (next === undefined) steady++;
            else if (next.do === "mine") {
              for (let i = 0; i < next.blocks; i++) chain.mine(next.events);
            } else if (next.do === "reorganize") chain.reorganize(next.depth);
            else if (next.do === "trouble") chain.troubles.push(next.kind);
            else if (next.do === "restart") {
              // What a program keeps is what is final.
              for (const [key, { blockNumber }] of known) {
                if (blockNumber >= resumeAt) known.delete(key);
              }
              stop.abort();
            }
            if (steady >= 20) stop.abort();
            return Promise.resolve();
          },
        );
        assert.ok(stop.signal.aborted);
      }
      const expected = chain.list(1n, BigInt(chain.height)).map(keyOf).sort();
      assert.deepEqual([...known.keys()].sort(), expected);
    }),
    { numRuns: 500 },
  );
});

Deno.test("what a consumer throws ends the watch", async () => {
  const chain = new EventChain(1);
  chain.mine(1);
  const fault = new Error("disk full");
  const watch = watchEvents(
    chain,
    1n,
    () => Promise.reject(fault),
    new AbortController().signal,
    () => Promise.resolve(),
  );
  await assert.rejects(watch, fault);
});

Deno.test("a false newest block far ahead is not read towards without a pause, and given up once the chain keeps ending before", async () => {
  let head = 1000n;
  let asked = 0;
  let pauses = 0;
  const source: EventSource = {
    pollMs: 1,
    confirmations: 1,
    events() {
      asked++;
      head = asked > 10 && asked <= 20 ? 2n ** 40n : 1000n + BigInt(asked);
      return Promise.resolve({ events: [], head });
    },
  };
  const watch = watchEvents(
    source,
    990n,
    () => Promise.resolve(),
    new AbortController().signal,
    () => Promise.resolve(void pauses++),
  );
  await assert.rejects(watch, { code: "chain_unavailable" });
  assert.equal(asked, 25);
  assert.equal(pauses, 24);
});
