/** What must hold of an honest client's account. @module */
import type { Address, Hash } from "@lloom/core/bytes";
import {
  type Book,
  type BuyerPayment,
  type BuyerStore,
  type Cost,
  costOf,
  toAmount,
} from "@lloom/core/payments";
import type { Voucher } from "@lloom/core/signing";
import type { Oracle } from "./oracle.ts";
import type { LedgerObserver } from "./sim_ledger.ts";

const EVERYTHING = { limit: 1_000_000 };

/** Watches one client. */
export class BuyerOracle implements LedgerObserver<BuyerStore> {
  readonly #name: string;
  readonly #oracle: Oracle;
  /** Of each channel, the largest amount that is on disk to be signed. */
  readonly #onDisk = new Map<Hash, bigint>();
  /** Of each channel, the largest voucher signed. */
  readonly #signed = new Map<Hash, Voucher>();
  /** Of each channel, the most that was ever spent and under way at once. */
  readonly #peak = new Map<Hash, Cost>();
  /** Of each channel, the largest deposit that it was told of. */
  readonly #deposits = new Map<Hash, bigint>();
  /** Requests of which something was acknowledged, and whether that was their end. */
  readonly #answered = new Map<string, boolean>();

  readonly #isHonest: (executor: Address) => boolean;
  #crashedMs = 0;

  /** @param isHonest whether an executor is */
  constructor(name: string, oracle: Oracle, isHonest: (executor: Address) => boolean) {
    this.#isHonest = isHonest;
    this.#name = name;
    this.#oracle = oracle;
  }

  /** What was signed of a channel at most. */
  signed(channelId: Hash): bigint {
    return this.#signed.get(channelId)?.cumulativeAmount ?? 0n;
  }

  changed(book: Book<BuyerStore>): void {
    const requests = book.history(EVERYTHING);
    for (const channel of book.channels()) {
      const { channelId, deposit, spent, inFlight, reserved, signed } = channel;
      const own = requests.filter((one) => one.channelId === channelId);
      const open = own.filter(({ state }) => state === "open");
      const sums = {
        spent: sum(own.map(({ state, cost }) => state === "open" ? 0n : cost)),
        inFlight: sum(open.map(({ paid }) => paid)),
        reserved: sum(open.map(({ maxCost }) => maxCost)),
      };
      this.#check(
        sums.spent === spent && sums.inFlight === inFlight && sums.reserved === reserved,
        "a channel is the sum of its requests",
        `${spent} ${inFlight} ${reserved}, not ${sums.spent} ${sums.inFlight} ${sums.reserved}`,
      );
      // A late endpoint may take it back, and a closed channel has none.
      const most = larger(this.#deposits.get(channelId) ?? 0n, deposit);
      this.#deposits.set(channelId, most);
      const now = spent + inFlight;
      const peak = this.#peak.get(channelId) ?? 0n;
      this.#peak.set(channelId, larger(now, peak));
      this.#check(
        signed >= toAmount(now) && signed <= toAmount(larger(now, peak)),
        "what is signed is what is owed, rounded up once",
        `${signed} for ${now}`,
      );
      this.#check(
        signed <= most,
        "no more is signed than deposited",
        `${signed} of ${most}`,
      );
      this.#check(
        toAmount(spent + reserved) <= most,
        "no more is promised than deposited",
        `${spent} and ${reserved} of ${most}`,
      );
      for (const { state, request, executor, paid } of own) {
        if (state === "done" || state === "refused" || request === undefined) continue;
        this.#oracle.checkBuyer(request.requestHash, paid, this.#isHonest(executor));
      }
      for (const { state, response, cost } of own) {
        if (state !== "done" || response === undefined) continue;
        const { inboundTokens, outboundTokens } = response.commitment;
        const exact = costOf(response.commitment, inboundTokens, outboundTokens);
        this.#check(
          cost === exact,
          "a request costs what its tokens cost",
          `${cost}, not ${exact}`,
        );
      }
    }
  }

  stored(name: string, args: readonly unknown[], result: unknown): void {
    if (name === "reserve") this.#answered.set((args[1] as { id: string }).id, false);
    if (name === "settle" || name === "dispute" || name === "abandon" || name === "disown") {
      this.#answered.set(args[0] as string, true);
    }
    const isPayment = name === "reserve" || name === "pay" || name === "settle";
    const voucher = isPayment ? (result as BuyerPayment | undefined)?.voucher : undefined;
    if (voucher === undefined) return;
    const { channelId, cumulativeAmount } = voucher;
    const known = this.#onDisk.get(channelId) ?? 0n;
    if (cumulativeAmount > known) this.#onDisk.set(channelId, cumulativeAmount);
  }

  /** It signs a voucher. */
  signs(voucher: Voucher): void {
    const { channelId, cumulativeAmount, requests } = voucher;
    this.#check(
      cumulativeAmount <= (this.#onDisk.get(channelId) ?? 0n),
      "a voucher is on disk before it is signed",
      `${cumulativeAmount} of ${this.#onDisk.get(channelId)}`,
    );
    const before = this.#signed.get(channelId);
    if (before === undefined) return void this.#signed.set(channelId, voucher);
    const isMore = cumulativeAmount > before.cumulativeAmount ||
      cumulativeAmount === before.cumulativeAmount && requests > before.requests;
    const [less, more] = isMore ? [before, voucher] : [voucher, before];
    this.#check(
      less.requests <= more.requests && less.outboundTokens <= more.outboundTokens,
      "vouchers do not contradict each other",
      `${less.requests} requests for ${less.cumulativeAmount}, ${more.requests} for more`,
    );
    if (isMore) this.#signed.set(channelId, voucher);
  }

  /** It was taken back to what is on its disk. */
  crashed(book: Book<BuyerStore>, nowMs: number): void {
    this.#crashedMs = nowMs;
    const signed = new Map(book.channels().map((one) => [one.channelId, one.signed]));
    for (const [channelId, { cumulativeAmount }] of this.#signed) {
      this.#check(
        (signed.get(channelId) ?? 0n) >= cumulativeAmount,
        "a client never knows less than it has signed",
        `${signed.get(channelId)} of ${cumulativeAmount}`,
      );
    }
    const states = new Map(book.history(EVERYTHING).map(({ id, state }) => [id, state]));
    for (const [id, isOver] of this.#answered) {
      const state = states.get(id);
      this.#check(
        state !== undefined && (!isOver || state !== "open"),
        "nothing acknowledged is lost",
        `request ${id} is ${state}`,
      );
    }
  }

  /** All is over. */
  finish(book: Book<BuyerStore>): void {
    this.changed(book);
    for (const one of book.history(EVERYTHING)) {
      const { request, state, cost, id, startedMs, endedMs, deadlineMs } = one;
      // What a crash left open is given up with the next request after its deadline.
      const isLeft = startedMs <= this.#crashedMs;
      this.#check(state !== "open" || isLeft, "every request ends", `${id} is open`);
      const isGivenUp = state === "abandoned" && endedMs !== undefined && endedMs <= deadlineMs &&
        this.#answered.get(id) === false;
      this.#check(!isGivenUp || isLeft, "nothing is given up while it goes on", id);
      if (request === undefined || state !== "done") continue;
      this.#oracle.checkReceipt(request.requestHash, cost);
    }
  }

  #check(holds: boolean, invariant: string, detail: string): void {
    this.#oracle.check(holds, invariant, () => `${this.#name}: ${detail}`);
  }
}

/** The larger one. */
export function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** The sum of costs. */
export function sum(costs: readonly Cost[]): Cost {
  return costs.reduce((total, cost) => total + cost, 0n);
}
