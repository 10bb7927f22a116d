/** Valid protocol messages for property tests; their signatures are random bytes. @module */
import { type Address, type Hash, toHex } from "@lloom/core/bytes";
import type { OpeningPayment, PaymentTerms, VoucherMessage } from "@lloom/core/payments";
import type { SignedRequest, SignedResponse, SignedVoucher } from "@lloom/core/ports";
import type {
  Announcement,
  ListedExecutor,
  ModelOffer,
  ModelSummary,
  OfferFilters,
  RegistryAnswer,
  RegistryQuery,
  SignedAnnouncement,
} from "@lloom/core/protocol";
import fc from "fast-check";

/** Bytes of a length, or from a least to a greatest length. */
export function bytes(minLength: number, maxLength: number = minLength): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength, maxLength });
}

/** A name that can be shown as it is, as `Fields.word` reads it. */
export function word(maxLength: number): fc.Arbitrary<string> {
  return fc.stringMatching(/^[A-Za-z0-9._-]+$/, { maxLength });
}

/** Well-formed text, including a byte order mark and characters of four bytes. */
export function text(maxLength: number): fc.Arbitrary<string> {
  return fc.string({
    maxLength,
    unit: fc.oneof(fc.string({ unit: "binary" }), fc.constant("\uFEFF")),
  })
    .map((s) => [...s].slice(0, maxLength >> 2).join(""));
}

export const hash: fc.Arbitrary<Hash> = bytes(32).map(toHex);
export const address: fc.Arbitrary<Address> = bytes(20).map(toHex);
export const amount: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 0n, max: 1_000_000n }),
  fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }),
);
export const uint64: fc.Arbitrary<bigint> = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
export const uint32: fc.Arbitrary<number> = fc.nat(0xffff_ffff);
const bits = (count: bigint) => fc.bigInt({ min: 0n, max: (1n << count) - 1n });
const ratio = fc.double({ min: 0, max: 1, noNaN: true }).map((x) => x + 0); // no -0

const required = { noNullPrototype: true } as const;

/** One model at one executor. */
export const offer: fc.Arbitrary<ModelOffer> = fc.record({
  id: text(256),
  backend: word(64),
  contextLength: fc.nat(1 << 30),
  features: fc.array(text(64), { maxLength: 5 }),
  architecture: text(1024),
  size: text(1024),
  available: fc.boolean(),
  inboundPrice: amount,
  outboundPrice: amount,
  performance: fc.record({
    tokensPerSecond: fc.double({ min: 0.5, max: 1e6, noNaN: true }),
    timeToFirstTokenMs: fc.nat(1e9),
    successRate: ratio,
  }, required),
}, {
  ...required,
  requiredKeys: ["id", "backend", "features", "available", "inboundPrice", "outboundPrice"],
});

/** How an executor wants to be paid. */
const paymentTerms: fc.Arbitrary<PaymentTerms> = fc.record({
  chainId: uint64,
  contract: address,
  asset: address,
  stepTokens: uint32.map((n) => Math.max(1, n)),
  closeDelay: uint32,
}, required);

/** What an executor announces. */
export const announcement: fc.Arbitrary<Announcement> = fc.record({
  kind: fc.constantFrom("initial", "update", "heartbeat", "removal"),
  peerId: text(128),
  executor: address,
  multiaddrs: fc.array(text(512), { maxLength: 4 }),
  models: fc.array(offer, { maxLength: 4 }),
  load: fc.record(
    { active: fc.nat(1e6), queued: fc.nat(1e6), capacity: fc.nat(1e6) },
    required,
  ),
  payment: paymentTerms,
  timestamp: fc.maxSafeNat(),
  sequence: uint64,
}, {
  ...required,
  requiredKeys: [
    ...["kind", "peerId", "executor", "multiaddrs", "models", "load"] as const,
    ...["timestamp", "sequence"] as const,
  ],
});

/** An announcement as it travels, with bytes that nobody signed. */
export const signedAnnouncement: fc.Arbitrary<SignedAnnouncement> = fc.record({
  body: bytes(1, 200),
  signature: bytes(65),
}, required);

/** A request with a signature that nobody made. */
export const signedRequest: fc.Arbitrary<SignedRequest> = fc.record({
  commitment: fc.record({
    channelId: hash,
    executor: address,
    model: text(256),
    promptHash: hash,
    systemPromptHash: hash,
    maxTokens: uint32,
    temperature: uint32,
    inboundPrice: amount,
    outboundPrice: amount,
    nonce: uint64,
    deadline: uint64,
  }, required),
  signature: bytes(65),
}, required);

/** A receipt with a signature that nobody made. */
export const signedResponse: fc.Arbitrary<SignedResponse> = fc.record({
  commitment: fc.record({
    requestHash: hash,
    client: address,
    model: text(256),
    contentHash: hash,
    inboundTokens: uint32,
    outboundTokens: uint32,
    inboundPrice: amount,
    outboundPrice: amount,
    timestamp: uint64,
    success: fc.boolean(),
  }, required),
  signature: bytes(65),
}, required);

const signedVoucher: fc.Arbitrary<SignedVoucher> = fc.record({
  voucher: fc.record({
    channelId: hash,
    cumulativeAmount: bits(96n),
    requests: uint64,
    inboundTokens: uint64,
    outboundTokens: uint64,
    receiptsRoot: hash,
  }, required),
  signature: bytes(65),
}, required);

const progress = {
  paid: bits(116n),
  first: fc.maxSafeNat(),
  receipts: fc.array(hash, { maxLength: 64 }),
};

/** A voucher as it travels, with a signature that nobody made. */
export const voucherMessage: fc.Arbitrary<VoucherMessage> = fc.record(
  { signed: signedVoucher, ...progress },
  required,
);

/** What goes with a request to be paid. */
export const openingPayment: fc.Arbitrary<OpeningPayment> = fc.record({
  terms: fc.record({
    client: address,
    executor: address,
    asset: address,
    signer: address,
    closeDelay: uint32,
    salt: bits(96n),
  }, required),
  voucher: signedVoucher,
  ...progress,
}, { ...required, requiredKeys: ["terms", "paid", "first", "receipts"] });

/** What an offer must meet. */
export const filters: fc.Arbitrary<OfferFilters> = fc.record({
  backend: text(64),
  minContextLength: fc.nat(1 << 30),
  requiredFeatures: fc.array(text(64), { maxLength: 3 }),
  maxInboundPrice: amount,
  maxOutboundPrice: amount,
  onlyAvailable: fc.boolean(),
  minSuccessRate: ratio,
}, { ...required, requiredKeys: [] });

const page = fc.oneof(
  fc.record({ after: text(128), limit: fc.nat(100) }, required),
  fc.record({ after: text(128) }, required),
  fc.record({ limit: fc.nat(100) }, required),
);

/** A question to a registry. */
export const query: fc.Arbitrary<RegistryQuery> = fc.oneof(
  fc.record({ type: fc.constant("list_models" as const), filters, page }, {
    ...required,
    requiredKeys: ["type"],
  }),
  fc.record({ type: fc.constant("search" as const), filters, page }, {
    ...required,
    requiredKeys: ["type"],
  }),
  fc.record({ type: fc.constant("find_model" as const), model: text(256), filters, page }, {
    ...required,
    requiredKeys: ["type", "model"],
  }),
  fc.record({
    type: fc.constant("executors" as const),
    peerIds: fc.array(text(128), { maxLength: 5 }),
  }, required),
  fc.constant({ type: "statistics" as const }),
);

const range = fc.record({ low: amount, high: amount }, required);

const summary: fc.Arbitrary<ModelSummary> = fc.record({
  id: text(256),
  executors: fc.nat(),
  available: fc.nat(),
  inboundPrice: range,
  outboundPrice: range,
  contextLength: fc.nat(),
  features: fc.array(text(64), { maxLength: 4 }),
}, {
  ...required,
  requiredKeys: ["id", "executors", "available", "inboundPrice", "outboundPrice", "features"],
});

const listed: fc.Arbitrary<ListedExecutor> = fc.record(
  { signed: signedAnnouncement, lastSeenMsAgo: fc.nat() },
  required,
);

/** A registry's answer. */
export const answer: fc.Arbitrary<RegistryAnswer> = fc.oneof(
  fc.record({
    type: fc.constant("models" as const),
    models: fc.array(summary, { maxLength: 4 }),
    total: fc.nat(),
    next: text(128),
  }, { ...required, requiredKeys: ["type", "models", "total"] }),
  fc.record({
    type: fc.constant("executors" as const),
    executors: fc.array(listed, { maxLength: 4 }),
    total: fc.nat(),
    next: text(128),
  }, { ...required, requiredKeys: ["type", "executors", "total"] }),
  fc.record({
    type: fc.constant("statistics" as const),
    statistics: fc.record({
      liveExecutors: fc.nat(),
      staleExecutors: fc.nat(),
      models: fc.nat(),
      announcements: fc.nat(),
      queries: fc.nat(),
      uptimeMs: fc.nat(),
    }, required),
  }, required),
  fc.record({
    type: fc.constant("error" as const),
    error: fc.record({
      code: fc.constantFrom("frame_malformed", "internal", "overloaded"),
      message: text(1024),
      retryAfterMs: fc.nat(86_400_000),
    }, { ...required, requiredKeys: ["code", "message"] }),
  }, required),
);
