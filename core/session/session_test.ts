/** Both ends of a free request against each other, and what each refuses of the other. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ABOUT,
  CLIENT,
  EXECUTOR,
  NOW_MS,
  play,
  REQUEST_HASH,
  schedules,
  SIGNATURE,
  World,
} from "../../tests/support/session_world.ts";
import { type Hash, ZERO_HASH } from "../bytes.ts";
import type { SignedResponse } from "../ports.ts";
import { encodeTrailer } from "../protocol/trailer.ts";
import type { ClientEffect } from "./client_events.ts";
import { ClientSession } from "./client_session.ts";

Deno.test("any schedule: the client ends exactly once, and the executor at most once", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      assert.equal(world.clientEnds.length, 1);
      assert.ok(world.executorEnds.length <= 1);
      assert.equal(world.clientTimers.size, 0, "no timer outlives the client's session");
      if (world.executorEnds.length === 1) assert.equal(world.executorTimers.size, 0);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule: a finished answer is what the executor produced, whole and in order", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.clientEnds;
      if (end?.type !== "finish") return;
      assert.deepEqual(world.delivered, world.produced);
      assert.equal(end.response.commitment.success, end.trailer.finish === "stop");
      assert.equal(end.response.commitment.outboundTokens, world.produced.length);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule: an answer that the client did not finish is never a success", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.clientEnds;
      if (end?.type === "fail") {
        assert.notEqual(end.error.code, "internal");
        return;
      }
      assert.ok(end?.type === "finish");
      // Only who cancelled may find an incomplete answer without an error in its trailer.
      if (!end.response.commitment.success) assert.ok(end.trailer.error !== undefined);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule: the executor signs a receipt for whatever it delivered, unless it crashed", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.executorEnds;
      if (end?.type !== "done" || world.produced.length === 0) return;
      if (end.error?.code === "worker_crashed" || end.error?.code === "backend_timeout") return;
      assert.ok(end.response !== undefined);
      assert.equal(end.response.commitment.outboundTokens, world.produced.length);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("an undisturbed request is accepted, streamed, receipted and its stream released", () => {
  const world = new World(false);
  world.toTheClient({ type: "start" });
  const script = [
    ..."→",
    "executor completes",
    "executor completes",
    "batch",
    "batch",
    "backend ends",
    "executor completes",
    ..."←←←←",
    "client completes",
  ];
  for (const step of script) world.moves().find(([name]) => name === step)![1]();
  assert.equal(world.clientEnds[0]?.type, "finish");
  assert.ok(world.released);
  assert.equal(world.delivered.length, 2);
});

/** Brings a client to the point where it has one delta, then hands it a receipt with changes. */
function receiptWith(
  change: Partial<SignedResponse["commitment"]>,
  trailerFinish = "stop",
): ClientEffect[] {
  const client = new ClientSession(ABOUT);
  client.handle({ type: "start" });
  const at = { nowMs: NOW_MS } as const;
  client.handle({
    type: "frame",
    frame: { type: "accept", requestHash: REQUEST_HASH },
    ...at,
  });
  client.handle({
    type: "frame",
    frame: { type: "delta", lines: new TextEncoder().encode("x\n") },
    ...at,
  });
  const trailer = encodeTrailer({
    finish: trailerFinish,
    promptTokens: 3,
    completionTokens: 1,
    countedBy: "backend",
  });
  const commitment = {
    requestHash: REQUEST_HASH as Hash,
    client: CLIENT,
    model: "m",
    contentHash: ZERO_HASH,
    inboundTokens: 3,
    outboundTokens: 1,
    inboundPrice: 0n,
    outboundPrice: 0n,
    timestamp: BigInt(NOW_MS / 1000),
    success: true,
    ...change,
  };
  const response = { commitment, signature: SIGNATURE };
  return client.handle({ type: "frame", frame: { type: "receipt", trailer, response }, ...at });
}

Deno.test("a receipt that fits the request goes on to its signature's check", () => {
  assert.deepEqual(receiptWith({}).map(({ type }) => type), ["verify"]);
});

for (
  const [name, change] of Object.entries({
    "of another request": { requestHash: ZERO_HASH },
    "for another client": { client: EXECUTOR },
    "for another model": { model: "other" },
    "at other prices": { outboundPrice: 1n },
    "for more tokens than asked for": { outboundTokens: 1001 },
    "for more tokens than the request can have": { inboundTokens: 4099 },
    "for other tokens than its trailer": { inboundTokens: 4 },
    "from the future": { timestamp: BigInt(NOW_MS / 1000 + 3600) },
    "from the past": { timestamp: BigInt(NOW_MS / 1000 - 3600) },
    "that calls a failure a success": { success: false },
  })
) {
  Deno.test(`a receipt ${name} is refused before its signature is looked at`, () => {
    const fail = receiptWith(change).find(({ type }) => type === "fail");
    assert.ok(fail?.type === "fail");
    assert.equal(fail.error.code, "receipt_invalid");
  });
}

for (
  const [name, lines] of Object.entries({
    "without its line feed": [0x61],
    "of an empty line": [0x61, 0x0a, 0x0a],
    "that is no UTF-8": [0xc3, 0x0a],
  })
) {
  Deno.test(`a delta ${name} breaks the answer: its signed bytes would read differently`, () => {
    const client = new ClientSession(ABOUT);
    client.handle({ type: "start" });
    const at = { nowMs: NOW_MS } as const;
    client.handle({ type: "frame", frame: { type: "accept", requestHash: REQUEST_HASH }, ...at });
    const effects = client.handle({
      type: "frame",
      frame: { type: "delta", lines: new Uint8Array(lines) },
      ...at,
    });
    const fail = effects.find(({ type }) => type === "fail");
    assert.ok(fail?.type === "fail");
    assert.equal(fail.error.code, "protocol_violation");
    assert.ok(!effects.some(({ type }) => type === "deliver"));
  });
}

Deno.test("an executor that accepts and says nothing is cancelled, so that another can be asked", () => {
  const client = new ClientSession(ABOUT);
  client.handle({ type: "start" });
  const accept = { type: "accept", requestHash: REQUEST_HASH } as const;
  const accepted = client.handle({ type: "frame", frame: accept, nowMs: NOW_MS });
  assert.ok(accepted.some((effect) => effect.type === "arm" && effect.timer === "first"));
  const late = client.handle({ type: "timer", timer: "first" });
  assert.ok(late.some((effect) => effect.type === "send" && effect.frame === "cancel"));
  const fail = client.handle({ type: "timer", timer: "cancel" })
    .find(({ type }) => type === "fail");
  assert.ok(fail?.type === "fail");
  assert.equal(fail.error.code, "backend_timeout");
});

Deno.test("a receipt signed by another than the executor asked is refused", () => {
  const world = new World(false);
  world.toTheClient({ type: "start" });
  for (
    const step of ["→", "executor completes", "executor completes", "backend ends"]
  ) world.moves().find(([name]) => name === step)![1]();
  world.moves().find(([name]) => name === "executor completes")![1]();
  for (const _ of "ab") world.moves().find(([name]) => name === "←")![1]();
  world.toTheClient({
    type: "verified",
    executor: CLIENT,
    responseHash: REQUEST_HASH,
  });
  const [end] = world.clientEnds;
  assert.ok(end?.type === "fail");
  assert.equal(end.error.code, "signer_mismatch");
});

Deno.test("the schedules above reach every kind of end", () => {
  const ends = new Set<string>();
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.clientEnds;
      const part = world.delivered.length > 0 ? " in mid-stream" : "";
      if (end?.type === "finish") ends.add(`finish ${end.trailer.finish}${part}`);
      if (end?.type === "fail") ends.add(`fail ${end.error.code}${part}`);
    }),
    { numRuns: 3000, seed: 42 },
  );
  for (
    const end of [
      "finish stop in mid-stream",
      "finish cancelled in mid-stream",
      "finish error in mid-stream",
      "fail stream_broken in mid-stream",
      "fail timeout in mid-stream",
      "fail backend_failed",
      "fail worker_crashed",
      "fail shutting_down",
    ]
  ) assert.ok(ends.has(end), `${end} was never reached`);
});
