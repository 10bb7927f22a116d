/**
 * What an executor tells the network about itself. The body's exact bytes are signed, so a
 * validator can hand an announcement on and nobody needs to trust the validator.
 * @module
 */
import { type Address, fromHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { PaymentTerms } from "../payments/ports.ts";
import { type CborValue, encodeCbor, Fields } from "./cbor.ts";
import { paymentTermsFields, readPaymentTerms } from "./payments.ts";
import {
  MAX_ADDRESSES_PER_EXECUTOR,
  MAX_ANNOUNCEMENT_BYTES,
  MAX_CONTEXT_LENGTH,
  MAX_FEATURES_PER_MODEL,
  MAX_LOAD,
  MAX_MODEL_NAME_BYTES,
  MAX_MODELS_PER_EXECUTOR,
  MAX_MULTIADDR_BYTES,
  MAX_PEER_ID_BYTES,
  MAX_SIGNED_ANNOUNCEMENT_BYTES,
  MAX_TEXT_BYTES,
  MAX_TIME_TO_FIRST_TOKEN_MS,
  MAX_TOKENS_PER_SECOND,
  MAX_WORD_BYTES,
} from "./limits.ts";
import { SIGNATURE_BYTES } from "../signing/typed_data.ts";

/** How one model has performed at one executor. */
export interface ModelPerformance {
  /** Tokens of answer per second, from the first token on. */
  readonly tokensPerSecond: number;
  /** From the request's arrival to the first token. */
  readonly timeToFirstTokenMs: number;
  /** Share of requests that ended well, 0 to 1. */
  readonly successRate: number;
}

/** One model at one executor. */
export interface ModelOffer {
  /** The model's name. */
  readonly id: string;
  /** What serves it: `ollama`, `vllm`, `embedded`, … */
  readonly backend: string;
  /** Tokens of prompt and answer together; absent if unknown. */
  readonly contextLength?: number;
  /** What it can do beyond plain chat: `tools`, `vision`, … */
  readonly features: readonly string[];
  /** Its family, as its server tells: `llama`, … */
  readonly architecture?: string;
  /** How large it is, as its server tells: `8B`, … */
  readonly size?: string;
  /** Whether it can be asked now. */
  readonly available: boolean;
  /** Base units per 1,000,000 tokens of prompt. */
  readonly inboundPrice: bigint;
  /** Base units per 1,000,000 tokens of answer. */
  readonly outboundPrice: bigint;
  /** How it has performed; absent before it was measured. */
  readonly performance?: ModelPerformance;
}

/** What an executor announces. */
export interface Announcement {
  /** `initial` at start, `update` on change, `heartbeat` otherwise, `removal` at shutdown. Each but the last is complete. */
  readonly kind: "initial" | "update" | "heartbeat" | "removal";
  /** Who announces. */
  readonly peerId: string;
  /** The Ethereum address of the same key. */
  readonly executor: Address;
  /** Where it may be reached. */
  readonly multiaddrs: readonly string[];
  /** What it offers. */
  readonly models: readonly ModelOffer[];
  /** Requests being served and waiting, and how many it serves at once. */
  readonly load: { readonly active: number; readonly queued: number; readonly capacity: number };
  /** How it wants to be paid; absent for an executor without a chain, which serves for free alone. */
  readonly payment?: PaymentTerms;
  /** Unix milliseconds. */
  readonly timestamp: number;
  /** Grows with every announcement of this executor, across restarts. */
  readonly sequence: bigint;
}

/** An announcement as it travels: exact bytes and the signature over their hash. */
export interface SignedAnnouncement {
  /** The exact bytes of {@linkcode encodeAnnouncement}. */
  readonly body: Uint8Array;
  /** 65 bytes over the body's hash, by the executor. */
  readonly signature: Uint8Array;
}

/** The version of the body that this file writes and reads. */
const VERSION = 2;
const KINDS = ["initial", "update", "heartbeat", "removal"] as const;

/** An announcement's body: the bytes that are signed. */
export function encodeAnnouncement(a: Announcement): Uint8Array {
  return encodeCbor({
    v: VERSION,
    kind: a.kind,
    peerId: a.peerId,
    executor: fromHex(a.executor),
    multiaddrs: a.multiaddrs,
    models: a.models.map(offerFields),
    load: { ...a.load },
    payment: a.payment && paymentTermsFields(a.payment),
    timestamp: a.timestamp,
    sequence: a.sequence,
  });
}

function offerFields(offer: ModelOffer): CborValue {
  const { inboundPrice, outboundPrice, performance, ...rest } = offer;
  return {
    ...rest,
    inboundPrice: String(inboundPrice),
    outboundPrice: String(outboundPrice),
    performance: performance && { ...performance },
  };
}

/** The reverse of {@linkcode encodeAnnouncement}. @throws {LloomError} `frame_*` */
export function decodeAnnouncement(body: Uint8Array): Announcement {
  const f = Fields.decode(body, MAX_ANNOUNCEMENT_BYTES, "announcement");
  if (f.uint("v") !== VERSION) {
    throw new LloomError("frame_unsupported", "decode announcement: another version");
  }
  const load = f.fields("load");
  const announcement = {
    kind: f.oneOf("kind", KINDS),
    peerId: f.text("peerId", MAX_PEER_ID_BYTES),
    executor: f.address("executor"),
    multiaddrs: f.texts("multiaddrs", MAX_ADDRESSES_PER_EXECUTOR, MAX_MULTIADDR_BYTES),
    models: f.list("models", MAX_MODELS_PER_EXECUTOR, readOffer),
    load: {
      active: load.uint("active", MAX_LOAD),
      queued: load.uint("queued", MAX_LOAD),
      capacity: load.uint("capacity", MAX_LOAD),
    },
    ...(f.has("payment") && { payment: readPaymentTerms(f.fields("payment")) }),
    timestamp: f.uint("timestamp"),
    sequence: f.uint64("sequence"),
  };
  load.finish();
  f.finish();
  return announcement;
}

function readOffer(f: Fields): ModelOffer {
  const offer = {
    id: f.text("id", MAX_MODEL_NAME_BYTES),
    backend: f.word("backend", MAX_WORD_BYTES),
    features: f.texts("features", MAX_FEATURES_PER_MODEL, MAX_WORD_BYTES),
    available: f.boolean("available"),
    inboundPrice: f.amount("inboundPrice"),
    outboundPrice: f.amount("outboundPrice"),
    ...(f.has("contextLength") && { contextLength: f.uint("contextLength", MAX_CONTEXT_LENGTH) }),
    ...(f.has("architecture") && { architecture: f.text("architecture", MAX_TEXT_BYTES) }),
    ...(f.has("size") && { size: f.text("size", MAX_TEXT_BYTES) }),
    ...(f.has("performance") && { performance: readPerformance(f.fields("performance")) }),
  };
  f.finish();
  return offer;
}

function readPerformance(f: Fields): ModelPerformance {
  const performance = {
    tokensPerSecond: f.number("tokensPerSecond", 0, MAX_TOKENS_PER_SECOND),
    timeToFirstTokenMs: f.number("timeToFirstTokenMs", 0, MAX_TIME_TO_FIRST_TOKEN_MS),
    successRate: f.number("successRate", 0, 1),
  };
  f.finish();
  return performance;
}

/** A signed announcement as one message: what gossip carries, and registries hand on. */
export function encodeSignedAnnouncement({ body, signature }: SignedAnnouncement): Uint8Array {
  return encodeCbor({ body, signature });
}

/** The reverse of {@linkcode encodeSignedAnnouncement}. @throws {LloomError} `frame_*` */
export function decodeSignedAnnouncement(bytes: Uint8Array): SignedAnnouncement {
  const f = Fields.decode(bytes, MAX_SIGNED_ANNOUNCEMENT_BYTES, "signed announcement");
  const signed = {
    body: f.bytes("body", 1, MAX_ANNOUNCEMENT_BYTES),
    signature: f.bytes("signature", SIGNATURE_BYTES, SIGNATURE_BYTES),
  };
  f.finish();
  return signed;
}
