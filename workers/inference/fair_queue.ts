/** Who is next, when many ask. @module */

/**
 * A queue in which owners take turns: each gets one of its items served, in the order they came,
 * before any gets another. However many items one owner puts in, the next owner's first waits
 * behind one of them at most.
 */
export class FairQueue<T> {
  /** In order of their turn; none is empty. */
  readonly #byOwner = new Map<string, Set<T>>();
  #size = 0;

  /** Items of all owners. */
  get size(): number {
    return this.#size;
  }

  /** Puts an item behind the other items of its owner, who comes last if it had none. */
  add(owner: string, item: T): void {
    const items = this.#byOwner.get(owner);
    if (items === undefined) this.#byOwner.set(owner, new Set([item]));
    else items.add(item);
    this.#size++;
  }

  /** Takes an item out, wherever it stands; false if it is not there. */
  delete(owner: string, item: T): boolean {
    const items = this.#byOwner.get(owner);
    if (!items?.delete(item)) return false;
    if (items.size === 0) this.#byOwner.delete(owner);
    this.#size--;
    return true;
  }

  /** Takes the next item of the first owner that may have a turn; undefined if there is none. */
  next(mayGo: (owner: string) => boolean): T | undefined {
    for (const [owner, items] of this.#byOwner) {
      if (!mayGo(owner)) continue;
      const [item] = items;
      this.delete(owner, item!);
      if (this.#byOwner.delete(owner)) this.#byOwner.set(owner, items);
      return item;
    }
    return undefined;
  }

  /**
   * What may make room for one more of `owner`: the latest item of the owner that has most, if
   * `owner` would have fewer even with one more. It stays where it is.
   */
  surplus(owner: string): T | undefined {
    const own = this.#byOwner.get(owner)?.size ?? 0;
    let most: ReadonlySet<T> | undefined;
    for (const items of this.#byOwner.values()) {
      if (items.size > (most?.size ?? own + 1)) most = items;
    }
    return most && [...most].at(-1);
  }

  /** All items, in no order. */
  *[Symbol.iterator](): Iterator<T> {
    for (const items of this.#byOwner.values()) yield* items;
  }
}
