/** A request for vectors costs its prompt, and nothing else. */
import assert from "node:assert/strict";
import {
  ABOUT,
  ABOUT_PAID,
  CLIENT,
  EXECUTOR,
  NOW_MS,
  REQUEST_HASH,
  SIGNATURE,
} from "../../tests/support/session_world.ts";
import { ZERO_HASH } from "../bytes.ts";
import { costOf } from "../payments/amounts.ts";
import { textBytes } from "../protocol/answer_text.ts";
import type { ExecutorFrame } from "../protocol/infer/mod.ts";
import { encodeTrailer } from "../protocol/trailer.ts";
import type { ClientEffect } from "./client_events.ts";
import { ClientSession } from "./client_session.ts";
import { Delivery } from "./delivery.ts";

const VECTORS = new TextEncoder().encode('{"data":[{"index":0,"embedding":"AACAPw=="}]}\n');
const ABOUT_VECTORS = { ...ABOUT_PAID, payment: { ...ABOUT_PAID.payment!, answers: 0 } };
const PRICES = ABOUT_PAID.request.commitment;

/** A client that has received its vectors. */
function receiving(about: typeof ABOUT) {
  const client = new ClientSession(about);
  const on = (frame: ExecutorFrame) => client.handle({ type: "frame", frame, nowMs: NOW_MS });
  client.handle({ type: "start" });
  const acknowledged = about.payment && { acknowledged: 0 };
  on({ type: "accept", requestHash: REQUEST_HASH, ...acknowledged });
  on({ type: "delta", lines: VECTORS });
  return { client, on };
}

/** What the client does about a receipt whose signature is good. */
function settling(
  about: typeof ABOUT,
  inboundTokens: number,
  outboundTokens: number,
  failed = false,
): readonly ClientEffect[] {
  const { client, on } = receiving(about);
  const { inboundPrice, outboundPrice } = about.request.commitment;
  const trailer = encodeTrailer({
    finish: failed ? "error" : "stop",
    promptTokens: inboundTokens,
    completionTokens: outboundTokens,
    countedBy: "backend",
    ...(failed && { error: { code: "backend_failed", message: "embed: failed" } }),
  });
  const commitment = {
    requestHash: REQUEST_HASH,
    client: CLIENT,
    model: "m",
    contentHash: ZERO_HASH,
    inboundTokens,
    outboundTokens,
    inboundPrice,
    outboundPrice,
    timestamp: BigInt(NOW_MS / 1000),
    success: !failed,
  };
  on({ type: "receipt", trailer, response: { commitment, signature: SIGNATURE } });
  return client.handle({ type: "verified", executor: EXECUTOR, responseHash: REQUEST_HASH });
}

const find = <T extends ClientEffect["type"]>(effects: readonly ClientEffect[], type: T) =>
  effects.find((effect): effect is Extract<ClientEffect, { type: T }> => effect.type === type);

Deno.test("vectors are no text", () => assert.equal(textBytes(VECTORS), 0));

Deno.test("vectors that are paid cost the tokens of their prompt", () => {
  const settle = find(settling(ABOUT_VECTORS, 7, 0), "settle");
  assert.equal(settle?.receipt.cost, costOf(PRICES, 7, 0));
});

Deno.test("vectors that are free end with their receipt", () => {
  assert.ok(find(settling(ABOUT, 7, 0), "finish"));
});

Deno.test("a receipt for a token of text beside vectors is not paid: overcharged", () => {
  const effects = settling(ABOUT_VECTORS, 7, 1);
  assert.ok(find(effects, "dispute"));
  assert.equal(find(effects, "fail")?.error.code, "overcharged");
});

Deno.test("vectors that broke off cost no more than was paid in advance", () => {
  const reckoned = settling(ABOUT_VECTORS, 1, 0, true);
  assert.equal(find(reckoned, "settle")?.receipt.cost, ABOUT_VECTORS.payment.prepay);
  const more = settling(ABOUT_VECTORS, 7, 0, true);
  assert.equal(find(more, "fail")?.error.code, "overcharged");
});

Deno.test("a demand for payment while vectors come is not paid: overcharged", () => {
  const due = { type: "due", outboundTokens: 1, deliveredBytes: VECTORS.length } as const;
  const effects = receiving(ABOUT_VECTORS).on(due);
  assert.equal(find(effects, "fail")?.error.code, "overcharged");
});

Deno.test("an executor hands out vectors as they come, and asks for nothing meanwhile", () => {
  const prepay = costOf(PRICES, 1, 0);
  const delivery = new Delivery({
    prices: PRICES,
    maxTokens: 1,
    prepay,
    step: costOf(PRICES, 0, 8),
    paid: prepay,
  });
  for (let batch = 0; batch < 3; batch++) {
    delivery.add(VECTORS, 0);
    assert.deepEqual(delivery.release(), [VECTORS]);
    assert.equal(delivery.demand(), undefined);
  }
  assert.equal(delivery.owed(), prepay);
});
