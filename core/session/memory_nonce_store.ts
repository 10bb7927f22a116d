/** Remembers used nonces in memory. @module */
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Clock, NonceStore } from "../ports.ts";
import {
  FEW_LIVE_NONCES,
  MAX_CLOCK_SKEW_S,
  MAX_LIVE_NONCES,
  MAX_LIVE_NONCES_PER_CLIENT,
  SHORT_DEADLINE_S,
} from "../protocol/limits.ts";

/** How much is remembered. */
export interface MemoryNonceStoreOptions {
  /** Nonces remembered at once. @default MAX_LIVE_NONCES */
  readonly maxNonces?: number;
  /** Nonces of one client among them. @default MAX_LIVE_NONCES_PER_CLIENT */
  readonly maxNoncesPerClient?: number;
}

/**
 * A {@linkcode NonceStore} that forgets everything when the process ends: for tests, for
 * simulations, and as the index in front of a durable one.
 */
export class MemoryNonceStore implements NonceStore {
  readonly #clock: Pick<Clock, "now">;
  readonly #maxNonces: number;
  readonly #maxNoncesPerClient: number;
  readonly #used = new Map<Address, Set<bigint>>();
  /** By deadline in unix seconds, so that forgetting touches only what has expired. */
  readonly #byDeadline = new Map<number, (readonly [Address, bigint])[]>();
  #size = 0;
  #prunedAt = 0;

  /** An empty store. */
  constructor(
    options: MemoryNonceStoreOptions,
    components: { readonly clock: Pick<Clock, "now"> },
  ) {
    this.#maxNonces = options.maxNonces ?? MAX_LIVE_NONCES;
    this.#maxNoncesPerClient = options.maxNoncesPerClient ?? MAX_LIVE_NONCES_PER_CLIENT;
    this.#clock = components.clock;
  }

  /** How many nonces are remembered. */
  get size(): number {
    return this.#size;
  }

  use(client: Address, nonce: bigint, deadline: number): Promise<boolean> {
    return Promise.resolve().then(() => this.add(client, nonce, deadline));
  }

  /**
   * {@linkcode NonceStore.use}, at once.
   * @throws {RangeError} if the nonce is not an unsigned 64-bit number, or the deadline no whole one
   */
  add(client: Address, nonce: bigint, deadline: number): boolean {
    if (nonce < 0n || nonce >= 1n << 64n) throw new RangeError("use nonce: not 64 bits");
    if (!Number.isSafeInteger(deadline)) throw new RangeError("use nonce: no whole deadline");
    this.prune();
    const nonces = this.#used.get(client);
    if (nonces?.has(nonce)) return false;
    this.#assertRoom(nonces?.size ?? 0, deadline);
    this.restore(client, nonce, deadline);
    return true;
  }

  /** Remembers a nonce that was accepted before, whatever the limits are now. */
  restore(client: Address, nonce: bigint, deadline: number): void {
    const nonces = this.#used.get(client);
    if (nonces?.has(nonce)) return;
    if (nonces === undefined) this.#used.set(client, new Set([nonce]));
    else nonces.add(nonce);
    const bucket = this.#byDeadline.get(deadline);
    if (bucket === undefined) this.#byDeadline.set(deadline, [[client, nonce]]);
    else bucket.push([client, nonce]);
    this.#size++;
  }

  /**
   * A nonce is remembered as long as its client says, so few clients could fill the store for an
   * hour. Therefore each has a share; and once the store is half full, those that already have more
   * than a few nonces in it get only ones that are soon forgotten.
   */
  #assertRoom(ofClient: number, deadline: number): void {
    const horizon = Math.floor(this.#clock.now() / 1000) + SHORT_DEADLINE_S;
    const isTight = 2 * this.#size >= this.#maxNonces && ofClient >= FEW_LIVE_NONCES;
    if (this.#size >= this.#maxNonces) refuse(`${this.#size} are live`);
    if (ofClient >= this.#maxNoncesPerClient) refuse(`${ofClient} of this client are live`);
    if (isTight && deadline > horizon) {
      refuse(`deadlines over ${SHORT_DEADLINE_S} s ahead must wait`);
    }
  }

  /** The latest deadline that no longer has to be remembered, in unix seconds. */
  expired(): number {
    return Math.floor(this.#clock.now() / 1000) - MAX_CLOCK_SKEW_S - 1;
  }

  /** Forgets what has expired; looks for it once a second at most. */
  prune(): void {
    const expired = this.expired();
    if (expired === this.#prunedAt) return;
    this.#prunedAt = expired;
    for (const [deadline, bucket] of this.#byDeadline) {
      if (deadline > expired) continue;
      this.#byDeadline.delete(deadline);
      for (const [client, nonce] of bucket) this.#forget(client, nonce);
    }
  }

  #forget(client: Address, nonce: bigint): void {
    const nonces = this.#used.get(client);
    if (!nonces?.delete(nonce)) return;
    this.#size--;
    if (nonces.size === 0) this.#used.delete(client);
  }
}

function refuse(why: string): never {
  throw new LloomError("overloaded", `use nonce: ${why}`, { retryAfterMs: 1000 });
}
