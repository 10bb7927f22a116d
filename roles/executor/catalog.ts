/** What this executor offers: the models of all its backends, at its prices, as they perform. @module */
import type { Address } from "@lloom/core/bytes";
import type { ErrorCode } from "@lloom/core/errors";
import type { ServedRequest } from "@lloom/core/net";
import type { Inference } from "@lloom/core/ports";
import {
  MAX_CONTEXT_LENGTH,
  MAX_FEATURES_PER_MODEL,
  MAX_MODELS_PER_EXECUTOR,
  MAX_TOKENS_PER_SECOND,
  type ModelOffer,
  type ModelPerformance,
} from "@lloom/core/protocol";
import type { Terms } from "@lloom/core/session";
import type { PricingConfig } from "@lloom/host/config";
import type { InferenceModel } from "@lloom/workers/inference";
import { getLogger } from "@logtape/logtape";
import type { Backend } from "./backends.ts";

const log = getLogger(["lloom", "catalog"]);

/** Weight of the newest request in a model's averages: about the last ten count. */
const NEWEST_WEIGHT = 0.2;

/**
 * Failures that say something about the model. A request that a server refuses (`backend_rejected`)
 * is its client's doing, as is one that is too long, cancelled or not read: anybody could spoil the
 * figures with those.
 */
const FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "backend_unreachable",
  "backend_unauthorized",
  "backend_failed",
  "backend_malformed",
  "backend_truncated",
  "backend_timeout",
  "worker_crashed",
]);

/** One model at one backend. */
interface Source {
  readonly backend: Backend;
  readonly model: InferenceModel;
  available: boolean;
}

/** The models that are offered, and who serves each. */
export class Catalog implements Terms {
  readonly executor: Address;
  readonly #pricing: PricingConfig;
  readonly #backends: readonly Backend[];
  /** By announced name: every backend that has the model. */
  #sources: ReadonlyMap<string, readonly Source[]> = new Map();
  #offers: ReadonlyMap<string, ModelOffer> = new Map();
  readonly #excluded = new Set<string>();
  readonly #performance = new Map<string, ModelPerformance>();

  constructor(executor: Address, pricing: PricingConfig, backends: readonly Backend[]) {
    this.executor = executor;
    this.#pricing = pricing;
    this.#backends = backends;
  }

  /** All offers. */
  offers(): readonly ModelOffer[] {
    return [...this.#offers.values()].map((offer) => {
      const performance = this.#performance.get(offer.id);
      return performance === undefined ? offer : { ...offer, performance };
    });
  }

  offer(model: string): ModelOffer | undefined {
    return this.#offers.get(model);
  }

  /** The least busy backend that has a model. */
  inference(model: string): Inference | undefined {
    const sources = this.#sources.get(model)?.filter(({ available }) => available) ?? [];
    return sources
      .map(({ backend }) => ({ backend, load: backend.worker.load() }))
      .sort((a, b) =>
        (a.load.active + a.load.queued) / a.backend.capacity -
        (b.load.active + b.load.queued) / b.backend.capacity
      )[0]?.backend.worker;
  }

  /** Requests under way and waiting, and how many can be under way. */
  load(): { readonly active: number; readonly queued: number; readonly capacity: number } {
    const loads = this.#backends.map(({ worker }) => worker.load());
    return {
      active: loads.reduce((sum, { active }) => sum + active, 0),
      queued: loads.reduce((sum, { queued }) => sum + queued, 0),
      capacity: this.#backends.reduce((sum, { capacity }) => sum + capacity, 0),
    };
  }

  /** Leaves a model out from now on, because it failed its test. */
  exclude(model: string): void {
    this.#excluded.add(model);
    this.#rebuild(this.#sources);
  }

  /**
   * Asks every backend what it has now. A backend that fails keeps its models, as unavailable.
   * @returns whether the offers changed
   */
  async refresh(signal: AbortSignal): Promise<boolean> {
    const found = await Promise.all(this.#backends.map(async (backend): Promise<Source[]> => {
      const { models, error } = await backend.worker.discover(signal);
      if (error === undefined) return models.map((model) => ({ backend, model, available: true }));
      log.warn("backend {name} does not answer ({code}); it is asked again at the next refresh", {
        name: backend.worker.name,
        code: error.code,
      });
      return [...this.#sources.values()].flat()
        .filter((source) => source.backend === backend)
        .map((source) => ({ ...source, available: false }));
    }));
    const before = this.#offers;
    this.#rebuild(Map.groupBy(found.flat(), ({ model }) => model.name));
    return !sameOffers(before, this.#offers);
  }

  /** Learns from a request that was served. */
  record({ model, response, error, durationMs, firstDeltaMs }: ServedRequest): void {
    const fault = error !== undefined && FAULTS.has(error.code);
    if (response?.commitment.success !== true && !fault) return;
    const success = response?.commitment.success === true;
    const old = this.#performance.get(model);
    const average = (before: number | undefined, now: number) =>
      before === undefined ? now : before + NEWEST_WEIGHT * (now - before);
    const streamMs = durationMs - (firstDeltaMs ?? durationMs);
    const tokens = response?.commitment.outboundTokens ?? 0;
    this.#performance.set(model, {
      successRate: average(old?.successRate, success ? 1 : 0),
      timeToFirstTokenMs: success && firstDeltaMs !== undefined
        ? average(old?.timeToFirstTokenMs, firstDeltaMs)
        : old?.timeToFirstTokenMs ?? 0,
      tokensPerSecond: success && streamMs > 0
        ? Math.min(MAX_TOKENS_PER_SECOND, average(old?.tokensPerSecond, tokens / (streamMs / 1000)))
        : old?.tokensPerSecond ?? 0,
    });
  }

  #rebuild(sources: ReadonlyMap<string, readonly Source[]>): void {
    this.#sources = sources;
    const names = [...sources.keys()].filter((name) => !this.#excluded.has(name)).sort();
    if (names.length > MAX_MODELS_PER_EXECUTOR) {
      log.warn("{count} models, of which only the first {max} are offered", {
        count: names.length,
        max: MAX_MODELS_PER_EXECUTOR,
      });
    }
    this.#offers = new Map(
      names.slice(0, MAX_MODELS_PER_EXECUTOR).map((name) => [
        name,
        this.#describe(name, sources.get(name)!),
      ]),
    );
  }

  #describe(name: string, sources: readonly Source[]): ModelOffer {
    const { defaultInboundPrice, defaultOutboundPrice, models } = this.#pricing;
    const price = models.get(name);
    const [{ backend, model }] = sources as [Source];
    // A request may reach any of the sources: it must fit the smallest context.
    const lengths = sources.flatMap((source) => source.model.contextLength ?? []);
    return {
      id: name,
      backend: backend.kind,
      features: model.features
        .filter((feature) => sources.every((source) => source.model.features.includes(feature)))
        .slice(0, MAX_FEATURES_PER_MODEL),
      available: sources.some(({ available }) => available),
      inboundPrice: price?.inboundPrice ?? defaultInboundPrice,
      outboundPrice: price?.outboundPrice ?? defaultOutboundPrice,
      ...(lengths.length > 0 && { contextLength: Math.min(MAX_CONTEXT_LENGTH, ...lengths) }),
      ...(model.architecture !== undefined && { architecture: model.architecture }),
      ...(model.size !== undefined && { size: model.size }),
    };
  }
}

function sameOffers(
  a: ReadonlyMap<string, ModelOffer>,
  b: ReadonlyMap<string, ModelOffer>,
): boolean {
  const text = (offers: ReadonlyMap<string, ModelOffer>) =>
    JSON.stringify(
      [...offers],
      (_, value) => typeof value === "bigint" ? `${value}` : value,
    );
  return text(a) === text(b);
}
