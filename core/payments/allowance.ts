/** What all attempts of one request may cost together. @module */
import { LloomError } from "../errors.ts";
import { type Amount, type Cost, toCost } from "./amounts.ts";

/** A limit that several executors, asked one after the other for the same answer, share. */
export class Allowance {
  readonly #limit: Cost;
  #spent: Cost = 0n;

  /** Nothing is spent yet. @param limit base units */
  constructor(limit: Amount) {
    this.#limit = toCost(limit);
  }

  /** Whether one more attempt may be made. @throws {LloomError} `budget_exceeded` if it can cost too much */
  check(maxCost: Cost): void {
    if (this.#spent + maxCost <= this.#limit) return;
    throw new LloomError(
      "budget_exceeded",
      "pay request: with what attempts before it cost, it can cost more than allowed",
    );
  }

  /** Counts what an attempt came to. */
  spend(cost: Cost): void {
    this.#spent += cost;
  }
}
