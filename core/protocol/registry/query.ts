/**
 * What a client asks a registry on `/lloom/registry/2.0.0`: one CBOR map a frame, one answer each.
 * @module
 */
import { LloomError } from "../../errors.ts";
import { type CborValue, encodeCbor, Fields } from "../cbor.ts";
import {
  MAX_FEATURES_PER_MODEL,
  MAX_MODEL_NAME_BYTES,
  MAX_PAGE_SIZE,
  MAX_PEER_ID_BYTES,
  MAX_QUERY_BYTES,
  MAX_WORD_BYTES,
} from "../limits.ts";

/** What an offer must meet. What an executor does not tell about itself meets no demand. */
export interface OfferFilters {
  /** What serves the model: `ollama`, `vllm`, … */
  readonly backend?: string;
  /** Tokens of prompt and answer together. */
  readonly minContextLength?: number;
  /** What the model must be able to do. */
  readonly requiredFeatures?: readonly string[];
  /** Base units per 1,000,000 tokens of prompt. */
  readonly maxInboundPrice?: bigint;
  /** Base units per 1,000,000 tokens of answer. */
  readonly maxOutboundPrice?: bigint;
  /** Only what can be used now: no executor that has fallen silent, no model marked unavailable. */
  readonly onlyAvailable?: boolean;
  /** Share of requests that ended well, 0 to 1, as the executor itself announces. */
  readonly minSuccessRate?: number;
}

/**
 * Which part of a long list. Lists are sorted by the code units of their keys, so that pages
 * neither repeat nor skip an entry while others come and go.
 */
export interface Page {
  /** The last key of the page before, as that answer's `next` gives it; absent for the first page. */
  readonly after?: string;
  /** The most entries of this page. @default {MAX_PAGE_SIZE} */
  readonly limit?: number;
}

/** A question to a registry. */
export type RegistryQuery =
  /** Models by name, each with a summary of its offers. */
  | { readonly type: "list_models"; readonly filters?: OfferFilters; readonly page?: Page }
  /** Executors of one model. */
  | {
    readonly type: "find_model";
    readonly model: string;
    readonly filters?: OfferFilters;
    readonly page?: Page;
  }
  /** Named executors. */
  | { readonly type: "executors"; readonly peerIds: readonly string[] }
  /** Executors with at least one offer that meets the filters. */
  | { readonly type: "search"; readonly filters?: OfferFilters; readonly page?: Page }
  | { readonly type: "statistics" };

/** A key of either kind of list: a PeerId or a model's name. */
const MAX_KEY_BYTES = Math.max(MAX_PEER_ID_BYTES, MAX_MODEL_NAME_BYTES);

/** A query's bytes. */
export function encodeQuery(query: RegistryQuery): Uint8Array {
  switch (query.type) {
    case "find_model":
      return encodeCbor({ t: query.type, model: query.model, ...listFields(query) });
    case "list_models":
    case "search":
      return encodeCbor({ t: query.type, ...listFields(query) });
    case "executors":
      return encodeCbor({ t: query.type, peerIds: query.peerIds });
    case "statistics":
      return encodeCbor({ t: query.type });
  }
}

function listFields(
  { filters, page }: { readonly filters?: OfferFilters; readonly page?: Page },
): { readonly [key: string]: CborValue | undefined } {
  return {
    filters: filters && {
      ...filters,
      maxInboundPrice: filters.maxInboundPrice?.toString(),
      maxOutboundPrice: filters.maxOutboundPrice?.toString(),
    },
    after: page?.after,
    limit: page?.limit,
  };
}

/**
 * The reverse of {@linkcode encodeQuery}.
 * @throws {LloomError} `frame_*`; `frame_unsupported` for a question this version does not know
 */
export function decodeQuery(bytes: Uint8Array): RegistryQuery {
  const f = Fields.decode(bytes, MAX_QUERY_BYTES, "query");
  const query = readQuery(f);
  f.finish();
  return query;
}

function readQuery(f: Fields): RegistryQuery {
  const type = f.text("t", 32);
  switch (type) {
    case "list_models":
    case "search":
      return { type, ...readList(f) };
    case "find_model":
      return { type, model: f.text("model", MAX_MODEL_NAME_BYTES), ...readList(f) };
    case "executors":
      return { type, peerIds: f.texts("peerIds", MAX_PAGE_SIZE, MAX_PEER_ID_BYTES) };
    case "statistics":
      return { type };
    default:
      throw new LloomError("frame_unsupported", "decode query: unknown type");
  }
}

function readList(f: Fields): { readonly filters?: OfferFilters; readonly page?: Page } {
  const page = {
    ...(f.has("after") && { after: f.text("after", MAX_KEY_BYTES) }),
    ...(f.has("limit") && { limit: f.uint("limit", MAX_PAGE_SIZE) }),
  };
  return {
    ...(f.has("filters") && { filters: readFilters(f.fields("filters")) }),
    ...(Object.keys(page).length > 0 && { page }),
  };
}

function readFilters(f: Fields): OfferFilters {
  const filters = {
    ...(f.has("backend") && { backend: f.text("backend", MAX_WORD_BYTES) }),
    ...(f.has("minContextLength") && { minContextLength: f.uint("minContextLength") }),
    ...(f.has("requiredFeatures") &&
      { requiredFeatures: f.texts("requiredFeatures", MAX_FEATURES_PER_MODEL, MAX_WORD_BYTES) }),
    ...(f.has("maxInboundPrice") && { maxInboundPrice: f.amount("maxInboundPrice") }),
    ...(f.has("maxOutboundPrice") && { maxOutboundPrice: f.amount("maxOutboundPrice") }),
    ...(f.has("onlyAvailable") && { onlyAvailable: f.boolean("onlyAvailable") }),
    ...(f.has("minSuccessRate") && { minSuccessRate: f.number("minSuccessRate", 0, 1) }),
  };
  f.finish();
  return filters;
}
