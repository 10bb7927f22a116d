/** Keeps what a client knows of executors fresh. @module */
import { LloomError } from "@lloom/core/errors";
import type { Directory } from "@lloom/core/net";
import type { Clock } from "@lloom/core/ports";
import type { Registry } from "@lloom/core/registry";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["lloom", "client"]);

/** What is known of executors is asked anew after this time. */
const KNOWN_FOR_MS = 10_000;

/** What a {@linkcode Finder} works with. */
export interface FinderComponents {
  /** Looks for executors, and puts them into the registry. */
  readonly directory: Pick<Directory, "find">;
  /** Where they are kept. */
  readonly registry: Registry;
  /** Time. */
  readonly clock: Clock;
  /** How many peers this client is connected to. */
  readonly peers: () => number;
}

/**
 * Looks for executors: once for all who ask at the same time, and behind the back of those who can
 * go on with what was known a moment ago.
 */
export class Finder {
  readonly #timeoutMs: number;
  readonly #components: FinderComponents;
  readonly #stopped = new AbortController();
  /** By model, or "" for all: when the last search that found somebody began. */
  readonly #foundAt = new Map<string, number>();
  readonly #running = new Map<string, Promise<void>>();

  /** @param timeoutMs for one search */
  constructor(timeoutMs: number, components: FinderComponents) {
    this.#timeoutMs = timeoutMs;
    this.#components = components;
  }

  /**
   * Resolves when the registry holds what can be found of the executors of a model, or of all.
   * @param signal gives up waiting; the search goes on for others
   * @throws {LloomError} `peer_unreachable` if there is nobody to ask; as the signal says
   */
  async find(model: string | undefined, signal?: AbortSignal): Promise<void> {
    const { clock, registry } = this.#components;
    const key = model ?? "";
    if (clock.now() - (this.#foundAt.get(key) ?? -Infinity) < KNOWN_FOR_MS) return;
    const search = this.#running.get(key) ?? this.#start(key, model);
    const isKnown = model !== undefined &&
      [...registry.ofModel(model)].some((entry) => registry.isLive(entry));
    if (!isKnown) await orAborted(search, signal);
  }

  /** Ends all searches. */
  stop(): void {
    this.#stopped.abort(new LloomError("aborted", "find executors: the client was closed"));
  }

  #start(key: string, model: string | undefined): Promise<void> {
    const search = this.#search(key, model).finally(() => this.#running.delete(key));
    this.#running.set(key, search);
    search.catch((error) => {
      // Those who wait get it too; there may be none.
      log.debug("search failed: {code}", { code: LloomError.wrap(error).code });
    });
    return search;
  }

  async #search(key: string, model: string | undefined): Promise<void> {
    const { clock, directory, peers } = this.#components;
    const now = clock.now();
    const timeout = new AbortController();
    const disarm = clock.setTimer(
      this.#timeoutMs,
      () => timeout.abort(new LloomError("timeout", "find executors: time is up")),
    );
    try {
      const signal = AbortSignal.any([timeout.signal, this.#stopped.signal]);
      const found = await directory.find(model === undefined ? {} : { model }, signal);
      if (found.length > 0) this.#foundAt.set(key, now);
      else if (peers() === 0) {
        throw new LloomError("peer_unreachable", "join network: no bootstrap node answers");
      }
    } finally {
      disarm();
    }
  }
}

/** A promise, or what a signal says before it settles. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(LloomError.wrap(signal.reason, "aborted"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
