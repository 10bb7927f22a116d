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
  let bytes = OVERHEAD_BYTES;
  const { keys, ...rest } = takePage(byId.keys(), page, (peerId) => {
    bytes += byId.get(peerId)!.signed.body.length + OVERHEAD_BYTES;
    return bytes <= MAX_ANSWER_BYTES;
  });
  const executors = keys.map((peerId): ListedExecutor => {
    const { signed, lastSeen } = byId.get(peerId)!;
    return { signed, lastSeenMsAgo: Math.max(0, now - lastSeen) };
  });
  return { type: "executors", executors, total: byId.size, ...rest };
}

/** One offer of a model that passes, and whether it can be used now. */
interface Found {
  readonly offer: ModelOffer;
  readonly usable: boolean;
}

function modelsPage(registry: Registry, filters: OfferFilters, page: Page): RegistryAnswer {
  const found = new Map<string, Found[]>();
  for (const entry of registry.entries()) {
    const live = registry.isLive(entry);
    const seen = new Set<string>(); // an executor counts once for a model, even if it repeats it
    for (const offer of entry.announcement.models) {
      if (seen.has(offer.id) || !matchesOffer(offer, filters, live)) continue;
      seen.add(offer.id);
      const offers = found.get(offer.id);
      const usable = live && offer.available;
      if (offers === undefined) found.set(offer.id, [{ offer, usable }]);
      else offers.push({ offer, usable });
    }
  }
  const { keys, ...rest } = takePage(found.keys(), page);
  const models = keys.map((id) => summary(id, found.get(id)!));
  return { type: "models", models, total: found.size, ...rest };
}

function summary(id: string, found: readonly Found[]): ModelSummary {
  const offers = found.map(({ offer }) => offer);
  const features = new Set(offers.flatMap((offer) => offer.features));
  const contextLength = offers.reduce((max, o) => Math.max(max, o.contextLength ?? -1), -1);
  return {
    id,
    executors: offers.length,
    available: found.filter(({ usable }) => usable).length,
    inboundPrice: range(offers.map((offer) => offer.inboundPrice)),
    outboundPrice: range(offers.map((offer) => offer.outboundPrice)),
    features: [...features].sort().slice(0, MAX_FEATURES_PER_MODEL),
    ...(contextLength >= 0 && { contextLength }),
  };
}

function range(prices: readonly bigint[]): PriceRange {
  const low = prices.reduce((a, b) => b < a ? b : a);
  const high = prices.reduce((a, b) => b > a ? b : a);
  return { low, high };
}

/** The next keys in order of their code units, as far as `fits` allows. */
function takePage(
  all: Iterable<string>,
  { after, limit = MAX_PAGE_SIZE }: Page,
  fits: (key: string) => boolean = () => true,
): { readonly keys: readonly string[]; readonly next?: string } {
  const rest = [...all].filter((key) => after === undefined || key > after).sort();
  const keys: string[] = [];
  for (const key of rest.slice(0, Math.min(limit, MAX_PAGE_SIZE))) {
    if (!fits(key)) break;
    keys.push(key);
  }
  const next = keys.at(-1);
  return next === undefined || keys.length === rest.length ? { keys } : { keys, next };
}
