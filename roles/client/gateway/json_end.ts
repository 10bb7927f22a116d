/** Notices where a JSON object or list ends. @module */

/**
 * Follows a JSON text that comes in pieces, and knows when its outermost object or list is closed. It
 * looks at each character once, so that a text of any number of pieces costs no more than its length.
 */
export class JsonEnd {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #ended = false;

  /** Whether the outermost object or list is closed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the next piece. */
  push(text: string): void {
    for (const character of text) {
      if (this.#inString) this.#inside(character);
      else if (character === '"') this.#inString = true;
      else if (character === "{" || character === "[") this.#depth++;
      else if (character === "}" || character === "]") this.#ended = --this.#depth <= 0;
    }
  }

  #inside(character: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (character === "\\") this.#escaped = true;
    else if (character === '"') this.#inString = false;
  }
}
