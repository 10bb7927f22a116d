/**
 * Finds executors: asks every connected peer that keeps a registry, and where none knows any, the
 * DHT for executors to ask themselves. Nobody is believed: only announcements that their own
 * executor signed count.
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { MessageStream } from "../ports.ts";
import { modelKey, type ProviderKey, REGISTRY_PROTOCOL, roleKey } from "../protocol/ids.ts";
import { MAX_ANSWER_BYTES, MAX_EXECUTORS } from "../protocol/limits.ts";
import type { OfferFilters } from "../protocol/registry/mod.ts";
import {
  type PagedQuery,
  queryPages,
  type Registry,
  type RegistryEntry,
  verifiedExecutors,
  type VerifyComponents,
} from "../registry/mod.ts";
import type { LloomNode, PeerTarget } from "./node.ts";

const log = getLogger(["lloom", "directory"]);

/** How long one peer may take to answer. */
const ASK_TIMEOUT_MS = 5_000;
/** Once somebody has named an executor, how long the others may still add theirs. */
const SETTLE_MS = 100;
/** When the DHT is asked although registries are still silent. */
const DHT_AFTER_MS = 1_000;
/** Between two rounds that found nobody, growing: an executor may be just announcing itself. */
const FIRST_ROUND_MS = 100;
const LAST_ROUND_MS = 2_000;
/** How long registries may deny that there is anybody before they are believed. */
const DENIED_MS = 3_000;

/**
 * Executors that one peer may name in a round: all that a registry keeps, as it names them in an
 * order in which the invented may come first.
 */
const MAX_FROM_ONE_PEER = MAX_EXECUTORS;

/** What a {@linkcode Directory} works with. */
export interface DirectoryComponents extends VerifyComponents {
  /** Reaches registries and the DHT. */
  readonly node: Pick<LloomNode, "connections" | "onPeerConnected" | "findProviders"> & {
    openStream(...args: Parameters<LloomNode["openStream"]>): Promise<MessageStream>;
  };
  /** Where what is found is kept. */
  readonly registry: Registry;
}

/** What is looked for: the executors of a model, one executor, or all. */
export interface Wanted {
  /** The model's name; absent for any. */
  readonly model?: string;
  /** The one executor that will do; absent for any. */
  readonly executor?: Address;
  /** What its offer must meet. */
  readonly filters?: OfferFilters;
}

/** Looks for executors. */
export class Directory {
  readonly #components: DirectoryComponents;

  /** A directory of what a node can reach. */
  constructor(components: DirectoryComponents) {
    this.#components = components;
  }

  /**
   * Executors that are live and offer what is wanted, as soon as some are found. None, if those who
   * should know have denied it for a while.
   * @param signal ends the search; it then returns what there is, be it nothing
   * @throws {LloomError} `aborted`, if the signal aborts for another reason than time
   */
  async find(wanted: Wanted, signal: AbortSignal): Promise<readonly RegistryEntry[]> {
    const { clock } = this.#components;
    let pauseMs = FIRST_ROUND_MS;
    let deniedAt: number | undefined;
    const over = new AbortController();
    const within = AbortSignal.any([signal, over.signal]);
    let dht = new DhtSearch(wanted, this.#components, within);
    try {
      for (;;) {
        // A walk of the DHT may take many rounds; one that has ended is worth another.
        if (dht.state === "ended") dht = new DhtSearch(wanted, this.#components, within);
        const round = new Round(wanted, dht, 2 * pauseMs, this.#components, signal);
        const found = await round.run();
        if (found.length > 0) return found;
        if (round.isDenied) deniedAt ??= clock.now();
        if (deniedAt !== undefined && clock.now() - deniedAt >= DENIED_MS) return [];
        if (!signal.aborted) await this.#pause(pauseMs, signal);
        pauseMs = Math.min(LAST_ROUND_MS, 2 * pauseMs);
        if (!signal.aborted) continue;
        const reason = LloomError.wrap(signal.reason, "aborted");
        if (reason.code !== "timeout") throw reason;
        return [];
      }
    } finally {
      over.abort(new LloomError("aborted", "find executors: the search is over"));
    }
  }

  /** Waits for a while, or for a peer that can be asked. */
  #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { clock, node } = this.#components;
    return new Promise((resolve) => {
      const done = () => {
        disarm();
        unlisten();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const disarm = clock.setTimer(ms, done);
      const unlisten = node.onPeerConnected(done);
      signal.addEventListener("abort", done);
    });
  }
}

/** A walk of the DHT for executors to ask; it goes on while registries are asked round after round. */
class DhtSearch {
  readonly peers: PeerTarget[] = [];
  state: "waiting" | "running" | "ended" = "waiting";
  /** Told of every peer found, and at the end. */
  onChange: () => void = () => {};
  readonly #wanted: Wanted;
  readonly #components: DirectoryComponents;
  readonly #signal: AbortSignal;

  constructor(wanted: Wanted, components: DirectoryComponents, signal: AbortSignal) {
    this.#wanted = wanted;
    this.#components = components;
    this.#signal = signal;
  }

  /** Begins, unless it has begun, or there is nobody to ask. */
  async start(): Promise<void> {
    const { node } = this.#components;
    if (this.state !== "waiting" || node.connections().length === 0) return;
    this.state = "running";
    const { model } = this.#wanted;
    const key: ProviderKey = model === undefined ? roleKey("executor") : modelKey(model);
    try {
      for await (const peer of node.findProviders(key, this.#signal)) {
        this.peers.push(peer);
        this.onChange();
      }
    } catch (thrown) {
      log.debug("the DHT was asked in vain: {code}", { code: LloomError.wrap(thrown).code });
    }
    this.state = "ended";
    this.onChange();
  }
}

/** One round of asking everybody there is. */
class Round {
  readonly #wanted: Wanted;
  readonly #dht: DhtSearch;
  readonly #patienceMs: number;
  readonly #components: DirectoryComponents;
  readonly #asked = new Set<string>();
  readonly #found = new Map<string, RegistryEntry>();
  readonly #over = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  #pending = 0;
  #answers = 0;
  #settling = false;
  #waiting = false;
  #disarm: (() => void)[] = [];

  /** @param patienceMs how long the round waits for the DHT once all registries have answered */
  constructor(
    wanted: Wanted,
    dht: DhtSearch,
    patienceMs: number,
    components: DirectoryComponents,
    signal: AbortSignal,
  ) {
    this.#wanted = wanted;
    this.#dht = dht;
    this.#patienceMs = patienceMs;
    this.#components = components;
    const abort = () => this.#done.resolve();
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { signal: this.#over.signal });
  }

  /** Whether registries answered, and neither they nor the DHT knew anybody. */
  get isDenied(): boolean {
    return this.#answers > 0 && this.#dht.state === "ended" && this.#found.size === 0;
  }

  async run(): Promise<readonly RegistryEntry[]> {
    const { node } = this.#components;
    const unlisten = node.onPeerConnected((peerId) => this.#ask({ peerId }));
    this.#arm(DHT_AFTER_MS, () => this.#dht.start());
    this.#dht.onChange = () => {
      for (const peer of this.#dht.peers) this.#ask(peer);
      this.#check();
    };
    for (const peer of this.#dht.peers) this.#ask(peer);
    for (const { peerId } of node.connections()) this.#ask({ peerId });
    this.#check();
    await this.#done.promise;
    unlisten();
    this.#dht.onChange = () => {};
    for (const disarm of this.#disarm) disarm();
    this.#over.abort(new LloomError("aborted", "find executors: the round is over"));
    const found = [...this.#found.values()];
    log.debug("{asked} peers asked, {found} executors found", {
      asked: this.#asked.size,
      found: found.length,
    });
    return found;
  }

  #ask(peer: PeerTarget): void {
    if (this.#asked.has(peer.peerId)) return;
    this.#asked.add(peer.peerId);
    this.#pending++;
    this.#askOne(peer).catch((thrown) => {
      const { code } = LloomError.wrap(thrown);
      log.debug("{peerId} was asked in vain: {code}", { peerId: peer.peerId, code });
    }).finally(() => {
      this.#pending--;
      this.#check();
    });
  }

  async #askOne(peer: PeerTarget): Promise<void> {
    const { node, registry } = this.#components;
    const signal = AbortSignal.any([this.#over.signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
    const stream = await node.openStream(peer, REGISTRY_PROTOCOL, {
      signal,
      maxFrameBytes: MAX_ANSWER_BYTES,
    });
    try {
      let left = MAX_FROM_ONE_PEER;
      for await (const { executors } of queryPages(stream, this.#query(), signal)) {
        const listed = executors.slice(0, left);
        left -= executors.length;
        for (const entry of await verifiedExecutors(listed, this.#components)) {
          registry.apply(entry.signed, entry.announcement, peer.peerId);
          const { peerId } = entry.announcement;
          if (this.#isWanted(entry)) this.#found.set(peerId, entry);
        }
        this.#check();
        if (left <= 0) break;
      }
      this.#answers++;
    } finally {
      await stream.close();
    }
  }

  #query(): Extract<PagedQuery, { readonly type: "find_model" | "search" }> {
    const { model, filters } = this.#wanted;
    return model === undefined
      ? { type: "search", ...(filters && { filters }) }
      : { type: "find_model", model, ...(filters && { filters }) };
  }

  /** A registry may name executors that nobody asked for. */
  #isWanted({ announcement }: RegistryEntry): boolean {
    const { model, executor } = this.#wanted;
    return (model === undefined || announcement.models.some(({ id }) => id === model)) &&
      (executor === undefined || announcement.executor === executor);
  }

  /** Ends the round when there is nothing more to wait for. */
  #check(): void {
    if (this.#found.size > 0) {
      if (this.#pending === 0) return this.#done.resolve();
      if (this.#settling) return;
      this.#settling = true;
      return this.#arm(SETTLE_MS, () => this.#done.resolve());
    }
    if (this.#pending > 0) return;
    if (this.#dht.state === "ended") return this.#done.resolve();
    void this.#dht.start();
    if (this.#waiting || this.#answers === 0) return;
    // Registries may learn meanwhile of somebody who has just come.
    this.#waiting = true;
    this.#arm(this.#patienceMs, () => this.#done.resolve());
  }

  #arm(ms: number, fire: () => void): void {
    this.#disarm.push(this.#components.clock.setTimer(ms, fire));
  }
}
