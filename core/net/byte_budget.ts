/** Bounds what all peers together, and each of them, can make this process hold. @module */
import { MAX_INBOUND_BYTES, MAX_INBOUND_BYTES_PER_PEER } from "../protocol/limits.ts";

/** Limits of a {@linkcode ByteBudget}, in bytes. */
export interface ByteBudgetOptions {
  /** For all peers together. */
  readonly totalBytes: number;
  /** For one peer. */
  readonly peerBytes: number;
}

/** One peer's part of a budget. */
export interface ByteAccount {
  /** Takes bytes; false, and none are taken, if there is no room. */
  take(bytes: number): boolean;
  /** Gives back what was taken. */
  give(bytes: number): void;
}

/** Counts the bytes held for peers. */
export class ByteBudget {
  readonly #options: ByteBudgetOptions;
  readonly #byPeer = new Map<string, number>();
  #used = 0;

  /** A budget of which nothing is taken. */
  constructor(options: ByteBudgetOptions) {
    this.#options = options;
  }

  /** Bytes taken. */
  get used(): number {
    return this.#used;
  }

  /** A peer's part. It costs nothing to have, and needs no end. */
  account(peer: string): ByteAccount {
    return {
      take: (bytes) => this.#take(peer, bytes),
      give: (bytes) => this.#give(peer, bytes),
    };
  }

  #take(peer: string, bytes: number): boolean {
    const { totalBytes, peerBytes } = this.#options;
    const held = (this.#byPeer.get(peer) ?? 0) + bytes;
    if (held > peerBytes || this.#used + bytes > totalBytes) return false;
    this.#byPeer.set(peer, held);
    this.#used += bytes;
    return true;
  }

  #give(peer: string, bytes: number): void {
    const held = (this.#byPeer.get(peer) ?? 0) - bytes;
    if (held < 0) throw new RangeError("give bytes back: more than were taken");
    if (held === 0) this.#byPeer.delete(peer);
    else this.#byPeer.set(peer, held);
    this.#used -= bytes;
  }
}

/** What all nodes of this process share. */
export const INBOUND_BUDGET: ByteBudget = new ByteBudget({
  totalBytes: MAX_INBOUND_BYTES,
  peerBytes: MAX_INBOUND_BYTES_PER_PEER,
});
