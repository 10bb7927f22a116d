import assert from "node:assert/strict";
import { type Stream, StreamMessageEvent } from "@libp2p/interface";
import { type ErrorCode, LloomError } from "../errors.ts";
import { FrameStream } from "./frame_stream.ts";
import { echo, NETWORK_TEST, PROTOCOL, targetOf, TestNetwork } from "./test_network.ts";
import { encodeFrames } from "../protocol/framing.ts";
import { SEND_HIGH_WATER_BYTES } from "../protocol/limits.ts";

const LIMIT = 1 << 20;
const BELL = "/lloom/bell/1.0.0";

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

/** Both ends of one stream between two nodes; the server's stays open until `release`. */
class Pair implements AsyncDisposable {
  readonly #network: TestNetwork;
  readonly #release: () => void;
  readonly #bell: FrameStream;

  private constructor(
    network: TestNetwork,
    release: () => void,
    bell: FrameStream,
    readonly client: FrameStream,
    readonly server: FrameStream,
  ) {
    this.#network = network;
    this.#release = release;
    this.#bell = bell;
  }

  /** A round trip beside the stream: what went before it, either way, has arrived after it. */
  async roundTrip(): Promise<void> {
    this.#bell.send(Uint8Array.of(1));
    await this.#bell.next();
  }

  static async open(): Promise<Pair> {
    const network = new TestNetwork();
    const server = await network.node();
    const client = await network.node({ listen: [] });
    const opened = Promise.withResolvers<FrameStream>();
    const released = Promise.withResolvers<void>();
    await server.handle(PROTOCOL, async (stream) => {
      opened.resolve(stream);
      await released.promise;
    }, { maxFrameBytes: LIMIT });
    await server.handle(BELL, echo, { maxFrameBytes: LIMIT });
    const stream = await client.openStream(targetOf(server), PROTOCOL, { maxFrameBytes: LIMIT });
    const bell = await client.openStream(targetOf(server), BELL, { maxFrameBytes: LIMIT });
    return new Pair(network, released.resolve, bell, stream, await opened.promise);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.abort(new Error("test is over"));
    this.server.abort(new Error("test is over"));
    this.#release();
    await this.#network[Symbol.asyncDispose]();
  }
}

function test(name: string, fn: (pair: Pair) => Promise<void>): void {
  Deno.test({
    name,
    ...NETWORK_TEST,
    fn: async () => {
      await using pair = await Pair.open();
      await fn(pair);
    },
  });
}

async function readAll(stream: FrameStream): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (let m = await stream.next(); m !== undefined; m = await stream.next()) all.push(m);
  return all;
}

test("messages arrive whole and in order, and an orderly end is undefined", async (pair) => {
  const sizes = [1, 127, 128, 70_000, LIMIT, 3];
  const reading = readAll(pair.server);
  for (const size of sizes) {
    if (!pair.client.send(new Uint8Array(size).fill(size % 251))) await pair.client.drained();
  }
  await pair.client.close();
  const received = await reading;
  assert.deepEqual(received.map(({ length }) => length), sizes);
  for (const message of received) {
    assert.ok(message.every((byte) => byte === message.length % 251));
  }
  assert.equal(await pair.server.next(), undefined, "the end stays the end");
});

test("a sender to a stalled reader stalls, with bounded memory, and goes on when it is read", async (pair) => {
  const message = new Uint8Array(50_000);
  const count = 1200; // 60 MB
  let sent = 0;
  let stalls = 0;
  let largestBurst = 0;
  const sending = (async () => {
    let burst = 0;
    for (; sent < count; sent++) {
      burst += message.length;
      if (pair.client.send(message)) continue;
      stalls++;
      largestBurst = Math.max(largestBurst, burst);
      burst = 0;
      await pair.client.drained();
    }
    await pair.client.close();
  })();
  // The reader takes nothing until the sender has made no progress for some round trips.
  for (let before = -1; before !== sent;) {
    before = sent;
    for (let i = 0; i < 10; i++) await pair.roundTrip();
  }
  assert.ok(sent < count / 10, `${sent} messages went into a stalled stream`);
  assert.equal((await readAll(pair.server)).length, count);
  await sending;
  assert.ok(stalls > 20, `${stalls} stalls`);
  assert.ok(largestBurst <= 2 * SEND_HIGH_WATER_BYTES + message.length, `${largestBurst} queued`);
});

test("a fast sender to a slow reader is never reset, whatever the window grows to", async (pair) => {
  const message = new Uint8Array(16_000);
  const count = 1000;
  const sending = (async () => {
    for (let i = 0; i < count; i++) if (!pair.client.send(message)) await pair.client.drained();
    await pair.client.close();
  })();
  let received = 0;
  for (let m = await pair.server.next(); m !== undefined; m = await pair.server.next()) {
    if (++received % 100 === 0) await pair.roundTrip();
  }
  await sending;
  assert.equal(received, count);
});

test("a peer that ended before anybody read is read to its end, and can be answered", async (pair) => {
  pair.client.send(Uint8Array.of(1));
  pair.client.send(Uint8Array.of(2, 3));
  await pair.client.close();
  await pair.roundTrip();
  assert.deepEqual((await readAll(pair.server)).map((m) => [...m]), [[1], [2, 3]]);
  pair.server.send(Uint8Array.of(4));
  await pair.server.close();
  assert.deepEqual((await readAll(pair.client)).map((m) => [...m]), [[4]]);
  await Promise.all([pair.client.closed, pair.server.closed]);
});

test("an abort fails the reads and sends of both sides", async (pair) => {
  const reading = pair.server.next();
  const own = pair.client.next();
  pair.client.abort(new LloomError("timeout", "test"));
  await assert.rejects(own, hasCode("timeout"));
  await assert.rejects(reading, hasCode("stream_broken"));
  await pair.server.closed;
  assert.throws(() => pair.server.send(Uint8Array.of(1)), hasCode("stream_broken"));
  await assert.rejects(pair.server.drained(), hasCode("stream_broken"));
  await assert.rejects(pair.server.close(), hasCode("stream_broken"));
});

test("what came whole before an abort is delivered before the error", async (pair) => {
  pair.client.send(Uint8Array.of(1));
  assert.deepEqual(await pair.server.next(), Uint8Array.of(1));
  pair.client.send(Uint8Array.of(2));
  await Promise.resolve();
  pair.client.abort(new Error("test"));
  await pair.server.closed;
  assert.deepEqual(await pair.server.next(), Uint8Array.of(2));
  await assert.rejects(pair.server.next(), hasCode("stream_broken"));
});

test("an abort frees a sender that waits for room", async (pair) => {
  while (pair.client.send(new Uint8Array(100_000)));
  const waiting = pair.client.drained();
  pair.server.abort(new Error("test"));
  await assert.rejects(async () => {
    await waiting;
    // The first wait may end with the window that was free; the next sees the abort.
    while (pair.client.send(new Uint8Array(100_000)));
    await pair.client.drained();
    await pair.client.closed;
    await pair.client.drained();
  }, hasCode("stream_broken"));
});

test("a signal frees a sender that waits for room", async (pair) => {
  const controller = new AbortController();
  const waiting = (async () => {
    for (;;) {
      while (pair.client.send(new Uint8Array(100_000)));
      await pair.client.drained(controller.signal);
    }
  })();
  controller.abort();
  await assert.rejects(waiting, hasCode("aborted"));
});

test("after a message above the limit, the peer can be told, and close ends both directions", async (pair) => {
  pair.client.send(new Uint8Array(LIMIT + 1));
  await assert.rejects(pair.server.next(), hasCode("frame_too_large"));
  pair.client.send(Uint8Array.of(1));
  await assert.rejects(pair.server.next(), hasCode("frame_too_large"));
  pair.server.send(Uint8Array.of(2));
  await pair.server.close();
  assert.deepEqual(await pair.client.next(), Uint8Array.of(2));
  await pair.client.closed;
  assert.throws(() => pair.client.send(Uint8Array.of(3)), hasCode("stream_broken"));
});

/** The events of a libp2p stream, by hand. */
class FakeStream extends EventTarget {
  status = "open";
  readStatus = "readable";
  writeStatus = "writable";
  remoteWriteStatus = "writable";
  readableEnded = false;
  writableNeedsDrain = false;
  writeBufferLength = 0;
  readonly writes: Uint8Array[] = [];

  send(bytes: Uint8Array): boolean {
    this.writes.push(bytes);
    return true;
  }

  frames(): FrameStream {
    const stream = this as unknown as Stream;
    return new FrameStream(stream, { maxFrameBytes: LIMIT, remotePeer: "peer" });
  }
}

Deno.test("messages of one turn leave in one write, and none waits for the next turn", async () => {
  const fake = new FakeStream();
  const frames = fake.frames();
  const messages = [1, 2, 3].map((n) => new Uint8Array(40).fill(n));
  for (const message of messages) frames.send(message);
  assert.equal(fake.writes.length, 0);
  await Promise.resolve();
  assert.deepEqual(fake.writes, [encodeFrames(messages)]);
  frames.send(messages[0]!);
  await Promise.resolve();
  assert.deepEqual(fake.writes[1], encodeFrames([messages[0]!]));
});

Deno.test("data that libp2p hands out after the end that came with it is read", async () => {
  const fake = new FakeStream();
  const frames = fake.frames();
  fake.dispatchEvent(new Event("remoteCloseWrite"));
  fake.dispatchEvent(new Event("end"));
  fake.dispatchEvent(new StreamMessageEvent(encodeFrames([Uint8Array.of(1, 2)])));
  assert.deepEqual(await frames.next(), Uint8Array.of(1, 2));
  assert.equal(await frames.next(), undefined);
});

Deno.test("an end inside a message is frame_malformed", async () => {
  const fake = Object.assign(new FakeStream(), { abort: () => undefined });
  const frames = fake.frames();
  fake.dispatchEvent(new StreamMessageEvent(Uint8Array.of(5, 1, 2)));
  fake.dispatchEvent(new Event("remoteCloseWrite"));
  fake.dispatchEvent(new Event("end"));
  await assert.rejects(frames.next(), hasCode("frame_malformed"));
});

Deno.test({
  name: "a connection cut without a word is an error, not an end",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const server = await network.node();
    const client = await network.node({ listen: [] });
    await server.handle(PROTOCOL, echo, { maxFrameBytes: LIMIT });
    const wire = cuttableWire(portOf(server.multiaddrs()[0]!));
    const stream = await client.openStream(
      { peerId: server.peerId, multiaddrs: [`/ip4/127.0.0.1/tcp/${wire.port}`] },
      PROTOCOL,
      { maxFrameBytes: LIMIT },
    );
    stream.send(Uint8Array.of(1));
    assert.deepEqual(await stream.next(), Uint8Array.of(1));
    const reading = assert.rejects(stream.next(), hasCode("stream_broken"));
    wire.cut();
    await reading;
  },
});

function portOf(address: string): number {
  return Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
}

/** A TCP connection to `port` through another port, that can be cut. */
function cuttableWire(port: number): { readonly port: number; cut(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ends: Deno.TcpConn[] = [];
  const join = async (): Promise<void> => {
    const from = await listener.accept();
    listener.close();
    const to = await Deno.connect({ hostname: "127.0.0.1", port });
    ends.push(from, to);
    // Both pipes fail when the wire is cut, as they should.
    await Promise.allSettled([
      from.readable.pipeTo(to.writable),
      to.readable.pipeTo(from.writable),
    ]);
  };
  void join();
  return { port: listener.addr.port, cut: () => ends.forEach((end) => end.close()) };
}

test("many tiny messages to a reader that rests arrive all", async (pair) => {
  const count = 200_000;
  const sending = (async () => {
    const message = Uint8Array.of(7);
    for (let i = 0; i < count; i++) if (!pair.client.send(message)) await pair.client.drained();
    await pair.client.close();
  })();
  for (let i = 0; i < 10; i++) await pair.roundTrip();
  assert.equal((await readAll(pair.server)).length, count);
  await sending;
});

test("misuse throws built-in errors", async (pair) => {
  assert.throws(() => pair.client.send(new Uint8Array(0)), RangeError);
  const reading = pair.server.next();
  await assert.rejects(pair.server.next(), TypeError);
  await pair.client.close();
  assert.throws(() => pair.client.send(Uint8Array.of(1)), TypeError);
  assert.equal(await reading, undefined);
});
