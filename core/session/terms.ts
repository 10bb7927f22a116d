/** What a request must meet before anybody spends a signature check or a token on it. @module */
import { type Address, ZERO_HASH } from "../bytes.ts";
import type { ErrorCode, ErrorData } from "../errors.ts";
import type { ModelOffer } from "../protocol/announcement.ts";
import { isFree } from "../payments/amounts.ts";
import type { PaymentTerms } from "../payments/ports.ts";
import { estimate } from "../payments/prepay.ts";
import type { OpenFrame } from "../protocol/infer/mod.ts";
import { MAX_CLOSE_DELAY_S, MAX_DEADLINE_AHEAD_S } from "../protocol/limits.ts";

/** An executor's side of the bargain. */
export interface Terms {
  /** Whom requests must name. */
  readonly executor: Address;
  /** What it offers under a model's name. */
  offer(model: string): ModelOffer | undefined;
}

/**
 * Why a request does not meet an executor's terms at `nowMs`, or undefined if it does.
 * Cheap, and done before any signature is looked at.
 * @param client who sent it: the channel it is paid from must be signed for by nobody else
 * @param payment how the executor is paid; undefined where it serves free requests only
 */
export function checkTerms(
  open: Omit<OpenFrame, "type" | "salt">,
  client: Address,
  terms: Terms,
  payment: PaymentTerms | undefined,
  nowMs: number,
): ErrorData | undefined {
  const { commitment } = open.request;
  const now = Math.floor(nowMs / 1000);
  const deadline = Number(commitment.deadline);
  const offer = terms.offer(commitment.model);
  if (commitment.executor !== terms.executor) {
    return refused("request_invalid", "it is addressed to another executor");
  }
  if (deadline <= now) return refused("request_expired", "its deadline has passed");
  if (deadline > now + MAX_DEADLINE_AHEAD_S) {
    return refused("request_premature", `its deadline is over ${MAX_DEADLINE_AHEAD_S} s ahead`);
  }
  if (offer === undefined) return refused("model_unavailable", "this model is not served here");
  if (!offer.available) return refused("model_unavailable", "this model is not available now");
  if (commitment.maxTokens === 0) return refused("request_invalid", "it pays for no token");
  if (
    commitment.inboundPrice < offer.inboundPrice || commitment.outboundPrice < offer.outboundPrice
  ) {
    return refused("price_too_low", "it offers less than this executor's price");
  }
  if (!isFree(commitment)) return checkPayment(open, client, payment);
  if (commitment.channelId !== ZERO_HASH || open.payment !== undefined) {
    return refused("request_invalid", "a free request names no payment channel");
  }
  return undefined;
}

function checkPayment(
  { request: { commitment }, body, payment }: Omit<OpenFrame, "type" | "salt">,
  client: Address,
  wanted: PaymentTerms | undefined,
): ErrorData | undefined {
  if (wanted === undefined) {
    return refused("payment_required", "it has a price, and this executor takes no payment");
  }
  if (payment === undefined || commitment.channelId === ZERO_HASH) {
    return refused("payment_required", "it has a price but no payment channel");
  }
  const { executor, asset, signer, closeDelay } = payment.terms;
  if (executor !== commitment.executor) return unusable("it pays another executor");
  if (signer !== client) return unusable("another than who asks signs for it");
  if (asset !== wanted.asset) return unusable("it pays in another asset");
  if (closeDelay < wanted.closeDelay || closeDelay > MAX_CLOSE_DELAY_S) {
    const range = `from ${wanted.closeDelay} to ${MAX_CLOSE_DELAY_S}`;
    return unusable(`it takes ${closeDelay} seconds to close, not ${range}`);
  }
  if (payment.paid < estimate(commitment, body.length).prepay) {
    return refused("payment_required", "less is paid in advance than its prompt is reckoned at");
  }
  return undefined;
}

function unusable(why: string): ErrorData {
  return refused("channel_unusable", `its channel cannot be used: ${why}`);
}

function refused(code: ErrorCode, why: string): ErrorData {
  return { code, message: `admit request: ${why}` };
}
