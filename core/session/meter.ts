/**
 * What a client counts of an answer that it pays for: its text and what was paid, against which it
 * holds every demand.
 * @module
 */
import { LloomError } from "../errors.ts";
import { type Cost, costOf } from "../payments/amounts.ts";
import { textBytes } from "../protocol/answer_text.ts";
import type { LlmRequestCommitment } from "../signing/typed_data.ts";
import type { Due } from "./delivery.ts";

/** How a client pays for a request. */
export interface MeterTerms {
  /** What its prompt is reckoned at. */
  readonly prepay: Cost;
  /** What was paid with the request. */
  readonly paid: Cost;
  /** Answers asked for: each may have some tokens that are no text. */
  readonly answers: number;
}

/** Counts one answer. */
export class Meter {
  readonly #asked: LlmRequestCommitment;
  readonly #terms: MeterTerms;
  #paid: Cost;
  #bytes = 0;
  #textBytes = 0;

  /** An answer that has not begun, to the request that the client signed. */
  constructor(asked: LlmRequestCommitment, terms: MeterTerms) {
    this.#asked = asked;
    this.#terms = terms;
    this.#paid = terms.paid;
  }

  /** What the answer can count at most: its bytes of text, and how many answers it is of. */
  get delivered(): { readonly textBytes: number; readonly answers: number } {
    return { textBytes: this.#textBytes, answers: this.#terms.answers };
  }

  /** Takes lines that came. @throws {LloomError} `frame_malformed`, `frame_too_large` if they are not JSON */
  add(lines: Uint8Array): void {
    this.#textBytes += textBytes(lines);
    this.#bytes += lines.length;
  }

  /**
   * What is to be paid in all, on a demand.
   * @throws {LloomError} `overcharged` if more is demanded than was delivered, or what is paid already
   */
  demand({ outboundTokens, deliveredBytes }: Due): Cost {
    const total = this.#terms.prepay + costOf(this.#asked, 0, outboundTokens);
    const fault = deliveredBytes !== this.#bytes
      ? "another part of the answer than came"
      : outboundTokens > this.#textBytes
      ? "more tokens than the answer has bytes"
      : outboundTokens > this.#asked.maxTokens
      ? "more tokens than asked for"
      : total <= this.#paid
      ? "what is paid"
      : undefined;
    if (fault !== undefined) {
      throw new LloomError("overcharged", `pay for answer: the executor demands ${fault}`);
    }
    this.#paid = total;
    return total;
  }
}
