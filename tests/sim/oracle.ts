/**
 * What must hold, whatever happens. Only honest nodes' accounts are looked at, and only what the world
 * can see: what was signed, what was on disk by then, what passed between nodes, and the chain.
 * @module
 */
import type { Hash } from "@lloom/core/bytes";
import { type Cost, costOf } from "@lloom/core/payments";
import {
  decodeExecutorFrame,
  TEMPLATE_TOKENS,
  textBytes,
  UNSEEN_TOKENS,
} from "@lloom/core/protocol";
import type { ModelChain } from "./model_chain.ts";
import { MISCOUNT, TOKEN_BYTES } from "./model_llm.ts";
import type { StreamObserver } from "./sim_stream.ts";

/** Names what was violated. */
export interface Violation {
  readonly invariant: string;
  readonly detail: string;
}

/** One request as it passed between two nodes. */
export interface Flow {
  readonly requestHash: Hash;
  readonly prices: { readonly inboundPrice: bigint; readonly outboundPrice: bigint };
  readonly bodyBytes: number;
  readonly prepay: Cost;
  readonly step: Cost;
  /** By the executor's disk. */
  paid: Cost;
  /** Tokens that were sent, and of the largest batch. */
  sentTokens: number;
  largestBatch: number;
  /** What the client has read. */
  readTokens: number;
  readTextBytes: number;
  receipts: number;
}

/** Remembers the first violation: it is what the run is about. */
export class Oracle {
  readonly flows = new Map<Hash, Flow>();
  #violation: Violation | undefined;
  readonly #onViolation: (violation: Violation) => void;

  constructor(onViolation: (violation: Violation) => void) {
    this.#onViolation = onViolation;
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** Takes note where something does not hold. */
  check(holds: boolean, invariant: string, detail: () => string): void {
    if (holds || this.#violation !== undefined) return;
    this.#violation = { invariant, detail: detail() };
    this.#onViolation(this.#violation);
  }

  /** Money neither appears nor vanishes. */
  checkChain(chain: ModelChain, supply: bigint): void {
    const { state } = chain.block();
    const { total, held, contract } = state;
    this.check(total === supply, "money is conserved", () => `${total} of ${supply}`);
    this.check(
      held === contract.owed,
      "the contract holds what it owes",
      () => `${held} for ${contract.owed}`,
    );
  }

  /** A request that an executor has admitted: from now on it is watched. */
  admitted(flow: Flow): void {
    this.flows.set(flow.requestHash, flow);
  }

  /**
   * What an executor's messages on a stream are watched with.
   * @param executor its ledger, if it is honest
   */
  watch(executor: { hasReceipt(requestHash: Hash): boolean } | undefined): StreamObserver {
    let sending: Flow | undefined;
    let reading: Flow | undefined;
    return {
      sent: (message) => {
        const frame = decodeExecutorFrame(message);
        if (frame.type === "accept") sending = this.flows.get(frame.requestHash);
        if (frame.type === "delta" && sending !== undefined) {
          this.#delivers(sending, textBytes(frame.lines), executor !== undefined);
        }
        if (frame.type !== "receipt" || executor === undefined) return;
        const { requestHash } = frame.response.commitment;
        this.check(
          executor.hasReceipt(requestHash),
          "a receipt is on disk before it is sent",
          () => requestHash,
        );
        const flow = this.flows.get(requestHash);
        if (flow === undefined) return;
        flow.receipts++;
        this.check(flow.receipts === 1, "one receipt for each request", () => requestHash);
      },
      read: (message) => {
        const frame = decodeExecutorFrame(message);
        if (frame.type === "accept") reading = this.flows.get(frame.requestHash);
        if (frame.type !== "delta" || reading === undefined) return;
        const bytes = textBytes(frame.lines);
        reading.readTextBytes += bytes;
        reading.readTokens += bytes / TOKEN_BYTES;
      },
    };
  }

  /** An honest executor has no more than a step outstanding, or one batch. */
  #delivers(flow: Flow, bytes: number, isHonest: boolean): void {
    const tokens = bytes / TOKEN_BYTES;
    const before = flow.prepay + costOf(flow.prices, 0, flow.sentTokens) - flow.paid;
    flow.sentTokens += tokens;
    flow.largestBatch = Math.max(flow.largestBatch, tokens);
    if (!isHonest) return;
    const after = before + costOf(flow.prices, 0, tokens);
    this.check(
      after <= flow.step || before <= 0n,
      "no more than a step is delivered unpaid",
      () => `${after} of ${flow.step}, in request ${flow.requestHash}`,
    );
  }

  /** What a broken request may cost its honest executor. */
  checkSeller(requestHash: Hash, cost: Cost, paid: Cost): void {
    const flow = this.flows.get(requestHash);
    if (flow === undefined) return;
    const { prices, bodyBytes, prepay, step, largestBatch, sentTokens } = flow;
    const batch = costOf(prices, 0, largestBatch);
    const delivered = prepay + costOf(prices, 0, sentTokens);
    const miscount = costOf(prices, Math.ceil(bodyBytes / 3) + 3, MISCOUNT) - prepay;
    const most = (batch > step ? batch : step) + (miscount > 0n ? miscount : 0n);
    const lost = (cost > delivered ? cost : delivered) - paid;
    this.check(
      lost <= most,
      "an executor loses a step or a batch at most",
      () => `${lost} of ${most}, in request ${requestHash}`,
    );
  }

  /** What a receipt may claim: no more than the answer can have. */
  checkReceipt(requestHash: Hash, cost: Cost): void {
    const flow = this.flows.get(requestHash);
    if (flow === undefined) return;
    const { prices, bodyBytes, readTextBytes } = flow;
    const most = costOf(prices, bodyBytes + TEMPLATE_TOKENS, readTextBytes + UNSEEN_TOKENS);
    this.check(
      cost <= most,
      "a receipt claims what can have been delivered",
      () => `${cost} of ${most}, in request ${requestHash}`,
    );
  }

  /** What a request without a receipt may cost its honest client: what came, and the prompt. */
  checkBuyer(requestHash: Hash, paid: Cost, isExecutorHonest: boolean): void {
    const flow = this.flows.get(requestHash);
    if (flow === undefined) return;
    const { prices, prepay, readTokens, readTextBytes } = flow;
    const most = prepay + costOf(prices, 0, isExecutorHonest ? readTokens : readTextBytes);
    this.check(
      paid <= most,
      "a client pays for the prompt and for what came",
      () => `${paid} of ${most}, in request ${requestHash}`,
    );
  }
}
