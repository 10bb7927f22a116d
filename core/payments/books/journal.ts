/** Maps whose changes can be undone. @module */

/** Records how to undo every change of its maps, until told that it is for ever. */
export class Journal {
  readonly #undo: (() => void)[] = [];
  /** Changes that are for ever. */
  #kept = 0;

  /** A map whose changes are recorded here. */
  map<K, V>(): JournaledMap<K, V> {
    return new JournaledMap((undo) => this.#undo.push(undo));
  }

  /** How many changes there were. */
  get size(): number {
    return this.#kept + this.#undo.length;
  }

  /** Undoes what is not for ever. */
  undo(): void {
    this.#undoTo(this.#kept);
  }

  /** Makes the first so many changes last for ever. */
  keep(size: number): void {
    if (size <= this.#kept) return;
    this.#undo.splice(0, size - this.#kept);
    this.#kept = size;
  }

  /** Makes changes that are undone if one of them throws. */
  atomically<T>(change: () => T): T {
    const before = this.size;
    try {
      return change();
    } catch (error) {
      this.#undoTo(before);
      throw error;
    }
  }

  #undoTo(size: number): void {
    while (this.size > size) this.#undo.pop()!();
  }
}

/** A map in the order in which its keys were first set. */
export class JournaledMap<K, V> {
  readonly #map = new Map<K, V>();
  readonly #record: (undo: () => void) => void;

  /** An empty map. @param record takes what undoes each change */
  constructor(record: (undo: () => void) => void) {
    this.#record = record;
  }

  /** The value of a key. */
  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  /** Sets the value of a key. */
  set(key: K, value: V): void {
    const before = this.#map.get(key);
    this.#map.set(key, value);
    this.#record(() => {
      if (before === undefined) this.#map.delete(key);
      else this.#map.set(key, before);
    });
  }

  /** Changes the value of a key that is there. */
  update(key: K, change: (value: V) => V): void {
    const value = this.#map.get(key);
    if (value === undefined) throw new TypeError("change entry: it is not there");
    this.set(key, change(value));
  }

  /** Removes a key; nothing if it is not there. */
  delete(key: K): void {
    const value = this.#map.get(key);
    if (value === undefined) return;
    const place = [...this.#map.keys()].indexOf(key);
    this.#map.delete(key);
    this.#record(() => {
      const later = [...this.#map].slice(place);
      for (const [other] of later) this.#map.delete(other);
      for (const [other, its] of [[key, value] as const, ...later]) this.#map.set(other, its);
    });
  }

  /** Keys and values, the oldest first. */
  entries(): readonly (readonly [K, V])[] {
    return [...this.#map];
  }

  /** Values, the oldest first. */
  values(): readonly V[] {
    return [...this.#map.values()];
  }

  /** Values, the newest first. */
  newest(): readonly V[] {
    return this.values().toReversed();
  }
}
