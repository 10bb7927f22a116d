/** Remembers used nonces in memory. @module */
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Clock, NonceStore } from "../ports.ts";
import { MAX_CLOCK_SKEW_S, MAX_LIVE_NONCES } from "../protocol/limits.ts";

/** How much is remembered. */
export interface MemoryNonceStoreOptions {
  /** Nonces remembered at once. @default MAX_LIVE_NONCES */
  readonly maxNonces?: number;
}

/**
 * A {@linkcode NonceStore} that forgets everything when the process ends: for tests, for
 * simulations, and as the index in front of a durable one.
 */
export class MemoryNonceStore implements NonceStore {
  readonly #clock: Pick<Clock, "now">;
  readonly #maxNonces: number;
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
    if (this.#size >= this.#maxNonces) {
      throw new LloomError("overloaded", `use nonce: ${this.#size} are live`, {
        retryAfterMs: 1000,
      });
    }
    if (nonces === undefined) this.#used.set(client, new Set([nonce]));
    else nonces.add(nonce);
    const bucket = this.#byDeadline.get(deadline);
    if (bucket === undefined) this.#byDeadline.set(deadline, [[client, nonce]]);
    else bucket.push([client, nonce]);
    this.#size++;
    return true;
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
