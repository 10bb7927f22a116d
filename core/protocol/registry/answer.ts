/**
 * What a registry answers. Executors come as the announcements they signed themselves, so that a
 * registry can leave one out but cannot invent one; all other figures are the registry's word.
 * @module
 */
import { type ErrorData, LloomError } from "../../errors.ts";
import type { SignedAnnouncement } from "../announcement.ts";
import { type CborValue, encodeCbor, Fields } from "../cbor.ts";
import { errorFields, readError } from "../infer/reject.ts";
import {
  MAX_ANNOUNCEMENT_BYTES,
  MAX_ANSWER_BYTES,
  MAX_FEATURES_PER_MODEL,
  MAX_MODEL_NAME_BYTES,
  MAX_PAGE_SIZE,
  MAX_PEER_ID_BYTES,
  MAX_WORD_BYTES,
} from "../limits.ts";
import { SIGNATURE_BYTES } from "../../signing/typed_data.ts";

/** One model, over all executors that offer it and meet the query. */
export interface ModelSummary {
  /** The model's name. */
  readonly id: string;
  /** Executors that offer it. */
  readonly executors: number;
  /** Those of them where it can be used now. */
  readonly available: number;
  /** Base units per 1,000,000 tokens of prompt: the lowest and the highest. */
  readonly inboundPrice: PriceRange;
  /** Base units per 1,000,000 tokens of answer: the lowest and the highest. */
  readonly outboundPrice: PriceRange;
  /** The longest context offered; absent if no executor tells. */
  readonly contextLength?: number;
  /** What at least one executor of it can do, sorted. */
  readonly features: readonly string[];
}

/** From the lowest to the highest price. */
export interface PriceRange {
  /** The lowest. */
  readonly low: bigint;
  /** The highest. */
  readonly high: bigint;
}

/** One executor. */
export interface ListedExecutor {
  /** Its last announcement, as it signed it. */
  readonly signed: SignedAnnouncement;
  /** Milliseconds since the registry last heard of it. */
  readonly lastSeenMsAgo: number;
}

/** What a registry knows of itself. */
export interface RegistryStatistics {
  /** Executors heard of within the last `STALE_AFTER_MS`. */
  readonly liveExecutors: number;
  /** Executors that have fallen silent, and are not forgotten yet. */
  readonly staleExecutors: number;
  /** Different models of live executors. */
  readonly models: number;
  /** Announcements that changed the registry since it started. */
  readonly announcements: number;
  /** Queries answered since it started. */
  readonly queries: number;
  /** Milliseconds since it started. */
  readonly uptimeMs: number;
}

/** Where a list goes on: the next query's `page.after`; absent on the last page. */
export interface Paged {
  /** What to ask for next. */
  readonly next?: string;
  /** Entries on all pages. */
  readonly total: number;
}

/** An answer. */
export type RegistryAnswer =
  | ({ readonly type: "models"; readonly models: readonly ModelSummary[] } & Paged)
  | ({ readonly type: "executors"; readonly executors: readonly ListedExecutor[] } & Paged)
  | { readonly type: "statistics"; readonly statistics: RegistryStatistics }
  | { readonly type: "error"; readonly error: ErrorData };

/** An answer's bytes. */
export function encodeAnswer(answer: RegistryAnswer): Uint8Array {
  switch (answer.type) {
    case "models": {
      const { type, models, total, next } = answer;
      return encodeCbor({ t: type, models: models.map(summaryFields), total, next });
    }
    case "executors": {
      const { type, executors, total, next } = answer;
      const items = executors.map(({ signed, lastSeenMsAgo }) => ({ ...signed, lastSeenMsAgo }));
      return encodeCbor({ t: type, executors: items, total, next });
    }
    case "statistics":
      return encodeCbor({ t: answer.type, ...answer.statistics });
    case "error":
      return encodeCbor({ t: answer.type, ...errorFields(answer.error) });
  }
}

function summaryFields({ inboundPrice, outboundPrice, ...rest }: ModelSummary): CborValue {
  return {
    ...rest,
    inboundPrice: rangeFields(inboundPrice),
    outboundPrice: rangeFields(outboundPrice),
  };
}

function rangeFields({ low, high }: PriceRange): CborValue {
  return { low: String(low), high: String(high) };
}

/** The reverse of {@linkcode encodeAnswer}. @throws {LloomError} `frame_*` */
export function decodeAnswer(bytes: Uint8Array): RegistryAnswer {
  const f = Fields.decode(bytes, MAX_ANSWER_BYTES, "answer");
  const answer = readAnswer(f);
  f.finish();
  return answer;
}

function readAnswer(f: Fields): RegistryAnswer {
  const type = f.text("t", 32);
  switch (type) {
    case "models":
      return { type, models: f.list("models", MAX_PAGE_SIZE, readSummary), ...readPaged(f) };
    case "executors":
      return { type, executors: f.list("executors", MAX_PAGE_SIZE, readListed), ...readPaged(f) };
    case "statistics":
      return {
        type,
        statistics: {
          liveExecutors: f.uint("liveExecutors"),
          staleExecutors: f.uint("staleExecutors"),
          models: f.uint("models"),
          announcements: f.uint("announcements"),
          queries: f.uint("queries"),
          uptimeMs: f.uint("uptimeMs"),
        },
      };
    case "error":
      return { type, error: readError(f) };
    default:
      throw new LloomError("frame_unsupported", "decode answer: unknown type");
  }
}

function readPaged(f: Fields): Paged {
  const maxBytes = Math.max(MAX_MODEL_NAME_BYTES, MAX_PEER_ID_BYTES);
  return { total: f.uint("total"), ...(f.has("next") && { next: f.text("next", maxBytes) }) };
}

function readSummary(f: Fields): ModelSummary {
  const summary = {
    id: f.text("id", MAX_MODEL_NAME_BYTES),
    executors: f.uint("executors"),
    available: f.uint("available"),
    inboundPrice: readRange(f.fields("inboundPrice")),
    outboundPrice: readRange(f.fields("outboundPrice")),
    ...(f.has("contextLength") && { contextLength: f.uint("contextLength") }),
    features: f.texts("features", MAX_FEATURES_PER_MODEL, MAX_WORD_BYTES),
  };
  f.finish();
  return summary;
}

function readRange(f: Fields): PriceRange {
  const range = { low: f.amount("low"), high: f.amount("high") };
  f.finish();
  return range;
}

function readListed(f: Fields): ListedExecutor {
  const listed = {
    signed: {
      body: f.bytes("body", 1, MAX_ANNOUNCEMENT_BYTES),
      signature: f.bytes("signature", SIGNATURE_BYTES, SIGNATURE_BYTES),
    },
    lastSeenMsAgo: f.uint("lastSeenMsAgo"),
  };
  f.finish();
  return listed;
}
