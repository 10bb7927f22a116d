/** Medians and spreads, and how they are shown. @module */

/** Several measurements of one thing. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The value in the middle. @throws {RangeError} without any */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("take median: no values");
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Sums up measurements. */
export function figure(values: readonly number[]): Figure {
  return {
    median: round(median(values)),
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
  };
}

/** To a thousandth: finer than anything measured here. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** As `median (min–max)`. */
export function show({ median, min, max }: Figure, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}
