/** From a request and an executor's offer to the commitment that the client signs. @module */
import { type Address, ZERO_HASH } from "../bytes.ts";
import type { RequestDraft } from "../ports.ts";
import type { ModelOffer } from "../protocol/announcement.ts";
import { answersOf, type ModelRequest } from "../protocol/model_request.ts";
import { MAX_CLOCK_SKEW_S, MAX_DEADLINE_AHEAD_S } from "../protocol/limits.ts";
import { TEMPERATURE_SCALE, TEMPERATURE_UNSET, UINT32_MAX } from "../signing/typed_data.ts";

/** Tokens of each answer that a client commits to pay for when its request names no limit. */
export const DEFAULT_MAX_TOKENS = 4096;

/** What a draft is made of, besides the request itself. */
export interface DraftOptions {
  /** Who will be asked. */
  readonly executor: Address;
  /** Its terms for the model, which the commitment repeats. */
  readonly offer: Pick<ModelOffer, "id" | "contextLength" | "inboundPrice" | "outboundPrice">;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** How long the client will wait for the answer. */
  readonly timeoutMs: number;
  /** 64 random bits. */
  readonly nonce: bigint;
}

/** The commitment for `request`, before its content is hashed. */
export function draftRequest(request: ModelRequest, options: DraftOptions): RequestDraft {
  const { executor, offer, nowMs, timeoutMs, nonce } = options;
  const aheadS = Math.min(
    Math.ceil(timeoutMs / 1000) + MAX_CLOCK_SKEW_S,
    // An executor whose clock is behind ours must not find the deadline too far ahead.
    MAX_DEADLINE_AHEAD_S - MAX_CLOCK_SKEW_S,
  );
  return {
    channelId: ZERO_HASH,
    executor,
    model: offer.id,
    maxTokens: Math.min(UINT32_MAX, maxTokensOf(request, offer.contextLength)),
    temperature: request.temperature === undefined
      ? TEMPERATURE_UNSET
      : Math.round(request.temperature * TEMPERATURE_SCALE),
    inboundPrice: offer.inboundPrice,
    outboundPrice: offer.outboundPrice,
    nonce,
    deadline: BigInt(Math.floor(nowMs / 1000) + aheadS),
  };
}

/** The most tokens of all answers together. */
function maxTokensOf(request: ModelRequest, contextLength = DEFAULT_MAX_TOKENS): number {
  // Vectors have no tokens of their own, and no commitment is to less than one.
  if (request.kind === "embedding") return 1;
  const each = request.maxTokens ?? Math.min(DEFAULT_MAX_TOKENS, contextLength);
  return answersOf(request) * each;
}

/** 64 random bits, for a nonce. */
export function randomNonce(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!;
}
