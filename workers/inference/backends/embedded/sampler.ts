/** Chooses the next token from a model's logits. @module */

/** How to choose. */
export interface SamplerOptions {
  /** Divides the logits; 0 always takes the likeliest token. @default 0 */
  readonly temperature?: number;
  /** Choose among the likeliest tokens that together reach this probability. @default 1 */
  readonly topP?: number;
  /** Makes the choices repeatable. Any safe integer. @default random */
  readonly seed?: number;
}

/** Chooses the tokens of one answer. */
export class Sampler {
  readonly #temperature: number;
  readonly #topP: number;
  readonly #random: () => number;

  /** Begins an answer. */
  constructor({ temperature = 0, topP = 1, seed }: SamplerOptions) {
    this.#temperature = temperature;
    this.#topP = topP;
    this.#random = generator(seed);
  }

  /** The id of the chosen token. */
  next(logits: Float32Array): number {
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
    if (this.#temperature === 0) return best;

    const weights = new Float64Array(logits.length);
    let total = 0;
    for (let i = 0; i < logits.length; i++) {
      total += weights[i] = Math.exp((logits[i]! - logits[best]!) / this.#temperature);
    }
    // A token less likely than this cannot be in the nucleus: even with all others of its kind it
    // does not make up the rest. So only a few need sorting.
    const least = (1 - this.#topP) / logits.length * total;
    const candidates: number[] = [];
    for (let i = 0; i < weights.length; i++) if (weights[i]! >= least) candidates.push(i);
    if (this.#topP < 1) candidates.sort((a, b) => weights[b]! - weights[a]! || a - b);

    let nucleus = 0;
    let count = 0;
    while (count < candidates.length && (count === 0 || nucleus < this.#topP * total)) {
      nucleus += weights[candidates[count++]!]!;
    }
    let point = this.#random() * nucleus;
    for (let i = 0; i < count; i++) {
      point -= weights[candidates[i]!]!;
      if (point < 0) return candidates[i]!;
    }
    return best; // the sums' rounding left nothing
  }
}

/**
 * Numbers from 0 to below 1. Chris Doty-Humphrey's sfc32: small, fast, and of good quality.
 * https://pracrand.sourceforge.net/RNG_engines.txt
 */
function generator(seed: number | undefined): () => number {
  const words = seed === undefined
    ? crypto.getRandomValues(new Int32Array(2))
    : Int32Array.of(seed, Math.floor(seed / 2 ** 32));
  let [a, b, c, counter] = [words[0]!, words[1]!, 0, 1];
  const next = () => {
    const out = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return (out >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next(); // until the seed has reached every bit
  return next;
}
