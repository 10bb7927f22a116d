/** What all attempts of one request may cost together. @module */
import { LloomError } from "../errors.ts";
import { type Amount, type Cost, toCost } from "./amounts.ts";

/** A limit that several executors, asked for the same answer, share. */
export class Allowance {
  /** What attempts that are over came to, and what those under way can cost, must not exceed it. */
  #left: Cost;

  /** Nothing is spent yet. @param limit base units */
  constructor(limit: Amount) {
    this.#left = toCost(limit);
  }

  /**
   * Sets aside what one more attempt can cost.
   * @returns to be called once, with what it came to
   * @throws {LloomError} `budget_exceeded` if it can cost too much
   */
  reserve(maxCost: Cost): (cost: Cost) => void {
    if (maxCost > this.#left) {
      throw new LloomError(
        "budget_exceeded",
        "pay request: with what other attempts cost, it can cost more than allowed",
      );
    }
    this.#left -= maxCost;
    return (cost) => {
      this.#left += maxCost - cost;
    };
  }
}
