/** Both ends of a paid request against each other, and what each refuses of the other. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ABOUT,
  ABOUT_PAID,
  CLIENT,
  EXECUTOR,
  lineOf,
  mayBeOutstanding,
  NOW_MS,
  play,
  REQUEST_HASH,
  schedules,
  SIGNATURE,
  World,
} from "../../tests/support/session_world.ts";
import { ZERO_HASH } from "../bytes.ts";
import { costOf } from "../payments/amounts.ts";
import type { ExecutorFrame } from "../protocol/infer/mod.ts";
import { encodeTrailer } from "../protocol/trailer.ts";
import type { LlmResponseCommitment } from "../signing/typed_data.ts";
import type { ClientEffect } from "./client_events.ts";
import { ClientSession } from "./client_session.ts";

Deno.test("any schedule, paid: what was handed out and not paid is never above a step, or a batch", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      play(schedule, true, (world) => {
        assert.ok(world.accrued - world.executorPaid <= mayBeOutstanding(world));
        assert.ok(world.executorPaid <= world.clientPaid);
      });
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule, paid: each end ends once, leaves no timer, and the reservation ends once", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule, true);
      assert.equal(world.clientEnds.length, 1);
      assert.equal(world.reservationEnds.length, 1);
      assert.equal(world.clientTimers.size, 0);
      assert.ok(world.executorEnds.length <= 1);
      if (world.executorEnds.length === 1) assert.equal(world.executorTimers.size, 0);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule, paid: a finished answer is whole and paid for exactly, and its receipt acknowledged", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule, true);
      const [end] = world.clientEnds;
      if (end?.type !== "finish") return;
      assert.deepEqual(world.delivered, world.produced);
      assert.deepEqual(world.reservationEnds, ["settle"]);
      const { commitment } = end.response;
      const cost = costOf(commitment, commitment.inboundTokens, commitment.outboundTokens);
      assert.ok(world.clientPaid >= cost);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule, paid: a receipt covers nothing that was held back", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule, true);
      const [end] = world.executorEnds;
      if (end?.type !== "done" || end.response === undefined) return;
      assert.equal(world.handed, world.produced.length);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("the schedules above reach every kind of end", () => {
  const ends = new Set<string>();
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule, true);
      const [client] = world.clientEnds;
      const [executor] = world.executorEnds;
      const paid = world.demands > 0 ? " after a demand" : "";
      if (client?.type === "finish") ends.add(`finish ${client.trailer.finish}${paid}`);
      if (client?.type === "fail") ends.add(`fail ${client.error.code}${paid}`);
      if (executor?.type === "done") ends.add(`done ${executor.error?.code ?? "well"}${paid}`);
      if (world.vouchers > 1) ends.add("two vouchers");
      ends.add(world.reservationEnds.join());
    }),
    { numRuns: 3000, seed: 42 },
  );
  for (
    const end of [
      "finish stop after a demand",
      "finish cancelled after a demand",
      "finish error after a demand",
      "fail stream_broken after a demand",
      "done well after a demand",
      "done payment_required after a demand",
      "done voucher_invalid after a demand",
      "done aborted after a demand",
      "two vouchers",
      "settle",
      "abandon",
    ]
  ) assert.ok(ends.has(end), `${end} was never reached`);
});

Deno.test("the text goes on while its payment is on the way, and waits beyond a step", () => {
  const world = new World(true);
  world.toTheClient({ type: "start" });
  const move = (step: string) => world.moves().find(([name]) => name === step)![1]();
  for (const step of ["→", "executor completes", "executor completes"]) move(step);
  // 0, 4, 7 tokens of answer: at 4 payment is asked for, at 11 more than a step would be owed.
  for (let i = 0; i < 3; i++) move("batch");
  assert.equal(world.demands, 1);
  assert.equal(world.handedOut, 4);
  assert.ok(world.paused);
  for (const step of ["←", "←", "←", "←", "client pays", "→", "executor takes"]) move(step);
  assert.equal(world.handedOut, 11);
  assert.ok(!world.paused);
});

/** A paid client that was accepted, and got an answer of eight bytes. */
function receiving(): { on: (frame: ExecutorFrame) => ClientEffect[]; client: ClientSession } {
  const client = new ClientSession(ABOUT_PAID);
  const on = (frame: ExecutorFrame) => client.handle({ type: "frame", frame, nowMs: NOW_MS });
  client.handle({ type: "start" });
  on({ type: "accept", requestHash: REQUEST_HASH, acknowledged: 0 });
  on({ type: "delta", lines: lineOf(8) });
  return { on, client };
}

function failureOf(effects: readonly ClientEffect[]): string | undefined {
  const fail = effects.find(({ type }) => type === "fail");
  return fail?.type === "fail" ? fail.error.code : undefined;
}

const types = (effects: readonly ClientEffect[]) =>
  effects.map(({ type }) => type).filter((type) => type !== "disarm");
const bytes = lineOf(8).length;

for (
  const [name, due] of Object.entries({
    "more tokens than the answer has bytes": { outboundTokens: 9, deliveredBytes: bytes },
    "another part of the answer": { outboundTokens: 8, deliveredBytes: bytes + 1 },
    "what is paid": { outboundTokens: 0, deliveredBytes: bytes },
  })
) {
  Deno.test(`a demand for ${name} is not paid, and breaks the answer: overcharged`, () => {
    const effects = receiving().on({ type: "due", ...due });
    assert.deepEqual(types(effects), ["abandon", "abort", "fail"]);
    assert.equal(failureOf(effects), "overcharged");
  });
}

Deno.test("a demand for more tokens than were committed to is not paid: overcharged", () => {
  const { on } = receiving();
  on({ type: "delta", lines: lineOf(1000) });
  const deliveredBytes = bytes + lineOf(1000).length;
  assert.equal(failureOf(on({ type: "due", outboundTokens: 201, deliveredBytes })), "overcharged");
});

Deno.test("a demand before the one before is paid breaks the answer: protocol_violation", () => {
  const { on } = receiving();
  on({ type: "due", outboundTokens: 1, deliveredBytes: bytes });
  const effects = on({ type: "due", outboundTokens: 2, deliveredBytes: bytes });
  assert.equal(failureOf(effects), "protocol_violation");
});

Deno.test("a demand for a free answer breaks it, and so does an acceptance on other terms", () => {
  const accepted = (about: typeof ABOUT, acknowledged?: number) => {
    const client = new ClientSession(about);
    client.handle({ type: "start" });
    const accept = { type: "accept", requestHash: REQUEST_HASH } as const;
    const frame = { ...accept, ...(acknowledged !== undefined && { acknowledged }) };
    return { client, effects: client.handle({ type: "frame", frame, nowMs: NOW_MS }) };
  };
  assert.equal(failureOf(accepted(ABOUT, 0).effects), "protocol_violation");
  assert.equal(failureOf(accepted(ABOUT_PAID).effects), "protocol_violation");
  const { client } = accepted(ABOUT);
  client.handle({ type: "frame", frame: { type: "delta", lines: lineOf(8) }, nowMs: NOW_MS });
  const frame = { type: "due", outboundTokens: 1, deliveredBytes: bytes } as const;
  assert.equal(
    failureOf(client.handle({ type: "frame", frame, nowMs: NOW_MS })),
    "protocol_violation",
  );
});

Deno.test("a line of a paid answer that is no JSON breaks it: its text cannot be counted", () => {
  const lines = new TextEncoder().encode("{\n");
  assert.equal(failureOf(receiving().on({ type: "delta", lines })), "frame_malformed");
});

/** What a client does about a receipt with changes, once its signature is checked. */
function settling(change: Partial<LlmResponseCommitment>, signer = EXECUTOR): ClientEffect[] {
  const { on, client } = receiving();
  const { inboundPrice, outboundPrice } = ABOUT_PAID.request.commitment;
  const commitment: LlmResponseCommitment = {
    requestHash: REQUEST_HASH,
    client: CLIENT,
    model: "m",
    contentHash: ZERO_HASH,
    inboundTokens: 3,
    outboundTokens: 4,
    inboundPrice,
    outboundPrice,
    timestamp: BigInt(NOW_MS / 1000),
    success: true,
    ...change,
  };
  const trailer = encodeTrailer({
    finish: "stop",
    promptTokens: commitment.inboundTokens,
    completionTokens: commitment.outboundTokens,
    countedBy: "backend",
  });
  on({ type: "receipt", trailer, response: { commitment, signature: SIGNATURE } });
  return client.handle({ type: "verified", executor: signer, responseHash: REQUEST_HASH });
}

Deno.test("a receipt that claims what was delivered is settled at its exact cost", () => {
  const [settle] = settling({}).filter(({ type }) => type === "settle");
  assert.ok(settle?.type === "settle");
  assert.equal(settle.receipt.cost, costOf(ABOUT_PAID.request.commitment, 3, 4));
});

for (
  const [name, change] of Object.entries({
    "more tokens than the answer can have": { outboundTokens: 8 + 16 + 1 },
    "more tokens than were asked for": { outboundTokens: 201 },
    "more tokens than the prompt can have": { inboundTokens: 2 + 4096 + 1 },
    "other prices": { outboundPrice: 21n },
  })
) {
  Deno.test(`a signed receipt for ${name} is kept as evidence and not paid: overcharged`, () => {
    const effects = settling(change);
    assert.deepEqual(types(effects), ["dispute", "abort", "fail"]);
    assert.equal(failureOf(effects), "overcharged");
    // One that the executor did not sign proves nothing.
    assert.deepEqual(types(settling(change, CLIENT)), ["abandon", "abort", "fail"]);
  });
}

Deno.test("a refusal says that nothing is owed, but one for what was paid makes that count", () => {
  for (
    const [code, effect] of [
      ["overloaded", { type: "abandon", owed: false }],
      ["voucher_invalid", { type: "disown" }],
    ] as const
  ) {
    const client = new ClientSession(ABOUT_PAID);
    client.handle({ type: "start" });
    const frame: ExecutorFrame = { type: "reject", error: { code, message: "test: no" } };
    const effects = client.handle({ type: "frame", frame, nowMs: NOW_MS });
    assert.deepEqual(types(effects), [effect.type, "release", "fail"]);
    assert.deepEqual(effects.find(({ type }) => type === effect.type), effect);
  }
});
