/**
 * What an executor hands out before it is paid: an answer's text goes on as long as no more than one
 * step is outstanding, and waits beyond it.
 * @module
 */
import { type Cost, costOf, type Prices } from "../payments/amounts.ts";

/** What payment is asked for: all that was delivered so far. */
export interface Due {
  /** About how many tokens of answer. */
  readonly outboundTokens: number;
  /** Bytes of lines, by which both sides know which part of the answer is meant. */
  readonly deliveredBytes: number;
}

/** How a request is paid, once it is admitted. */
export interface DeliveryTerms {
  /** Its prices; free ones make everything go at once. */
  readonly prices: Prices;
  /** The most tokens that are charged. */
  readonly maxTokens: number;
  /** What its prompt is reckoned at. */
  readonly prepay: Cost;
  /** What may be outstanding. */
  readonly step: Cost;
  /** What is paid already. */
  readonly paid: Cost;
}

interface Batch {
  readonly lines: Uint8Array;
  readonly tokens: number;
}

/** One answer between its model and a client that pays as it comes. */
export class Delivery {
  readonly #terms: DeliveryTerms;
  readonly #held: Batch[] = [];
  #paid: Cost;
  #tokens = 0;
  #bytes = 0;
  /** What was asked for last, and not paid yet. */
  #demanded: Cost | undefined;

  /** An answer that has not begun. */
  constructor(terms: DeliveryTerms) {
    this.#terms = terms;
    this.#paid = terms.paid;
  }

  /** Whether text waits for payment. */
  get holding(): boolean {
    return this.#held.length > 0;
  }

  /** What the client was asked for and has not paid; undefined if it owes no answer. */
  get demanded(): Cost | undefined {
    return this.#demanded;
  }

  /** What is paid. */
  get paid(): Cost {
    return this.#paid;
  }

  /** What was delivered comes to, by the running count. */
  get accrued(): Cost {
    return this.#costAt(this.#tokens);
  }

  /**
   * What is owed if there is no receipt: what has accrued, or more if the prompt has.
   * @param promptTokens the prompt's exact count, once it is known
   */
  owed(promptTokens = 0): Cost {
    const exact = costOf(this.#terms.prices, promptTokens, this.#tokens);
    return exact > this.accrued ? exact : this.accrued;
  }

  /** Takes a batch from the model; {@linkcode Delivery.release} says when it goes. */
  add(lines: Uint8Array, tokens: number): void {
    this.#held.push({ lines, tokens });
  }

  /** The batches that go now, in order. */
  release(): Uint8Array[] {
    const released: Uint8Array[] = [];
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      const tokens = Math.min(this.#terms.maxTokens, this.#tokens + next.tokens);
      // A batch is never split: one above a step goes when nothing else is outstanding.
      const goes = this.accrued <= this.#paid ||
        this.#costAt(tokens) - this.#paid <= this.#terms.step;
      if (!goes) break;
      this.#tokens = tokens;
      this.#bytes += next.lines.length;
      released.push(next.lines);
      this.#held.shift();
    }
    return released;
  }

  /** What is to be asked for now, if anything; one at a time. */
  demand(): Due | undefined {
    const owed = this.accrued - this.#paid;
    if (this.#demanded !== undefined || owed <= 0n) return undefined;
    // Early enough that the text need not wait; and at the latest when it does.
    if (2n * owed < this.#terms.step && !this.holding) return undefined;
    this.#demanded = this.accrued;
    return { outboundTokens: this.#tokens, deliveredBytes: this.#bytes };
  }

  /** Takes the payment that was asked for, or more. */
  pay(total: Cost): void {
    this.#demanded = undefined;
    if (total > this.#paid) this.#paid = total;
  }

  #costAt(tokens: number): Cost {
    return this.#terms.prepay + costOf(this.#terms.prices, 0, tokens);
  }
}
