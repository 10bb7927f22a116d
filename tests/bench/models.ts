/** The models that benches ask, and what they say. @module */

/** Tokens a second, by name. */
export const MODELS: Readonly<Record<string, number>> = {
  "instant": Infinity,
  "steady-100": 100,
  "steady-20": 20,
};

/** What the token of a place says. */
export function tokenText(index: number): string {
  return ` ${index}`;
}

/** What an answer of so many tokens says. */
export function answerText(tokens: number): string {
  return Array.from({ length: tokens }, (_, i) => tokenText(i)).join("");
}
