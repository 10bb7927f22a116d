/** Finds the way into the network, and back into it. @module */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { BOOTSTRAP_RETRY_MS } from "../protocol/limits.ts";

const log = getLogger(["lloom", "net"]);

/** What a {@linkcode Bootstrapper} works with. */
export interface BootstrapperComponents {
  readonly clock: Clock;
  /** Dials one address. */
  readonly dial: (address: string, signal: AbortSignal) => Promise<unknown>;
  /** Whether any connection is open. */
  readonly isConnected: () => boolean;
}

/**
 * Dials all bootstrap nodes at the start, and again, with growing pauses, for as long as there is no
 * connection at all.
 */
export class Bootstrapper {
  readonly #addresses: readonly string[];
  readonly #components: BootstrapperComponents;
  #stopped = new AbortController();
  #pauseMs: number = BOOTSTRAP_RETRY_MS.first;
  #disarm: (() => void) | undefined;
  #round: Promise<void> | undefined;

  constructor(addresses: readonly string[], components: BootstrapperComponents) {
    this.#addresses = addresses;
    this.#components = components;
  }

  /** Begins; returns at once. */
  start(): void {
    this.#stopped = new AbortController();
    this.#begin();
  }

  /** Ends all dialling. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#disarm?.();
    await this.#round;
  }

  /** To be told when a connection was lost. */
  onDisconnected(): void {
    if (this.#components.isConnected() || this.#round !== undefined) return;
    this.#pause();
  }

  #begin(): void {
    if (this.#addresses.length === 0) return;
    this.#round = this.#dialAll();
  }

  async #dialAll(): Promise<void> {
    const { signal } = this.#stopped;
    const outcomes = await Promise.allSettled(
      this.#addresses.map((address) => this.#components.dial(address, signal)),
    );
    this.#round = undefined;
    if (signal.aborted) return;
    const failed = outcomes.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
    if (failed.length > 0) {
      const codes = failed.map((reason) => LloomError.wrap(reason, "peer_unreachable").code);
      log.warn("bootstrap: {failed} of {total} addresses unreachable", {
        failed: failed.length,
        total: outcomes.length,
        codes,
      });
    }
    if (this.#components.isConnected()) this.#pauseMs = BOOTSTRAP_RETRY_MS.first;
    else this.#pause();
  }

  #pause(): void {
    if (this.#disarm !== undefined || this.#stopped.signal.aborted) return;
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(2 * pauseMs, BOOTSTRAP_RETRY_MS.longest);
    // Not all nodes that lost the same peer at once come back at once.
    this.#disarm = this.#components.clock.setTimer(pauseMs * (0.75 + Math.random() / 2), () => {
      this.#disarm = undefined;
      if (this.#components.isConnected()) this.#pauseMs = BOOTSTRAP_RETRY_MS.first;
      else this.#begin();
    });
  }
}
