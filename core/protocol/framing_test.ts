import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../bytes.ts";
import { type ErrorCode, LloomError } from "../errors.ts";
import { encodeFrames, frameBytes, FrameDecoder } from "./framing.ts";

const LIMIT = 5000;

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

/** Cuts bytes at the given places, whatever they are. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const edges = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) =>
    a - b
  );
  return [0, ...edges].map((from, i) => bytes.subarray(from, edges[i] ?? bytes.length));
}

const body = fc.uint8Array({ minLength: 1, maxLength: 300 });
const longBody = fc.integer({ min: 1, max: LIMIT }).map((n) => new Uint8Array(n).fill(n & 0xff));

Deno.test("any chunking of the same bytes gives the same frames", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(body, longBody), { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 40 }),
      (bodies, places) => {
        const decoder = new FrameDecoder(LIMIT);
        const wire = concat(bodies.map((body) => encodeFrames([body])));
        assert.deepEqual(wire, encodeFrames(bodies));
        const out = cut(wire, places).flatMap((chunk) => decoder.push(chunk));
        decoder.end();
        assert.deepEqual(out.map((b) => [...b]), bodies.map((b) => [...b]));
      },
    ),
  );
});

Deno.test("hostile bytes give frames within the limit or a coded error, and nothing else", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
      (chunks) => {
        const decoder = new FrameDecoder(100);
        let received = 0;
        let delivered = 0;
        try {
          for (const chunk of chunks) {
            received += chunk.length;
            for (const frame of decoder.push(chunk)) {
              assert.ok(frame.length >= 1 && frame.length <= 100);
              delivered += frameBytes(frame);
            }
          }
          decoder.end();
          assert.equal(delivered, received);
        } catch (thrown) {
          assert.ok(
            thrown instanceof LloomError &&
              (thrown.code === "frame_malformed" || thrown.code === "frame_too_large"),
            String(thrown),
          );
        }
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("a length above the limit is refused before its body comes", () => {
  const decoder = new FrameDecoder(LIMIT);
  const prefix = encodeFrames([new Uint8Array(LIMIT + 1)]).subarray(0, 2);
  assert.throws(() => decoder.push(prefix), hasCode("frame_too_large"));
  assert.equal(new FrameDecoder(LIMIT).push(encodeFrames([new Uint8Array(LIMIT)])).length, 1);
});

Deno.test("empty, non-minimal and overlong lengths are malformed", () => {
  for (
    const bytes of [
      [0x00],
      [0x80, 0x00],
      [0x81, 0x80, 0x00],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    ]
  ) {
    assert.throws(
      () => new FrameDecoder(LIMIT).push(Uint8Array.from(bytes)),
      hasCode("frame_malformed"),
    );
  }
});

Deno.test("an end inside a prefix or a body is malformed, between frames it is not", () => {
  const wire = encodeFrames([new Uint8Array(200).fill(7)]);
  for (const length of [1, 2, 3, wire.length - 1]) {
    const decoder = new FrameDecoder(LIMIT);
    decoder.push(wire.subarray(0, length));
    assert.throws(() => decoder.end(), hasCode("frame_malformed"));
  }
  const decoder = new FrameDecoder(LIMIT);
  decoder.push(wire);
  decoder.end();
});

Deno.test("a body within one chunk is a view of it", () => {
  const wire = encodeFrames([Uint8Array.of(1, 2, 3)]);
  assert.equal(new FrameDecoder(LIMIT).push(wire)[0]!.buffer, wire.buffer);
});

Deno.test("a large body that comes a byte at a time is copied a bounded number of times", () => {
  const size = 1 << 20;
  const wire = encodeFrames([new Uint8Array(size).fill(9)]);
  let written = 0;
  const { set } = Uint8Array.prototype;
  const decoder = new FrameDecoder(size);
  Uint8Array.prototype.set = function (this: Uint8Array, source: Uint8Array, at?: number) {
    written += source.length;
    set.call(this, source, at);
  };
  let bodies: Uint8Array[] = [];
  try {
    for (let i = 0; i < wire.length; i++) bodies = decoder.push(wire.subarray(i, i + 1));
  } finally {
    Uint8Array.prototype.set = set;
  }
  assert.equal(bodies[0]?.length, size);
  assert.ok(written <= 3 * size, `${written} bytes copied`);
});

Deno.test("an empty body cannot be framed", () => {
  assert.throws(() => encodeFrames([new Uint8Array(0)]), RangeError);
});
