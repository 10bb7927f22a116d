/** What a request would do, before it does. @module */
import { LloomError } from "@lloom/core/errors";
import { type Amount, type Estimate, estimate, toCost } from "@lloom/core/payments";
import type { RequestDraft } from "@lloom/core/ports";
import type { ModelRequest } from "@lloom/core/protocol";
import type { Candidate } from "@lloom/core/routing";
import { draftRequest, randomNonce } from "@lloom/core/session";

/** One executor that would be asked, what would be signed for it, and what that can cost. */
export interface Plan {
  /** Who, and what it offers. */
  readonly candidate: Candidate;
  /** What would be signed, but for the hashes of its content and its channel. */
  readonly draft: RequestDraft;
  /** Paid in advance, and at most. */
  readonly estimate: Estimate;
}

/** What asking a candidate would mean. */
export function planFor(
  request: ModelRequest,
  bodyBytes: number,
  candidate: Candidate,
  times: { readonly nowMs: number; readonly timeoutMs: number },
): Plan {
  const { announcement: { executor }, offer } = candidate;
  const draft = draftRequest(request, { executor, offer, nonce: randomNonce(), ...times });
  return { candidate, draft, estimate: estimate(draft, bodyBytes) };
}

/**
 * Those plans that can cost no more than a limit.
 * @throws {LloomError} `budget_exceeded` if all can
 */
export function affordable(plans: readonly Plan[], limit: Amount | undefined): readonly Plan[] {
  if (limit === undefined || plans.length === 0) return plans;
  const within = plans.filter(({ estimate }) => estimate.maxCost <= toCost(limit));
  if (within.length > 0) return within;
  throw new LloomError(
    "budget_exceeded",
    "select executor: each of them may charge more than the most allowed for one request; " +
      "allow fewer tokens with --max-tokens, or more money with --max-price",
  );
}
