/** Which candidates may serve a request at all. @module */
import { LloomError } from "../errors.ts";
import { isFree } from "../payments/amounts.ts";
import type { PaymentTerms } from "../payments/ports.ts";
import { STALE_AFTER_MS } from "../protocol/limits.ts";
import type { Candidate } from "./candidate.ts";

/** What a client can pay with. */
export interface PaymentMeans extends Pick<PaymentTerms, "chainId" | "contract" | "asset"> {
  /** The longest that its own close of a channel may take, in seconds. */
  readonly maxCloseDelay: number;
}

/** What a request needs, and what its sender is willing to pay. */
export interface Requirements {
  /** The model's name. */
  readonly model: string;
  /** What the model must be able to do. */
  readonly features?: readonly string[];
  /** Features of parameters that the executor must say it honours. */
  readonly parameters?: readonly string[];
  /** Base units per 1,000,000 tokens of prompt. */
  readonly maxInboundPrice?: bigint;
  /** Base units per 1,000,000 tokens of answer. */
  readonly maxOutboundPrice?: bigint;
  /** PeerIds and addresses, of which one must be asked; absent: anybody may be. */
  readonly only?: readonly string[];
  /** PeerIds and addresses that must not be asked. */
  readonly exclude?: readonly string[];
  /** What can be paid with; absent: only free offers will do. */
  readonly payment?: PaymentMeans;
}

/** Why a candidate may not serve a request. */
export type Refusal =
  | "other model"
  | "excluded"
  | "not named"
  | "unavailable"
  | "feature missing"
  | "parameter not honoured"
  | "too expensive"
  | "not free, and no chain to pay on is named (--rpc-url)"
  | "paid otherwise";

/** Whether an executor goes by a name: its PeerId, or its address in either case. */
export function isNamed({ announcement }: Candidate, name: string): boolean {
  return name === announcement.peerId || name.toLowerCase() === announcement.executor;
}

/**
 * Why a candidate may not serve a request; undefined if it may.
 * @param now Unix milliseconds
 */
export function refusal(
  candidate: Candidate,
  requirements: Requirements,
  now: number,
): Refusal | undefined {
  const { announcement, offer, lastSeen } = candidate;
  const { model, features = [], parameters = [], only, exclude = [] } = requirements;
  const { maxInboundPrice, maxOutboundPrice } = requirements;
  if (offer.id !== model) return "other model";
  if (exclude.some((name) => isNamed(candidate, name))) return "excluded";
  if (only?.some((name) => isNamed(candidate, name)) === false) return "not named";
  const silent = now - lastSeen > STALE_AFTER_MS;
  if (!offer.available || silent || announcement.kind === "removal") return "unavailable";
  if (!features.every((feature) => offer.features.includes(feature))) return "feature missing";
  if (!parameters.every((feature) => offer.features.includes(feature))) {
    return "parameter not honoured";
  }
  const tooExpensive = (maxInboundPrice !== undefined && offer.inboundPrice > maxInboundPrice) ||
    (maxOutboundPrice !== undefined && offer.outboundPrice > maxOutboundPrice);
  if (tooExpensive) return "too expensive";
  if (isFree(offer)) return undefined;
  if (requirements.payment === undefined) {
    return "not free, and no chain to pay on is named (--rpc-url)";
  }
  return canPay(requirements.payment, announcement.payment) ? undefined : "paid otherwise";
}

function canPay(means: PaymentMeans, wanted: PaymentTerms | undefined): boolean {
  return wanted !== undefined && wanted.chainId === means.chainId &&
    wanted.contract === means.contract && wanted.asset === means.asset &&
    wanted.closeDelay <= means.maxCloseDelay;
}

/** A `no_executor` error that says how many candidates there were and why none may serve. */
export function noExecutor(
  candidates: readonly Candidate[],
  requirements: Requirements,
  now: number,
): LloomError {
  const counts = new Map<string, number>();
  for (const candidate of candidates) {
    const why = refusal(candidate, requirements, now) ?? "not named";
    counts.set(why, (counts.get(why) ?? 0) + 1);
  }
  const reasons = [...counts].map(([why, count]) => `${count} ${why}`);
  const state = reasons.length === 0 ? "none offers this model" : reasons.join(", ");
  return new LloomError("no_executor", `select executor: ${state}`);
}
