/** Messages for tests: generated ones, and how viem takes them. @module */
import type { Address, Hash } from "@lloom/core/bytes";
import {
  type ChannelOpen,
  type ChannelTerms,
  type CloseConsent,
  type ExecutorAnnouncement,
  type LlmRequestCommitment,
  type LlmResponseCommitment,
  type Messages,
  type MessageType,
  type SigningDomain,
  TYPES,
  type Voucher,
} from "@lloom/core/signing";
import fc from "fast-check";
import type { TypedDataDefinition } from "viem";

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) =>
    `0x${array.toHex()}` as Hash
  );
const hash = hex(32);
const address = hex(20) as fc.Arbitrary<Address>;
const text = fc.string({ unit: "binary", maxLength: 200 });
const uint32 = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0xffff_ffff));
const uint = (bits: bigint) =>
  fc.oneof(fc.bigInt(0n, 2n ** bits - 1n), fc.constantFrom(0n, 1n, 2n ** bits - 1n));

/** Any {@linkcode LlmRequestCommitment}. */
export const requests: fc.Arbitrary<LlmRequestCommitment> = fc.record({
  channelId: hash,
  executor: address,
  model: text,
  promptHash: hash,
  systemPromptHash: hash,
  maxTokens: uint32,
  temperature: uint32,
  inboundPrice: uint(256n),
  outboundPrice: uint(256n),
  nonce: uint(64n),
  deadline: uint(64n),
}, { noNullPrototype: true });

/** Any {@linkcode LlmResponseCommitment}. */
export const responses: fc.Arbitrary<LlmResponseCommitment> = fc.record({
  requestHash: hash,
  client: address,
  model: text,
  contentHash: hash,
  inboundTokens: uint32,
  outboundTokens: uint32,
  inboundPrice: uint(256n),
  outboundPrice: uint(256n),
  timestamp: uint(64n),
  success: fc.boolean(),
}, { noNullPrototype: true });

/** Any {@linkcode ExecutorAnnouncement}. */
export const announcements: fc.Arbitrary<ExecutorAnnouncement> = fc.record({
  executor: address,
  peerId: text,
  bodyHash: hash,
  timestamp: uint(64n),
  sequence: uint(64n),
}, { noNullPrototype: true });

/** Any {@linkcode ChannelTerms}. */
export const channelTerms: fc.Arbitrary<ChannelTerms> = fc.record({
  client: address,
  executor: address,
  asset: address,
  signer: address,
  closeDelay: uint32,
  salt: uint(96n),
}, { noNullPrototype: true });

/** Any {@linkcode ChannelOpen}. */
const channelOpens: fc.Arbitrary<ChannelOpen> = fc.record({
  channelId: hash,
  amount: uint(96n),
  deadline: uint(64n),
}, { noNullPrototype: true });

/** Any {@linkcode Voucher}. */
export const vouchers: fc.Arbitrary<Voucher> = fc.record({
  channelId: hash,
  cumulativeAmount: uint(96n),
  requests: uint(64n),
  inboundTokens: uint(64n),
  outboundTokens: uint(64n),
  receiptsRoot: hash,
}, { noNullPrototype: true });

/** Any {@linkcode CloseConsent}. */
export const closeConsents: fc.Arbitrary<CloseConsent> = fc.record({
  channelId: hash,
  finalAmount: uint(96n),
  deadline: uint(64n),
}, { noNullPrototype: true });

/** Any domain. */
export const domains: fc.Arbitrary<SigningDomain> = fc.record({
  name: fc.constant("Lloom Network" as const),
  version: fc.constant("1.0.0" as const),
  chainId: fc.oneof(uint(256n), fc.constantFrom(1n, 8453n, 31337n)),
  verifyingContract: address,
}, { noNullPrototype: true });

/** A message with its type. */
export type AnyMessage = {
  [T in MessageType]: { readonly type: T; readonly message: Messages[T] };
}[MessageType];

/** Any message of any type. */
export const messages: fc.Arbitrary<AnyMessage> = fc.oneof(
  requests.map((message) => ({ type: "LlmRequestCommitment" as const, message })),
  responses.map((message) => ({ type: "LlmResponseCommitment" as const, message })),
  announcements.map((message) => ({ type: "ExecutorAnnouncement" as const, message })),
  channelTerms.map((message) => ({ type: "ChannelTerms" as const, message })),
  channelOpens.map((message) => ({ type: "ChannelOpen" as const, message })),
  vouchers.map((message) => ({ type: "Voucher" as const, message })),
  closeConsents.map((message) => ({ type: "CloseConsent" as const, message })),
);

/** A private key, below the order of the group and not zero. */
export const privateKeys: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => new Uint8Array(bytes).fill(1, 0, 1));

/** The arguments of viem's functions on typed data. */
export function forViem(domain: SigningDomain, { type, message }: AnyMessage): TypedDataDefinition {
  return {
    domain,
    types: TYPES,
    primaryType: type,
    message: { ...message },
  } as TypedDataDefinition;
}
