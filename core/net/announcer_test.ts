import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import {
  type Announcement,
  decodeAnnouncement,
  decodeSignedAnnouncement,
  type ModelOffer,
} from "../protocol/announcement.ts";
import {
  MAX_ADDRESSES_PER_EXECUTOR,
  MAX_ANNOUNCEMENT_BYTES,
  MAX_CONTEXT_LENGTH,
  MAX_MODEL_NAME_BYTES,
  MAX_MODELS_PER_EXECUTOR,
} from "../protocol/limits.ts";
import { createSigner, noblePrimitives } from "../signing/mod.ts";
import { Announcer, type Offering } from "./announcer.ts";
import { fitAnnouncement } from "./fit_announcement.ts";

const model = (id: string, change: Partial<ModelOffer> = {}): ModelOffer => ({
  id,
  backend: "custom",
  features: [],
  available: true,
  inboundPrice: 0n,
  outboundPrice: 0n,
  ...change,
});
const announcement = (change: Partial<Announcement> = {}): Announcement => ({
  kind: "update",
  peerId: "peer",
  executor: `0x${"11".repeat(20)}`,
  multiaddrs: ["/ip4/127.0.0.1/tcp/1"],
  models: [model("a"), model("b")],
  load: { active: 1, queued: 2, capacity: 3 },
  timestamp: 1_800_000_000_000,
  sequence: 1n,
  ...change,
});
const measured = (change: object) => ({
  performance: { tokensPerSecond: 1, timeToFirstTokenMs: 1, successRate: 1, ...change },
});

Deno.test("an announcement that fits is told as it is", () => {
  const wanted = announcement();
  const { body, announcement: told, leftOut } = fitAnnouncement(wanted);
  assert.deepEqual(told, wanted);
  assert.deepEqual(decodeAnnouncement(body), wanted);
  assert.deepEqual(leftOut, []);
});

Deno.test("models that others could not read are left out, and the others are told", () => {
  const unreadable = [
    model("é".repeat(MAX_MODEL_NAME_BYTES / 2) + "x"),
    model("context", { contextLength: MAX_CONTEXT_LENGTH + 1 }),
    model("fraction", { contextLength: 0.5 }),
    model("negative", measured({ timeToFirstTokenMs: -1 })),
    model("endless", measured({ tokensPerSecond: Infinity })),
    model("unmeasured", measured({ successRate: NaN })),
    model("owed", { inboundPrice: -1n }),
    model("able", { features: ["x".repeat(65)] }),
    model("vast", { size: "x".repeat(2000) }),
  ];
  const wanted = announcement({ models: [model("a"), ...unreadable, model("b")] });
  const { body, leftOut } = fitAnnouncement(wanted);
  assert.deepEqual(decodeAnnouncement(body).models.map(({ id }) => id), ["a", "b"]);
  assert.deepEqual(leftOut, unreadable.map(({ id }) => id));
});

Deno.test("of too many models and addresses the first are told, and of too much text too", () => {
  const many = Array.from({ length: MAX_MODELS_PER_EXECUTOR + 2 }, (_, i) => model(`m${i}`));
  const multiaddrs = ["x".repeat(600), ...Array.from({ length: 20 }, (_, i) => `/dns/a/tcp/${i}`)];
  const counted = fitAnnouncement(announcement({ models: many, multiaddrs }));
  assert.deepEqual(counted.leftOut, ["m50", "m51"]);
  assert.deepEqual(
    decodeAnnouncement(counted.body).multiaddrs,
    multiaddrs.slice(1, MAX_ADDRESSES_PER_EXECUTOR + 1),
  );
  const features = Array.from({ length: 32 }, (_, i) => `feature ${i} `.padEnd(60, "x"));
  const wordy = many.slice(0, 50).map((offer) => ({ ...offer, features }));
  const { body, leftOut } = fitAnnouncement(announcement({ models: wordy }));
  const told = decodeAnnouncement(body).models;
  assert.ok(told.length > 20 && body.length > MAX_ANNOUNCEMENT_BYTES - 3000);
  assert.deepEqual([...told.map(({ id }) => id), ...leftOut], wordy.map(({ id }) => id));
});

Deno.test("whatever a backend says, what is announced can be read", () => {
  const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(-1, 2 ** 31, 1e10));
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 400 }),
    fc.constantFrom("\ud800", "a".repeat(2000)),
  );
  const offer = fc.record({
    id: text,
    backend: fc.constantFrom("custom", "ollama"),
    features: fc.array(text, { maxLength: 40 }),
    available: fc.boolean(),
    inboundPrice: fc.bigInt(-5n, 2n ** 100n),
    outboundPrice: fc.bigInt(-5n, 2n ** 100n),
    contextLength: number,
    architecture: text,
    size: text,
    performance: fc.record({
      tokensPerSecond: number,
      timeToFirstTokenMs: number,
      successRate: number,
    }),
  }, { requiredKeys: ["id", "backend", "features", "available", "inboundPrice", "outboundPrice"] });
  fc.assert(
    fc.property(
      fc.array(offer, { maxLength: 60 }),
      fc.array(text, { maxLength: 20 }),
      fc.nat(1e7),
      (models, multiaddrs, active) => {
        const wanted = announcement({
          models: [...models, model("good")] as ModelOffer[],
          multiaddrs,
          load: { active, queued: 0, capacity: 1 },
        });
        const { body, announcement: told, leftOut } = fitAnnouncement(wanted);
        assert.deepEqual(decodeAnnouncement(body), told);
        assert.equal(told.models.length + leftOut.length, wanted.models.length);
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("an announcer publishes what can be read, signed over those bytes, under growing sequences", async () => {
  const clock = new ManualClock();
  const signer = createSigner(noblePrimitives, {}, new Uint8Array(32).fill(7));
  const published: Announcement[] = [];
  let models = [model("x".repeat(300)), model("a")];
  const announcer = new Announcer({}, {
    clock,
    signer,
    peerId: "peer",
    offering: (): Offering => {
      const { multiaddrs, load } = announcement();
      return { multiaddrs, load, models };
    },
    publish: (signed, bytes) => {
      assert.deepEqual(decodeSignedAnnouncement(bytes), signed);
      published.push(decodeAnnouncement(signed.body));
      return Promise.resolve();
    },
  });
  await announcer.start();
  models = [];
  await announcer.stop();
  assert.deepEqual(published.map(({ kind }) => kind), ["initial", "removal"]);
  assert.deepEqual(published[0]!.models.map(({ id }) => id), ["a"]);
  assert.ok(published[1]!.sequence > published[0]!.sequence);
});
