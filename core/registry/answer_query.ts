/** Answers to queries from a registry's content. @module */
import type { ModelOffer } from "../protocol/announcement.ts";
import { MAX_ANSWER_BYTES, MAX_FEATURES_PER_MODEL, MAX_PAGE_SIZE } from "../protocol/limits.ts";
import type {
  ListedExecutor,
  ModelSummary,
  PriceRange,
  RegistryAnswer,
} from "../protocol/registry/answer.ts";
import type { OfferFilters, Page, RegistryQuery } from "../protocol/registry/query.ts";
import { matchesOffer } from "./match_offer.ts";
import type { Registry, RegistryEntry } from "./registry.ts";

/** What an answer's map takes besides its items, and an item besides the announcement's body. */
const OVERHEAD_BYTES = 256;

/**
 * The answer to any query but `statistics`.
 * @param now Unix milliseconds
 */
export function answerQuery(
  query: Exclude<RegistryQuery, { type: "statistics" }>,
  registry: Registry,
  now: number,
): RegistryAnswer {
  switch (query.type) {
    case "list_models":
      return modelsPage(registry, query.filters ?? {}, query.page ?? {});
    case "find_model": {
      const { model, filters = {}, page = {} } = query;
      return executorsPage(
        matching(registry, registry.ofModel(model), filters, ({ id }) => id === model),
        page,
        now,
      );
    }
    case "search": {
      const { filters = {}, page = {} } = query;
      return executorsPage(matching(registry, registry.entries(), filters), page, now);
    }
    case "executors":
      return executorsPage(query.peerIds.flatMap((id) => registry.get(id) ?? []), {}, now);
  }
}

/** Executors with an offer that passes. */
function matching(
  registry: Registry,
  entries: Iterable<RegistryEntry>,
  filters: OfferFilters,
  wanted: (offer: ModelOffer) => boolean = () => true,
): readonly RegistryEntry[] {
  return [...entries].filter((entry) => {
    const live = registry.isLive(entry);
    return entry.announcement.models.some((offer) =>
      wanted(offer) && matchesOffer(offer, filters, live)
    );
  });
}

function executorsPage(
  entries: readonly RegistryEntry[],
  page: Page,
  now: number,
): RegistryAnswer {
  const byId = new Map(entries.map((entry) => [entry.announcement.peerId, entry]));
  return pageOf(byId.keys(), page, (peerId): [ListedExecutor, number] => {
    const { signed, lastSeen } = byId.get(peerId)!;
    const executor = { signed, lastSeenMsAgo: Math.max(0, now - lastSeen) };
    return [executor, signed.body.length];
  }, (executors, paged) => ({ type: "executors", executors, ...paged }));
}

function modelsPage(registry: Registry, filters: OfferFilters, page: Page): RegistryAnswer {
  const ids = new Set<string>();
  for (const entry of registry.entries()) {
    const live = registry.isLive(entry);
    for (const offer of entry.announcement.models) {
      if (matchesOffer(offer, filters, live)) ids.add(offer.id);
    }
  }
  // What costs most is summing up, so only this page's models are.
  return pageOf(ids, page, (id): [ModelSummary, number] => {
    const model = summary(id, offersOf(registry, id, filters));
    // At most four bytes for each of UTF-16's units, and the same again for its length.
    return [model, [id, ...model.features].reduce((sum, text) => sum + 4 * text.length + 4, 0)];
  }, (models, paged) => ({ type: "models", models, ...paged }));
}

/** One offer of a model that passes, and whether it can be used now. */
interface Found {
  readonly offer: ModelOffer;
  readonly usable: boolean;
}

/** Of each executor the first that passes: one that repeats a model counts once. */
function offersOf(registry: Registry, id: string, filters: OfferFilters): readonly Found[] {
  return [...registry.ofModel(id)].flatMap((entry) => {
    const live = registry.isLive(entry);
    const offer = entry.announcement.models.find((offer) =>
      offer.id === id && matchesOffer(offer, filters, live)
    );
    return offer === undefined ? [] : { offer, usable: live && offer.available };
  });
}

function summary(id: string, found: readonly Found[]): ModelSummary {
  const offers = found.map(({ offer }) => offer);
  const features = new Smallest(MAX_FEATURES_PER_MODEL);
  for (const offer of offers) for (const feature of offer.features) features.add(feature);
  const contextLength = offers.reduce((max, o) => Math.max(max, o.contextLength ?? -1), -1);
  return {
    id,
    executors: offers.length,
    available: found.filter(({ usable }) => usable).length,
    inboundPrice: range(offers.map((offer) => offer.inboundPrice)),
    outboundPrice: range(offers.map((offer) => offer.outboundPrice)),
    features: features.sorted,
    ...(contextLength >= 0 && { contextLength }),
  };
}

function range(prices: readonly bigint[]): PriceRange {
  const low = prices.reduce((a, b) => b < a ? b : a);
  const high = prices.reduce((a, b) => b > a ? b : a);
  return { low, high };
}

/** The smallest of many texts, once each, in order of their code units. */
class Smallest {
  readonly sorted: string[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(text: string): void {
    const { sorted } = this;
    if (sorted.length === this.#limit && (this.#limit === 0 || text >= sorted.at(-1)!)) return;
    let low = 0, high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < text) low = middle + 1;
      else high = middle;
    }
    if (sorted[low] === text) return;
    sorted.splice(low, 0, text);
    if (sorted.length > this.#limit) sorted.pop();
  }
}

/**
 * The next keys in order of their code units, as many as fit into an answer.
 * @param item what is told of a key, and about how many bytes that takes
 */
function pageOf<T>(
  all: Iterable<string>,
  { after, limit = MAX_PAGE_SIZE }: Page,
  item: (key: string) => readonly [T, number],
  answer: (
    items: readonly T[],
    paged: { readonly total: number; readonly next?: string },
  ) => RegistryAnswer,
): RegistryAnswer {
  const first = new Smallest(Math.min(limit, MAX_PAGE_SIZE));
  let total = 0, rest = 0;
  for (const key of all) {
    total++;
    if (after !== undefined && key <= after) continue;
    rest++;
    first.add(key);
  }
  const items: T[] = [];
  let bytes = OVERHEAD_BYTES;
  for (const key of first.sorted) {
    const [value, size] = item(key);
    bytes += size + OVERHEAD_BYTES;
    if (bytes > MAX_ANSWER_BYTES) break;
    items.push(value);
  }
  const next = items.length === rest ? undefined : first.sorted[items.length - 1];
  return answer(items, { total, ...(next !== undefined && { next }) });
}
