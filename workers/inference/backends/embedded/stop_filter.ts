/** Ends an answer where a stop string begins. @module */

/** Lets text through until one of the stop strings occurs in it. */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  /** Begins an answer. @param stops what ends it; is not part of it */
  constructor(stops: readonly string[]) {
    // Text that is not well-formed never comes out of a model; half a character must not match.
    this.#stops = stops.filter((stop) => stop !== "" && stop.isWellFormed());
  }

  /** Whether a stop string has occurred. Nothing comes out any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Adds text. @returns what can be given out; what may be the start of a stop string is held back */
  push(text: string): string {
    if (this.#stopped) return "";
    const all = this.#held + text;
    const found = this.#stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
    this.#stopped = found.length > 0;
    const ready = this.#stopped ? Math.min(...found) : all.length - this.#overlap(all);
    this.#held = this.#stopped ? "" : all.slice(ready);
    return all.slice(0, ready);
  }

  /** What was held back, once no more text comes. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** Length of the longest end of a text that is the start of a stop string. */
  #overlap(text: string): number {
    let most = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > most; n--) {
        if (text.endsWith(stop.slice(0, n))) most = n;
      }
    }
    return most;
  }
}
