import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import { attackCbor } from "../../tests/support/hostile.ts";
import { announcement, signedAnnouncement } from "../../tests/support/arbitraries.ts";
import {
  decodeAnnouncement,
  decodeSignedAnnouncement,
  encodeAnnouncement,
  encodeSignedAnnouncement,
} from "./announcement.ts";
import { encodeCbor } from "./cbor.ts";
import { MAX_ANNOUNCEMENT_BYTES } from "./limits.ts";

const code = (wanted: string) => (e: unknown) => e instanceof LloomError && e.code === wanted;

Deno.test("an announcement comes back as it was encoded", () => {
  fc.assert(fc.property(announcement, (a) => {
    assert.deepEqual(decodeAnnouncement(encodeAnnouncement(a)), a);
  }));
});

Deno.test("a signed announcement keeps its exact bytes", () => {
  fc.assert(fc.property(signedAnnouncement, (signed) => {
    assert.deepEqual(decodeSignedAnnouncement(encodeSignedAnnouncement(signed)), signed);
  }));
});

Deno.test("the largest body fits a signed announcement, and one byte more does not", () => {
  const sized = (length: number) =>
    encodeSignedAnnouncement({ body: new Uint8Array(length), signature: new Uint8Array(65) });
  assert.equal(
    decodeSignedAnnouncement(sized(MAX_ANNOUNCEMENT_BYTES)).body.length,
    MAX_ANNOUNCEMENT_BYTES,
  );
  assert.throws(
    () => decodeSignedAnnouncement(sized(MAX_ANNOUNCEMENT_BYTES + 1)),
    code("frame_malformed"),
  );
  assert.throws(
    () => decodeAnnouncement(new Uint8Array(MAX_ANNOUNCEMENT_BYTES + 1)),
    code("frame_too_large"),
  );
});

Deno.test("an announcement of another version is unsupported, not malformed", () => {
  assert.throws(() => decodeAnnouncement(encodeCbor({ v: 3 })), code("frame_unsupported"));
});

Deno.test("a field that must be understood counts wherever it stands", () => {
  const load = { active: 0, queued: 0, capacity: 1 };
  const performance = { tokensPerSecond: 1, timeToFirstTokenMs: 1, successRate: 1 };
  const offer = {
    id: "m",
    backend: "b",
    features: [],
    available: true,
    inboundPrice: "0",
    outboundPrice: "0",
  };
  const decode = (change: Parameters<typeof encodeCbor>[0]) =>
    decodeAnnouncement(encodeCbor({
      v: 2,
      kind: "update",
      peerId: "p",
      executor: new Uint8Array(20),
      multiaddrs: [],
      models: [],
      load,
      timestamp: 0,
      sequence: 0,
      ...change,
    }));
  const payment = {
    chainId: 1,
    contract: new Uint8Array(20),
    asset: new Uint8Array(20),
    stepTokens: 1,
    closeDelay: 900,
  };
  const required = { new: 1, crit: ["new"] };
  assert.doesNotThrow(() => decode({ models: [{ ...offer, performance }], payment, new: 1 }));
  assert.throws(() => decode({ payment: { ...payment, stepTokens: 0 } }), code("frame_malformed"));
  const demanding = [
    required,
    { load: { ...load, ...required } },
    { payment: { ...payment, ...required } },
    { models: [{ ...offer, ...required }] },
    { models: [{ ...offer, performance: { ...performance, ...required } }] },
  ];
  for (const change of demanding) assert.throws(() => decode(change), code("frame_unsupported"));
});

Deno.test("hostile announcements give coded errors only", () => {
  attackCbor(decodeAnnouncement, announcement.map(encodeAnnouncement));
  attackCbor(decodeSignedAnnouncement, signedAnnouncement.map(encodeSignedAnnouncement));
});
