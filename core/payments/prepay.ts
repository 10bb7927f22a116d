/** What a request can cost, and what of it is paid before it is served. @module */
import type { LlmRequestCommitment } from "../signing/typed_data.ts";
import { PROMPT_TOKEN_BYTES, TEMPLATE_TOKENS } from "../protocol/limits.ts";
import { type Cost, costOf } from "./amounts.ts";

/** What both sides reckon with before an answer: from the request's size alone, so that both know it. */
export interface Estimate {
  /** Paid in advance: a quarter of the body's bytes are about the tokens of an English prompt. */
  readonly prepay: Cost;
  /** The most that the request can cost: no token is shorter than a byte. */
  readonly maxCost: Cost;
}

/** The estimate for a request. @param bodyBytes the length of the request */
export function estimate(
  request: Pick<LlmRequestCommitment, "maxTokens" | "inboundPrice" | "outboundPrice">,
  bodyBytes: number,
): Estimate {
  return {
    prepay: costOf(request, Math.ceil(bodyBytes / PROMPT_TOKEN_BYTES), 0),
    maxCost: costOf(request, bodyBytes + TEMPLATE_TOKENS, request.maxTokens),
  };
}
