/** Which executor served a conversation last. @module */

/** Conversations remembered: of an active user some hundreds, at about 200 bytes each. */
const MAX_ROUTES = 10_000;

/** Remembers the executors of conversations; those not used for longest are forgotten. */
export class StickyRoutes {
  readonly #max: number;
  readonly #executors = new Map<string, string>();

  /** No conversation is known yet. @param max conversations remembered */
  constructor(max: number = MAX_ROUTES) {
    this.#max = max;
  }

  /** The PeerId of the executor that served a conversation last; undefined if none is known. */
  of(conversation: string): string | undefined {
    return this.#executors.get(conversation);
  }

  /** An executor has served a conversation. */
  served(conversation: string, peerId: string): void {
    this.#executors.delete(conversation); // a Map keeps the order of insertion: the last used comes last
    this.#executors.set(conversation, peerId);
    const [oldest] = this.#executors.keys();
    if (this.#executors.size > this.#max && oldest !== undefined) this.#executors.delete(oldest);
  }
}
