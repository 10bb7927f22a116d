/** What a request must meet before anybody spends a signature check or a token on it. @module */
import { type Address, ZERO_HASH } from "../bytes.ts";
import type { ErrorCode, ErrorData } from "../errors.ts";
import type { ModelOffer } from "../protocol/announcement.ts";
import { MAX_DEADLINE_AHEAD_S } from "../protocol/limits.ts";
import type { LlmRequestCommitment } from "../signing/typed_data.ts";

/** An executor's side of the bargain. */
export interface Terms {
  /** Whom requests must name. */
  readonly executor: Address;
  /** What it offers under a model's name. */
  offer(model: string): ModelOffer | undefined;
}

/**
 * Why a commitment does not meet an executor's terms at `nowMs`, or undefined if it does.
 * Cheap, and done before the signature is looked at: it decides nothing about who asks.
 */
export function checkTerms(
  commitment: LlmRequestCommitment,
  terms: Terms,
  nowMs: number,
): ErrorData | undefined {
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
  if (commitment.inboundPrice + commitment.outboundPrice > 0n) {
    return refused("payment_required", "it has a price but no payment channel");
  }
  if (commitment.channelId !== ZERO_HASH) {
    return refused("request_invalid", "a free request names no payment channel");
  }
  return undefined;
}

function refused(code: ErrorCode, why: string): ErrorData {
  return { code, message: `admit request: ${why}` };
}
