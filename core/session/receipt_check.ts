/**
 * What a client demands of a receipt, besides its signature: that it is about this request, and claims
 * no more than was delivered.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import { costOf } from "../payments/amounts.ts";
import { estimate } from "../payments/prepay.ts";
import { MAX_CLOCK_SKEW_S, TEMPLATE_TOKENS, UNSEEN_TOKENS } from "../protocol/limits.ts";
import type { Trailer } from "../protocol/trailer.ts";
import type { LlmRequestCommitment, LlmResponseCommitment } from "../signing/typed_data.ts";

/** What a receipt must be about. */
export interface ReceiptSubject {
  /** What the client signed. */
  readonly asked: LlmRequestCommitment;
  /** Its EIP-712 hash. */
  readonly requestHash: Hash;
  /** Who signed it. */
  readonly client: Address;
  /** The length of the request: an upper bound of its tokens. */
  readonly bodyBytes: number;
}

/** Why a receipt is not about this request and this answer; undefined if it is. */
export function receiptFault(
  said: LlmResponseCommitment,
  trailer: Trailer,
  { asked, requestHash, client }: ReceiptSubject,
  nowMs: number,
): string | undefined {
  const ended = trailer.finish !== "cancelled" && trailer.finish !== "error";
  const latest = asked.deadline + BigInt(MAX_CLOCK_SKEW_S);
  const early = BigInt(Math.floor(nowMs / 1000) - MAX_CLOCK_SKEW_S);
  const late = BigInt(Math.floor(nowMs / 1000) + MAX_CLOCK_SKEW_S);
  return said.requestHash !== requestHash
    ? "another request's"
    : said.client !== client
    ? "another client's"
    : said.model !== asked.model
    ? "another model"
    : said.inboundTokens !== trailer.promptTokens ||
        said.outboundTokens !== trailer.completionTokens
    ? "other token counts than its trailer"
    : said.success !== ended
    ? "another outcome than its trailer"
    : said.timestamp > latest || said.timestamp < early || said.timestamp > late
    ? "a date that cannot be"
    : undefined;
}

/**
 * What a receipt claims too much of; undefined if nothing.
 * @param paid for an answer that is paid: the bytes of its text, and how many answers it is of
 */
export function receiptExcess(
  said: LlmResponseCommitment,
  { asked, bodyBytes }: ReceiptSubject,
  paid?: { readonly textBytes: number; readonly answers: number },
): string | undefined {
  return said.inboundPrice !== asked.inboundPrice || said.outboundPrice !== asked.outboundPrice
    ? "other prices"
    : said.outboundTokens > asked.maxTokens
    ? "more tokens than asked for"
    : said.inboundTokens > bodyBytes + TEMPLATE_TOKENS
    ? "more tokens than the request can have"
    : paid && said.outboundTokens > paid.textBytes + UNSEEN_TOKENS * paid.answers
    ? "more tokens than the answer can have"
    : paid && !said.success && paid.textBytes === 0 &&
        costOf(asked, said.inboundTokens, said.outboundTokens) > estimate(asked, bodyBytes).prepay
    ? "more than was paid in advance, where nothing was said"
    : undefined;
}
