/** Money: amounts, what requests cost, channels as both sides keep them, and proofs of payment. @module */
export * from "./amounts.ts";
export * from "./prepay.ts";
export * from "./ports.ts";
