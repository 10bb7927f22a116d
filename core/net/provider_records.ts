/** Keeps this node's provider records with enough others. @module */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../errors.ts";
import type { ProviderKey } from "../protocol/ids.ts";
import { MAX_PUBLICATIONS, MIN_RECORD_HOLDERS, PROVIDE_TIMEOUT_MS } from "../protocol/limits.ts";
import type { LloomNode } from "./node.ts";

const log = getLogger(["lloom", "net"]);

/** What {@linkcode ProviderRecords} uses of a node. */
export type RecordPublisher = Pick<LloomNode, "onDhtPeer" | "provide" | "unprovide">;

/**
 * Publishes provider records, and publishes again those that too few hold when a node of the DHT
 * becomes known: `MAX_PUBLICATIONS` at once, and each record once at a time.
 */
export class ProviderRecords {
  readonly #node: RecordPublisher;
  #wanted: ReadonlySet<ProviderKey> = new Set();
  /** How many nodes took each record that was given out, or is being. */
  readonly #holders = new Map<ProviderKey, number>();
  /** Records to publish or withdraw, as they are wanted when their turn comes. */
  readonly #due = new Set<ProviderKey>();
  /** Records being published or withdrawn. */
  readonly #busy = new Set<ProviderKey>();
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;

  /** Publishes nothing until told what to keep. */
  constructor(node: RecordPublisher) {
    this.#node = node;
    this.#unsubscribe = node.onDhtPeer(() => this.#spread());
  }

  /**
   * Begins to publish what is new among `keys`, and what nobody took so far, and withdraws what is
   * no longer among them. Failures are logged: the next node, or call, tries again.
   */
  keep(keys: Iterable<ProviderKey>): void {
    this.#wanted = new Set(keys);
    for (const key of this.#holders.keys()) if (!this.#wanted.has(key)) this.#due.add(key);
    for (const key of this.#wanted) {
      const untaken = this.#holders.get(key) === 0 && !this.#busy.has(key);
      if (untaken || !this.#holders.has(key)) this.#due.add(key);
    }
    this.#begin();
  }

  /** Ends all publishing. Records already given out expire by themselves. */
  stop(): void {
    this.#unsubscribe();
    this.#stopping.abort();
  }

  #spread(): void {
    for (const [key, holders] of this.#holders) {
      if (holders < MIN_RECORD_HOLDERS) this.#due.add(key);
    }
    this.#begin();
  }

  #begin(): void {
    for (const key of this.#due) {
      if (this.#stopping.signal.aborted || this.#busy.size >= MAX_PUBLICATIONS) return;
      if (this.#busy.has(key)) continue;
      this.#due.delete(key);
      void this.#settle(key);
    }
  }

  async #settle(key: ProviderKey): Promise<void> {
    this.#busy.add(key);
    if (this.#wanted.has(key)) {
      this.#holders.set(key, this.#holders.get(key) ?? 0);
      const takers = await this.#publish(key);
      this.#holders.set(key, takers);
      // Enough hold it by now: who came meanwhile is not needed.
      if (takers >= MIN_RECORD_HOLDERS && this.#wanted.has(key)) this.#due.delete(key);
    } else if (this.#holders.delete(key)) {
      await this.#withdraw(key);
    }
    this.#busy.delete(key);
    this.#begin();
  }

  async #publish(key: ProviderKey): Promise<number> {
    const { signal } = this.#stopping;
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(PROVIDE_TIMEOUT_MS)]);
      const takers = await this.#node.provide(key, within);
      log.debug("provider record {key} taken by {takers} peers", { key, takers });
      return takers;
    } catch (error) {
      // Alone in the network there is nobody to tell.
      if (!signal.aborted) {
        log.debug("provider record failed: {code}", { code: LloomError.wrap(error).code });
      }
      return 0;
    }
  }

  async #withdraw(key: ProviderKey): Promise<void> {
    try {
      await this.#node.unprovide(key);
    } catch (error) {
      log.debug("provider record stays: {code}", { code: LloomError.wrap(error).code });
    }
  }
}
