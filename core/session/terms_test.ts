import assert from "node:assert/strict";
import { type Address, ZERO_ADDRESS, ZERO_HASH } from "../bytes.ts";
import type { OpeningPayment, PaymentTerms } from "../payments/ports.ts";
import { estimate } from "../payments/prepay.ts";
import type { LlmRequestCommitment } from "../signing/typed_data.ts";
import { checkTerms } from "./terms.ts";

const NOW_MS = 1_700_000_000_000;
const CLIENT: Address = `0x${"c1".repeat(20)}`;
const EXECUTOR: Address = `0x${"e1".repeat(20)}`;
const BODY = new Uint8Array(100);
const WANTED: PaymentTerms = {
  chainId: 1n,
  contract: `0x${"cc".repeat(20)}`,
  asset: ZERO_ADDRESS,
  stepTokens: 256,
  closeDelay: 3600,
};
const OFFER = {
  id: "m",
  backend: "custom",
  features: [],
  available: true,
  inboundPrice: 10n,
  outboundPrice: 20n,
};
const REQUEST: LlmRequestCommitment = {
  channelId: `0x${"11".repeat(32)}`,
  executor: EXECUTOR,
  model: "m",
  promptHash: ZERO_HASH,
  systemPromptHash: ZERO_HASH,
  maxTokens: 100,
  temperature: 0,
  inboundPrice: 10n,
  outboundPrice: 20n,
  nonce: 1n,
  deadline: BigInt(NOW_MS / 1000 + 60),
};
const { prepay: PREPAY } = estimate(REQUEST, BODY.length);
const TERMS = {
  client: CLIENT,
  executor: EXECUTOR,
  asset: ZERO_ADDRESS,
  signer: CLIENT,
  closeDelay: 3600,
  salt: 0n,
};
const PAYMENT: OpeningPayment = { terms: TERMS, paid: PREPAY, first: 0, receipts: [] };

function verdict(
  change: Partial<LlmRequestCommitment> = {},
  payment: OpeningPayment = PAYMENT,
): string | undefined {
  const request = { commitment: { ...REQUEST, ...change }, signature: new Uint8Array(65) };
  const open = { request, body: BODY, payment };
  const terms = { executor: EXECUTOR, offer: () => OFFER };
  return checkTerms(open, CLIENT, terms, WANTED, NOW_MS)?.code;
}

const paidBy = (terms: Partial<OpeningPayment["terms"]>): OpeningPayment => ({
  ...PAYMENT,
  terms: { ...TERMS, ...terms },
});

Deno.test("a request at the executor's price, paid in advance from a channel to it, is taken", () => {
  assert.equal(verdict(), undefined);
  assert.equal(verdict({}, paidBy({ client: `0x${"c0".repeat(20)}` })), undefined, "a cold wallet");
  assert.equal(verdict({}, paidBy({ closeDelay: 30 * 86_400 })), undefined);
});

for (
  const [name, terms] of Object.entries({
    "to another executor": { executor: CLIENT },
    "that another signs for": { signer: EXECUTOR },
    "in another asset": { asset: WANTED.contract },
    "that closes too soon": { closeDelay: 3599 },
    "that no contract would open": { closeDelay: 30 * 86_400 + 1 },
  })
) {
  Deno.test(`a request paid from a channel ${name} is refused: channel_unusable`, () => {
    assert.equal(verdict({}, paidBy(terms)), "channel_unusable");
  });
}

Deno.test("less than the prompt is reckoned at is refused: payment_required", () => {
  assert.equal(verdict({}, { ...PAYMENT, paid: PREPAY - 1n }), "payment_required");
});

Deno.test("a price without a payment, a channel, or a cashier is refused: payment_required", () => {
  const free = { executor: EXECUTOR, offer: () => OFFER };
  const request = { commitment: REQUEST, signature: new Uint8Array(65) };
  const unpaid = checkTerms({ request, body: BODY }, CLIENT, free, WANTED, NOW_MS);
  assert.equal(unpaid?.code, "payment_required");
  assert.equal(verdict({ channelId: ZERO_HASH }), "payment_required");
  const open = { request, body: BODY, payment: PAYMENT };
  assert.equal(checkTerms(open, CLIENT, free, undefined, NOW_MS)?.code, "payment_required");
});

Deno.test("a free request with a channel or a payment is refused: request_invalid", () => {
  const free = {
    executor: EXECUTOR,
    offer: () => ({ ...OFFER, inboundPrice: 0n, outboundPrice: 0n }),
  };
  const commitment = { ...REQUEST, inboundPrice: 0n, outboundPrice: 0n };
  for (const channelId of [REQUEST.channelId, ZERO_HASH]) {
    const request = { commitment: { ...commitment, channelId }, signature: new Uint8Array(65) };
    const open = { request, body: BODY, payment: PAYMENT };
    assert.equal(checkTerms(open, CLIENT, free, WANTED, NOW_MS)?.code, "request_invalid");
  }
});

Deno.test("less than the executor's price is refused: price_too_low", () => {
  assert.equal(verdict({ outboundPrice: 19n }), "price_too_low");
});
