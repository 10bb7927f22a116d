/** Which executors live, and what they offer. A data structure: it does no I/O. @module */
import type { Clock } from "../ports.ts";
import type { Announcement, SignedAnnouncement } from "../protocol/announcement.ts";
import {
  GONE_AFTER_MS,
  MAX_EXECUTORS,
  MAX_MODELS_PER_EXECUTOR,
  STALE_AFTER_MS,
} from "../protocol/limits.ts";

/** What bounds a registry. */
export interface RegistryOptions {
  /** Executors kept at once. @default {MAX_EXECUTORS} */
  readonly maxExecutors?: number;
  /** At most what an announcement may hold. @default {MAX_MODELS_PER_EXECUTOR} */
  readonly maxModelsPerExecutor?: number;
  /** Silence after which an executor counts as unavailable. @default {STALE_AFTER_MS} */
  readonly staleAfterMs?: number;
  /** Silence after which an executor is forgotten. @default {GONE_AFTER_MS} */
  readonly goneAfterMs?: number;
}

/** One executor, as it last announced itself. */
export interface RegistryEntry {
  /** The exact bytes, to hand on. */
  readonly signed: SignedAnnouncement;
  /** What they say. */
  readonly announcement: Announcement;
  /**
   * Unix milliseconds of the announcement's own date, or of its arrival if that is earlier: a late
   * or repeated delivery does not prolong anything.
   */
  readonly lastSeen: number;
}

/** An entry, and how it came to be kept. */
interface Kept extends RegistryEntry {
  /** The peer that told of it first, or the executor itself since it told. */
  readonly source: string;
  /** Grows with every executor that is new. */
  readonly order: number;
}

/** Whether an announcement counts, or why not. */
export type Admission =
  | "admitted"
  /** This sequence number, or a larger one, is known. */
  | "known"
  /** Older than what the registry keeps. */
  | "gone"
  /** No room: all that are known live, and nobody told of more than whoever tells of this one. */
  | "full"
  /** More models than the registry keeps for one executor. */
  | "too_many_models";

/**
 * Live executors by PeerId and by model. Of each executor the announcement with the largest
 * sequence number counts, in whatever order they come. A `removal` stays until it is gone, so that
 * an older announcement that is repeated brings nobody back: any older one is gone by then too.
 *
 * Keys cost nothing, so whoever likes can fill a registry with executors. When it is full, room is
 * shared among those who told of them: the newest of whoever told of most gives way to one of
 * somebody who told of fewer. An executor that told of itself gives way to nobody while it lives.
 */
export class Registry {
  readonly #clock: Clock;
  readonly #maxExecutors: number;
  readonly #maxModels: number;
  readonly #staleAfterMs: number;
  readonly #goneAfterMs: number;
  readonly #entries = new Map<string, Kept>();
  /** How many each source told of. */
  readonly #bySource = new Map<string, number>();
  readonly #byModel = new Map<string, Map<string, RegistryEntry>>();
  #applied = 0;
  #order = 0;

  /** An empty registry. @throws {RangeError} if an option is not a positive integer, or stale comes after gone */
  constructor(options: RegistryOptions, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#maxExecutors = positive(options.maxExecutors ?? MAX_EXECUTORS);
    this.#maxModels = positive(options.maxModelsPerExecutor ?? MAX_MODELS_PER_EXECUTOR);
    this.#staleAfterMs = positive(options.staleAfterMs ?? STALE_AFTER_MS);
    this.#goneAfterMs = positive(options.goneAfterMs ?? GONE_AFTER_MS);
    if (this.#staleAfterMs > this.#goneAfterMs) {
      throw new RangeError("create registry: staleAfterMs is above goneAfterMs");
    }
  }

  /** What {@linkcode Registry.apply} would say: cheap, to be asked before a signature is verified. */
  check(announcement: Announcement, source = ""): Admission {
    const { peerId, sequence, models, timestamp } = announcement;
    if (models.length > this.#maxModels) return "too_many_models";
    if (this.#isGone(timestamp)) return "gone";
    const known = this.#entries.get(peerId);
    if (known !== undefined && !this.#isGone(known.lastSeen)) {
      return sequence > known.announcement.sequence ? "admitted" : "known";
    }
    const room = known !== undefined || this.#entries.size < this.#maxExecutors ||
      this.#mostDispensable(source) !== undefined;
    return room ? "admitted" : "full";
  }

  /**
   * Takes an announcement that has been verified.
   * @param source the PeerId of who told of it; the executor's own where it told itself
   */
  apply(signed: SignedAnnouncement, announcement: Announcement, source = ""): Admission {
    const admission = this.check(announcement, source);
    if (admission !== "admitted") return admission;
    const { peerId, models, timestamp } = announcement;
    const known = this.#entries.get(peerId);
    if (known === undefined && this.#entries.size >= this.#maxExecutors) {
      this.#forget(this.#mostDispensable(source)!);
    }
    this.#forget(peerId);
    const entry = {
      signed,
      announcement,
      lastSeen: Math.min(timestamp, this.#clock.now()),
      source: known === undefined || source === peerId ? source : known.source,
      order: known?.order ?? this.#order++,
    };
    this.#entries.set(peerId, entry);
    this.#bySource.set(entry.source, (this.#bySource.get(entry.source) ?? 0) + 1);
    this.#applied++;
    if (announcement.kind === "removal") return "admitted";
    for (const { id } of models) {
      const entries = this.#byModel.get(id) ?? new Map<string, RegistryEntry>();
      this.#byModel.set(id, entries.set(peerId, entry));
    }
    return "admitted";
  }

  /** An executor that is neither removed nor gone. */
  get(peerId: string): RegistryEntry | undefined {
    const entry = this.#entries.get(peerId);
    return entry !== undefined && this.#isListed(entry) ? entry : undefined;
  }

  /** All executors that are neither removed nor gone, in no order. */
  *entries(): IterableIterator<RegistryEntry> {
    for (const entry of this.#entries.values()) if (this.#isListed(entry)) yield entry;
  }

  /** The executors of one model, in no order. */
  *ofModel(model: string): IterableIterator<RegistryEntry> {
    for (const entry of this.#byModel.get(model)?.values() ?? []) {
      if (this.#isListed(entry)) yield entry;
    }
  }

  /** Whether an executor has been heard of lately. */
  isLive(entry: RegistryEntry): boolean {
    return this.#isListed(entry) && this.#clock.now() - entry.lastSeen <= this.#staleAfterMs;
  }

  /** How many announcements have been applied. */
  get applied(): number {
    return this.#applied;
  }

  /** How many are kept, removals and those that no sweep has taken yet among them. */
  get size(): number {
    return this.#entries.size;
  }

  /** Frees the memory of what is gone. Readers never see it, swept or not. */
  sweep(): void {
    for (const [peerId, entry] of this.#entries) {
      if (this.#isGone(entry.lastSeen)) this.#forget(peerId);
    }
  }

  #isGone(lastSeen: number): boolean {
    return this.#clock.now() - lastSeen > this.#goneAfterMs;
  }

  #isListed({ announcement, lastSeen }: RegistryEntry): boolean {
    return announcement.kind !== "removal" && !this.#isGone(lastSeen);
  }

  /**
   * Of those that do not live, the one not heard of for the longest time; else the newest of who told
   * of most, if that is more than `source` will have told of.
   */
  #mostDispensable(source: string): string | undefined {
    let found: Kept | undefined;
    for (const entry of this.#entries.values()) {
      if (this.isLive(entry)) continue;
      if (found === undefined || entry.lastSeen < found.lastSeen) found = entry;
    }
    return (found ?? this.#newestOfLargest(source))?.announcement.peerId;
  }

  #newestOfLargest(source: string): Kept | undefined {
    let largest: string | undefined;
    let most = (this.#bySource.get(source) ?? 0) + 1;
    for (const [other, count] of this.#bySource) {
      if (count > most) [largest, most] = [other, count];
    }
    if (largest === undefined) return undefined;
    let found: Kept | undefined;
    for (const entry of this.#entries.values()) {
      const isNewer = found === undefined || entry.order > found.order;
      const told = entry.source === entry.announcement.peerId;
      if (entry.source === largest && isNewer && !told) found = entry;
    }
    return found;
  }

  #forget(peerId: string): void {
    const entry = this.#entries.get(peerId);
    if (entry === undefined) return;
    this.#entries.delete(peerId);
    const left = this.#bySource.get(entry.source)! - 1;
    if (left > 0) this.#bySource.set(entry.source, left);
    else this.#bySource.delete(entry.source);
    for (const { id } of entry.announcement.models) {
      const entries = this.#byModel.get(id);
      entries?.delete(peerId);
      if (entries?.size === 0) this.#byModel.delete(id);
    }
  }
}

function positive(value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError("create registry: options must be positive integers");
  }
  return value;
}
