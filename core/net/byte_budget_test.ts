import assert from "node:assert/strict";
import { type Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import fc from "fast-check";
import { type ErrorCode, LloomError } from "../errors.ts";
import { encodeFrames } from "../protocol/framing.ts";
import { UNCOUNTED_MESSAGE_BYTES } from "../protocol/limits.ts";
import { ByteBudget } from "./byte_budget.ts";
import { FrameStream, type FrameStreamOptions } from "./frame_stream.ts";
import { Attacker, openStream } from "./test_attacker.ts";
import { NETWORK_TEST, PROTOCOL, TestNetwork } from "./test_network.ts";

const LIMIT = 1 << 20;

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

Deno.test("no peer takes more than its share, and all together no more than there is", () => {
  fc.assert(fc.property(
    fc.array(fc.record({ peer: fc.nat(4), bytes: fc.nat(60), give: fc.boolean() })),
    (steps) => {
      const budget = new ByteBudget({ totalBytes: 100, peerBytes: 40 });
      const held = new Map<number, number>();
      const total = () => [...held.values()].reduce((sum, bytes) => sum + bytes, 0);
      for (const { peer, bytes, give } of steps) {
        const account = budget.account(String(peer));
        const now = held.get(peer) ?? 0;
        if (give && bytes > now) {
          assert.throws(() => account.give(bytes), RangeError);
        } else if (give) {
          account.give(bytes);
          held.set(peer, now - bytes);
        } else if (account.take(bytes)) {
          held.set(peer, now + bytes);
        } else {
          assert.ok(now + bytes > 40 || total() + bytes > 100, "refused without need");
        }
        assert.ok((held.get(peer) ?? 0) <= 40);
        assert.ok(total() <= 100);
        assert.equal(budget.used, total());
      }
    },
  ));
});

/** A stream whose other side is the test. */
class FakeStream extends EventTarget {
  status = "open";
  readStatus = "readable";
  writeStatus = "writable";
  remoteWriteStatus = "writable";
  readableEnded = false;
  aborted = false;

  pause(): void {}

  abort(error: Error): void {
    this.aborted = true;
    this.dispatchEvent(new StreamCloseEvent(true, error));
  }

  frames(options: Partial<FrameStreamOptions>): FrameStream {
    const stream = this as unknown as Stream;
    return new FrameStream(stream, { maxFrameBytes: LIMIT, remotePeer: "peer", ...options });
  }

  receive(bytes: Uint8Array): void {
    this.dispatchEvent(new StreamMessageEvent(bytes));
  }
}

/** Until all promises that can settle have. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

function setUp(totalBytes = LIMIT, options: Partial<FrameStreamOptions> = {}) {
  const budget = new ByteBudget({ totalBytes, peerBytes: totalBytes });
  const fake = new FakeStream();
  return { budget, fake, frames: fake.frames({ account: budget.account("peer"), ...options }) };
}

Deno.test("messages are counted while they come, however they are cut, and no longer", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 3000, max: 60_000 }), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
      async (sizes, cuts, abort) => {
        const { budget, fake, frames } = setUp();
        const wire = encodeFrames(sizes.map((size) => new Uint8Array(size)));
        const largest = Math.max(...sizes);
        const read: number[] = [];
        const reading = (async () => {
          while (read.length < sizes.length) read.push((await frames.next())!.length);
        })();
        for (let at = 0, i = 0; at < wire.length; i++) {
          const end = at + cuts[i % cuts.length]!;
          fake.receive(wire.subarray(at, end));
          at = end;
          await settled();
          assert.ok(budget.used <= largest);
          if (largest <= UNCOUNTED_MESSAGE_BYTES) assert.equal(budget.used, 0);
          if (!abort || at < wire.length / 2 || at >= wire.length) continue;
          fake.abort(new Error("cut"));
          await assert.rejects(reading, hasCode("stream_broken"));
          assert.equal(budget.used, 0);
          return;
        }
        await reading;
        assert.deepEqual(read, sizes);
        assert.equal(budget.used, 0);
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("a message without room is overloaded, and takes nothing any more", async () => {
  const { budget, fake, frames } = setUp(50_000);
  const reading = assert.rejects(frames.next(), hasCode("overloaded"));
  const wire = encodeFrames([new Uint8Array(200_000)]);
  for (let at = 0; at < 100_000; at += 10_000) {
    fake.receive(wire.subarray(at, at + 10_000));
    await settled();
    assert.ok(budget.used <= 50_000);
  }
  await reading;
  assert.equal(budget.used, 0);
});

Deno.test("a large message that comes too slowly is a timeout, and takes nothing any more", async () => {
  const { budget, fake, frames } = setUp(LIMIT, { messageTimeoutMs: 20 });
  const wire = encodeFrames([new Uint8Array(200_000)]);
  fake.receive(wire.subarray(0, 100_000));
  const reading = assert.rejects(frames.next(), hasCode("timeout"));
  assert.ok(budget.used >= 99_000);
  await reading;
  assert.equal(fake.aborted, true);
  assert.equal(budget.used, 0);
});

Deno.test({
  name: "a peer that begins many large messages gets its share of memory, and others theirs",
  ...NETWORK_TEST,
  fn: async () => {
    const budget = new ByteBudget({ totalBytes: 4 * LIMIT, peerBytes: LIMIT });
    await using network = new TestNetwork();
    const server = await network.node({}, { budget });
    let refused = 0;
    const many = Promise.withResolvers<void>();
    await server.handle(PROTOCOL, async (stream) => {
      try {
        for (let m = await stream.next(); m !== undefined; m = await stream.next()) stream.send(m);
      } catch (thrown) {
        if (hasCode("overloaded")(thrown) && ++refused === 8) many.resolve();
        throw thrown;
      }
    }, { maxFrameBytes: LIMIT });
    await using attacker = await Attacker.start();
    const connection = await attacker.dial(server);
    const wire = encodeFrames([new Uint8Array(LIMIT)]);
    for (let i = 0; i < 10; i++) {
      const stream = await openStream(connection, PROTOCOL);
      // Half of each: one or two have room.
      stream.send(wire.subarray(0, LIMIT / 2 + 10));
    }
    await many.promise;
    assert.ok(budget.used <= LIMIT, String(budget.used));

    const client = await network.node({ listen: [] });
    const target = { peerId: server.peerId, multiaddrs: server.multiaddrs() };
    const stream = await client.openStream(target, PROTOCOL, { maxFrameBytes: LIMIT });
    stream.send(new Uint8Array(LIMIT));
    assert.equal((await stream.next())?.length, LIMIT);
    await stream.close();
  },
});
