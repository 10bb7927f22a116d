/** What must hold of an honest executor's account. @module */
import type { Hash } from "@lloom/core/bytes";
import {
  type Book,
  costOf,
  estimate,
  type NewSale,
  seller,
  type SellerStore,
  toAmount,
} from "@lloom/core/payments";
import type { LlmResponseCommitment } from "@lloom/core/signing";
import { larger, sum } from "./buyer_oracle.ts";
import type { Oracle } from "./oracle.ts";
import type { LedgerObserver } from "./sim_ledger.ts";

const EVERYTHING = { limit: 1_000_000 };

/** Watches one executor. */
export class SellerOracle implements LedgerObserver<SellerStore> {
  readonly #name: string;
  readonly #oracle: Oracle;
  readonly #isHonest: boolean;
  readonly #stepTokens: number;
  /** Of each channel, the most that it holds a voucher for, and has said so. */
  readonly #held = new Map<Hash, bigint>();
  /** Of each channel, the largest deposit that it was told of: a late endpoint may take it back. */
  readonly #deposits = new Map<Hash, bigint>();
  readonly #receipts = new Set<Hash>();
  readonly #signed = new Map<Hash, number>();
  #book: Book<SellerStore> | undefined;

  constructor(name: string, oracle: Oracle, isHonest: boolean, stepTokens: number) {
    this.#name = name;
    this.#oracle = oracle;
    this.#isHonest = isHonest;
    this.#stepTokens = stepTokens;
  }

  /** Channels, and what it holds vouchers for. */
  get held(): ReadonlyMap<Hash, bigint> {
    return this.#held;
  }

  /** Whether a receipt is on disk. */
  hasReceipt(requestHash: Hash): boolean {
    return this.#receipts.has(requestHash);
  }

  changed(book: Book<SellerStore>): void {
    this.#book = book;
    if (!this.#isHonest) return;
    const sales = book.sales(EVERYTHING);
    for (const channel of book.channels()) {
      const { channelId, spent, inFlight, reserved, deposit } = channel;
      const own = sales.filter((one) => one.channelId === channelId);
      const open = own.filter(({ state }) => state === "open" || state === "settling");
      const sums = {
        spent: sum(
          own.map(({ state, paid, cost }) =>
            state === "done" ? cost : state === "unpaid" || state === "broken" ? paid : 0n
          ),
        ),
        inFlight: sum(open.map(({ paid }) => paid)),
        reserved: sum(open.map(({ maxCost }) => maxCost)),
      };
      this.#check(
        sums.spent === spent && sums.inFlight === inFlight && sums.reserved === reserved,
        "a channel is the sum of its requests",
        `${spent} ${inFlight} ${reserved}, not ${sums.spent} ${sums.inFlight} ${sums.reserved}`,
      );
      const most = larger(this.#deposits.get(channelId) ?? 0n, deposit);
      this.#deposits.set(channelId, most);
      const covered = seller.coveredBy({ ...channel, deposit: most });
      this.#check(
        covered >= toAmount(spent + inFlight),
        "what counts as paid is covered by a voucher",
        `${covered} for ${spent + inFlight}`,
      );
      this.#check(
        toAmount(spent + reserved) <= most,
        "nothing is served beyond the deposit",
        `${spent} and ${reserved} of ${most}`,
      );
    }
  }

  stored(name: string, args: readonly unknown[], result: unknown): void {
    if (name === "admit") this.#admitted(args[1] as NewSale, result as { paid: bigint });
    if (name === "settle") this.#receipts.add(args[0] as Hash);
    if (name === "pay") {
      const flow = this.#oracle.flows.get(args[0] as Hash);
      if (flow !== undefined) flow.paid = result as bigint;
    }
    if (name !== "admit" && name !== "pay") return;
    const taken = (name === "admit" ? args[2] : args[1]) as seller.TakenVoucher;
    const voucher = taken.signed?.voucher;
    if (voucher === undefined) return;
    const known = this.#held.get(voucher.channelId) ?? 0n;
    if (voucher.cumulativeAmount > known) {
      this.#held.set(voucher.channelId, voucher.cumulativeAmount);
    }
  }

  #admitted({ requestHash, request, maxCost }: NewSale, { paid }: { paid: bigint }): void {
    const { commitment } = request;
    // What the estimate adds to the body is the same for every request.
    const overhead = estimate(commitment, 0).maxCost;
    const bodyBytes = commitment.inboundPrice === 0n
      ? 0
      : Number((maxCost - overhead) / commitment.inboundPrice);
    this.#oracle.admitted({
      requestHash,
      prices: commitment,
      bodyBytes,
      prepay: estimate(commitment, bodyBytes).prepay,
      step: costOf(commitment, 0, this.#stepTokens),
      paid,
      ...{ sentTokens: 0, largestBatch: 0, readTokens: 0, readTextBytes: 0, receipts: 0 },
    });
  }

  /** It signs a receipt. */
  signs({ requestHash }: LlmResponseCommitment): void {
    const count = (this.#signed.get(requestHash) ?? 0) + 1;
    this.#signed.set(requestHash, count);
    this.#check(count === 1, "one receipt for each request", `${count} for ${requestHash}`);
  }

  /** It was taken back to what is on its disk. */
  crashed(book: Book<SellerStore>): void {
    const vouchers = new Map(
      book.channels().map(({ channelId, voucher }) => [
        channelId,
        voucher?.voucher.cumulativeAmount ?? 0n,
      ]),
    );
    for (const [channelId, amount] of this.#held) {
      const left = vouchers.get(channelId) ?? 0n;
      this.#check(left >= amount, "nothing acknowledged is lost", `${left} of ${amount}`);
    }
    const sales = new Map(book.sales(EVERYTHING).map((sale) => [sale.requestHash, sale]));
    for (const requestHash of this.#receipts) {
      this.#check(
        sales.get(requestHash)?.response !== undefined,
        "nothing acknowledged is lost",
        `the receipt of ${requestHash}`,
      );
    }
  }

  /** All is over. */
  finish(): void {
    if (this.#book === undefined || !this.#isHonest) return;
    this.changed(this.#book);
    for (const { requestHash, state, cost, paid } of this.#book.sales(EVERYTHING)) {
      const isOver = state !== "open" && state !== "settling";
      this.#check(isOver, "every request ends", `${requestHash} is ${state}`);
      if (state !== "refused") this.#oracle.checkSeller(requestHash, cost, paid);
    }
  }

  #check(holds: boolean, invariant: string, detail: string): void {
    if (this.#isHonest) this.#oracle.check(holds, invariant, () => `${this.#name}: ${detail}`);
  }
}
