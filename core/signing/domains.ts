/** Which of its two domains a node signs and checks a message in: by the channel that it is about. @module */
import { type Hash, ZERO_HASH } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { createTypedDataHasher, type Keccak256, type TypedDataHasher } from "./encode.ts";
import { FREE_DOMAIN, type SigningDomain } from "./typed_data.ts";

/** Where a node's signatures count besides {@linkcode FREE_DOMAIN}, in which it announces and serves for free. */
export interface SigningDomains {
  /** Where payments, and requests that are paid for, count; absent for a node without a chain. */
  readonly payment?: SigningDomain;
}

/**
 * The domain of a request on a channel, and of its receipt.
 * @param channelId zero for a free request
 * @param payment {@linkcode SigningDomains.payment}
 * @throws {LloomError} `payment_required` for a channel at a node without a chain
 */
export function domainOf(channelId: Hash, payment: SigningDomain | undefined): SigningDomain {
  if (channelId === ZERO_HASH) return FREE_DOMAIN;
  if (payment === undefined) {
    throw new LloomError("payment_required", "choose domain: this node has no chain");
  }
  return payment;
}

/**
 * A hasher for each of a node's domains, chosen by channel as {@linkcode domainOf} does; the function
 * throws as that does.
 * @throws {TypeError | RangeError} for a domain that EIP-712 cannot hold
 */
export function createDomainHashers(
  keccak256: Keccak256,
  { payment }: SigningDomains,
): (channelId: Hash) => TypedDataHasher {
  const hashers = new Map(
    [FREE_DOMAIN, ...(payment ? [payment] : [])]
      .map((domain) => [domain, createTypedDataHasher(keccak256, domain)]),
  );
  return (channelId) => hashers.get(domainOf(channelId, payment))!;
}
