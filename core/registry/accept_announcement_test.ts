import assert from "node:assert/strict";
import fc from "fast-check";
import { LloomError } from "../errors.ts";
import type { Verifier } from "../ports.ts";
import { encodeAnnouncement, encodeSignedAnnouncement } from "../protocol/announcement.ts";
import { mutated } from "../../tests/support/hostile.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { type AnnounceChange, executor, verifier } from "../../tests/support/executor.ts";
import { acceptAnnouncement } from "./accept_announcement.ts";
import { Registry } from "./registry.ts";

/** A registry behind the walk, with a count of verified signatures. */
function gate(maxExecutors = 10) {
  const clock = new ManualClock();
  const registry = new Registry({ maxExecutors }, { clock });
  let verified = 0;
  const counting: Verifier = {
    ...verifier,
    verifyAnnouncement: (...parts) => {
      verified++;
      return verifier.verifyAnnouncement(...parts);
    },
  };
  const components = { registry, clock, verifier: counting };
  return {
    clock,
    registry,
    verified: () => verified,
    accept: async (bytes: Uint8Array, source?: string) => {
      const verdict = await acceptAnnouncement(bytes, components, source);
      if (verdict.verdict === "accept") return verdict.kept ? "accept" : "accept, not kept";
      return `${verdict.verdict} ${verdict.error.code}`;
    },
  };
}

Deno.test("an announcement signed by the peer it speaks for is accepted, once", async () => {
  const { clock, registry, accept, verified } = gate();
  const alice = executor();
  const bytes = await alice.announce({ timestamp: clock.now() });
  assert.equal(await accept(bytes), "accept");
  assert.equal(registry.get(alice.peerId)?.announcement.executor, alice.address);
  assert.equal(await accept(bytes), "ignore announcement_stale");
  assert.equal(verified(), 1, "a known sequence number costs no verification");
});

Deno.test("what is too old, or dated ahead, is ignored before verification", async () => {
  const { clock, accept, verified } = gate(1);
  const alice = executor();
  const at = (ms: number) => ({ timestamp: clock.now() + ms });
  assert.equal(await accept(await alice.announce(at(-300_001))), "ignore announcement_stale");
  assert.equal(await accept(await alice.announce(at(30_001))), "ignore announcement_stale");
  assert.equal(verified(), 0);
  assert.equal(await accept(await alice.announce({ ...at(30_000), sequence: 1n })), "accept");
});

Deno.test("a full registry still hands on what is signed, and rejects what is forged", async () => {
  const { clock, registry, accept } = gate(1);
  const [alice, bob, mallory] = [executor(), executor(), executor()];
  const timestamp = clock.now();
  assert.equal(await accept(await alice.announce({ timestamp })), "accept");
  assert.equal(await accept(await bob.announce({ timestamp })), "accept, not kept");
  assert.equal(registry.get(bob.peerId), undefined);
  const forged = await mallory.announce({ timestamp, peerId: bob.peerId });
  assert.equal(await accept(forged), "reject signer_mismatch");
});

Deno.test("executors without number, told by one peer, keep no newcomer out that others tell of", async () => {
  const { clock, registry, accept } = gate(8);
  const timestamp = clock.now();
  const early = executor();
  await accept(await early.announce({ timestamp }), early.peerId);
  for (let i = 0; i < 20; i++) await accept(await executor().announce({ timestamp }), "sybil");
  assert.equal(registry.size, 8);
  const honest = [executor(), executor(), executor()];
  for (const { announce } of honest) {
    assert.equal(await accept(await announce({ timestamp }), "honest"), "accept");
  }
  const direct = executor();
  assert.equal(await accept(await direct.announce({ timestamp }), direct.peerId), "accept");
  for (const { peerId } of [early, direct, ...honest]) assert.ok(registry.get(peerId));
  assert.equal(registry.size, 8);
});

Deno.test("forged announcements are rejected", async () => {
  const { clock, registry, accept } = gate();
  const [alice, mallory] = [executor(), executor()];
  const timestamp = clock.now();
  const forgeries: Record<string, [AnnounceChange, string]> = {
    "another's PeerId": [{ timestamp, peerId: alice.peerId }, "signer_mismatch"],
    "another's address": [{ timestamp, executor: alice.address }, "signer_mismatch"],
    "another's name, whole": [
      { timestamp, peerId: alice.peerId, executor: alice.address },
      "signer_mismatch",
    ],
    "no PeerId": [{ timestamp, peerId: "nobody" }, "identity_invalid"],
  };
  for (const [name, [change, code]] of Object.entries(forgeries)) {
    assert.equal(await accept(await mallory.announce(change)), `reject ${code}`, name);
  }
  const body = encodeAnnouncement(alice.announcement({ timestamp }));
  const unsigned = encodeSignedAnnouncement({ body, signature: new Uint8Array(65) });
  assert.equal(await accept(unsigned), "reject signature_invalid");
  assert.equal(await accept(new Uint8Array(100_000)), "reject frame_too_large");
  assert.equal(registry.size, 0);
});

Deno.test("a failing verifier is nobody's blame", async () => {
  const clock = new ManualClock();
  const registry = new Registry({}, { clock });
  const failing: Verifier = {
    ...verifier,
    verifyAnnouncement: () => Promise.reject(new LloomError("worker_crashed", "verify: crashed")),
  };
  const bytes = await executor().announce({ timestamp: clock.now() });
  const components = { registry, clock, verifier: failing };
  assert.equal((await acceptAnnouncement(bytes, components)).verdict, "ignore");
  assert.equal(registry.size, 0);
});

Deno.test("of two announcements under verification at once, the newer one stays", async () => {
  const { clock, registry, accept } = gate();
  const alice = executor();
  const timestamp = clock.now();
  const newer = await alice.announce({ timestamp, sequence: 2n });
  const older = await alice.announce({ timestamp, sequence: 1n });
  assert.deepEqual(await Promise.all([accept(newer), accept(older)]), [
    "accept",
    "ignore announcement_stale",
  ]);
  assert.equal(registry.get(alice.peerId)?.announcement.sequence, 2n);
});

Deno.test("no change of a signed announcement's bytes is accepted", async () => {
  const clock = new ManualClock();
  const alice = executor();
  const original = alice.announcement({ timestamp: clock.now() });
  const bytes = await alice.announce({ timestamp: clock.now() });
  await fc.assert(
    fc.asyncProperty(mutated(fc.constant(bytes)), async (changed) => {
      const registry = new Registry({}, { clock });
      const components = { registry, clock, verifier };
      const verdict = await acceptAnnouncement(changed, components);
      // Fields besides body and signature are ignored, so some changes mean nothing.
      if (verdict.verdict === "accept") assert.deepEqual(verdict.announcement, original);
      else assert(verdict.error.code !== "internal", verdict.error.message);
    }),
    { numRuns: 200 },
  );
});
