import type { MessageStream, StreamMuxer, StreamMuxerFactory } from "@libp2p/interface";
import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../bytes.ts";
import { quietMuxer } from "./quiet_muxer.ts";

const HALF_WINDOW = 128 << 10;

/** A connection that keeps what was sent, and the same as a muxer on it sees it. */
function connect(onSend: () => void = () => {}, openStreams: readonly number[] = [1, 2, 3]) {
  const sent: (Uint8Array | "closed" | "aborted")[] = [];
  const outer = {
    status: "open",
    writableNeedsDrain: false,
    send: (data: Uint8Array) => {
      onSend();
      sent.push(data);
      return true;
    },
    close: () => Promise.resolve(void sent.push("closed")),
    abort: () => void sent.push("aborted"),
  };
  const streams = openStreams.map((id) => ({ id: `${id}` }));
  const inner: StreamMuxerFactory = {
    protocol: "/test",
    createStreamMuxer: () => ({ streams }) as unknown as StreamMuxer,
  };
  const connection = outer as unknown as MessageStream;
  quietMuxer(() => inner)({}).createStreamMuxer(connection);
  return { sent, outer, connection };
}

function grant(stream: number, bytes: number, flags = 0): Uint8Array {
  const frame = new Uint8Array(12);
  const view = new DataView(frame.buffer);
  view.setUint8(1, 1);
  view.setUint16(2, flags);
  view.setUint32(4, stream);
  view.setUint32(8, bytes);
  return frame;
}

const data = (...bytes: number[]): Uint8Array =>
  Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, bytes.length, ...bytes);

Deno.test("frames of one turn leave as one message, in order", async () => {
  const { sent, connection } = connect();
  connection.send(data(1));
  connection.send(data(2, 3));
  assert.deepEqual(sent, []);
  await Promise.resolve();
  assert.deepEqual(sent, [concat([data(1), data(2, 3)])]);
});

Deno.test("what waits goes before the connection closes", async () => {
  const { sent, connection } = connect();
  connection.send(data(1));
  await connection.close();
  assert.deepEqual(sent, [data(1), "closed"]);
});

Deno.test("a connection that is gone gets nothing, and one that cannot send is aborted", async () => {
  const gone = connect();
  gone.connection.send(data(1));
  gone.outer.status = "closed";
  await Promise.resolve();
  assert.deepEqual(gone.sent, []);

  const broken = connect(() => {
    throw new Error("broken");
  });
  broken.connection.send(data(1));
  await Promise.resolve();
  assert.deepEqual(broken.sent, ["aborted"]);
});

Deno.test("a sender hears that its connection is full", () => {
  const { outer, connection } = connect();
  assert.equal(connection.send(data(1)), true);
  outer.writableNeedsDrain = true;
  assert.equal(connection.send(data(1)), false);
});

Deno.test("no stream's sender is kept short of half a window, and all else passes as it is", async () => {
  const frame = fc.oneof(
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: HALF_WINDOW })).map(
      ([stream, bytes]) => grant(stream, bytes),
    ),
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 2, 4, 8)).map(
      ([stream, flags]) => grant(stream, 1, flags),
    ),
    fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => data(...bytes)),
  );
  await fc.assert(fc.asyncProperty(fc.array(frame), async (frames) => {
    const { sent, connection } = connect();
    const owed = new Map<number, number>();
    const isGrant = (one: Uint8Array) => one.length === 12 && one[1] === 1 && one[3] === 0;
    for (const one of frames) {
      const before = sent.length;
      const view = new DataView(one.slice().buffer);
      connection.send(one);
      await Promise.resolve();
      const out = sent[before] as Uint8Array | undefined;
      if (!isGrant(one)) {
        assert.deepEqual(out, one);
        continue;
      }
      const stream = view.getUint32(4);
      const due = (owed.get(stream) ?? 0) + view.getUint32(8);
      const granted = out === undefined ? 0 : new DataView(out.buffer).getUint32(8);
      assert.ok(granted === 0 || granted === due);
      assert.ok(due - granted < HALF_WINDOW);
      owed.set(stream, due - granted);
    }
  }));
});

Deno.test("nothing is remembered of streams that are closed", async () => {
  const { sent, connection } = connect(undefined, [1]);
  connection.send(grant(1, HALF_WINDOW - 1));
  connection.send(grant(2, HALF_WINDOW - 1));
  for (let stream = 3; stream < 200; stream++) connection.send(grant(stream, 1));
  await Promise.resolve();
  assert.deepEqual(sent, []);
  // What was held for the open one is granted with the rest; the closed one begins anew.
  connection.send(grant(1, 1));
  connection.send(grant(2, 1));
  await Promise.resolve();
  assert.deepEqual(sent, [grant(1, HALF_WINDOW)]);
});
