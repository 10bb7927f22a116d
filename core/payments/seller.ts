/**
 * An executor's account of its channels and requests: pure transitions from one record to the next.
 * Whoever stores them does so before anything is acknowledged.
 *
 * A request is `open` while it is served, and `settling` once its receipt is signed and not all is
 * paid. It ends as `done`, as `unpaid` (with a receipt, and something missing), as `broken` (without
 * a receipt) or as `refused` (nothing is owed, and nothing is kept of it). A voucher counts for the
 * whole channel; which part of it counts for which request is what its client says, as long as all of
 * that is covered.
 * @module
 */
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { SignedVoucher } from "../ports.ts";
import type { Keccak256 } from "../signing/encode.ts";
import type { ChannelTerms, Voucher } from "../signing/typed_data.ts";
import { type Amount, type Cost, toAmount, toCost } from "./amounts.ts";
import { type Channel, type ChannelView, hasRoom } from "./channel.ts";
import { appendLeaf, leafOf, rootOf } from "./merkle.ts";

/** A channel as its executor keeps it. */
export interface SellerChannel extends Channel {
  /** The voucher that pays most; absent before the first. */
  readonly voucher?: SignedVoucher;
  /** Receipts known to be acknowledged, without a gap. */
  readonly acknowledged: number;
  /** What was delivered and never paid. */
  readonly unpaid: Cost;
  /** Requests that are not over. */
  readonly underWay: number;
  /** Whether its executor has agreed to close it, and so serves it no more. */
  readonly consented: boolean;
}

/** How a request stands. */
export type SellerRequestState = "open" | "settling" | "done" | "unpaid" | "broken" | "refused";

/** The money of one request, as its executor keeps it. */
export interface SellerRequest {
  /** hashStruct of the request. */
  readonly requestHash: Hash;
  /** What it is paid from. */
  readonly channelId: Hash;
  /** How it stands. */
  readonly state: SellerRequestState;
  /** What it can come to at most. */
  readonly maxCost: Cost;
  /** What is paid of it. */
  readonly paid: Cost;
  /** What its receipt, or what was delivered without one, came to. */
  readonly cost: Cost;
  /** hashStruct of the receipt; absent without one. */
  readonly responseHash?: Hash;
  /** Its receipt's place among those acknowledged; absent before. */
  readonly leafIndex?: number;
}

/** What a voucher does. Requests that it acknowledges may change with the one it is for. */
export interface SellerChange {
  /** The channel after it. */
  readonly channel: SellerChannel;
  /** All requests changed; the one it is about is the first. */
  readonly requests: readonly [SellerRequest, ...SellerRequest[]];
}

/** A voucher, whose signature was checked, and what its client says with it. */
export interface TakenVoucher {
  /** Absent where the client says that those before suffice. */
  readonly signed?: SignedVoucher;
  /** What of all vouchers counts for the request. */
  readonly paid: Cost;
  /** Index of the first of `receipts`. */
  readonly first: number;
  /** Request hashes of receipts, in the client's order. */
  readonly receipts: readonly Hash[];
}

/** What the ledger looks up for a transition. */
export interface SellerLookup {
  /** keccak-256 for the tree of receipts. */
  readonly keccak256: Keccak256;
  /** A request of the same channel. */
  readonly request: (requestHash: Hash) => SellerRequest | undefined;
}

/** A channel that a client presented, as the chain has it: what is settled pays for nothing more. */
export function newSellerChannel(
  channelId: Hash,
  terms: ChannelTerms,
  view: ChannelView,
): SellerChannel {
  return {
    ...view,
    channelId,
    terms,
    spent: toCost(view.settled),
    inFlight: 0n,
    reserved: 0n,
    peaks: [],
    acknowledged: 0,
    unpaid: 0n,
    underWay: 0,
    consented: false,
  };
}

/** A channel as the chain has it now. What vouchers settled that are not here, after a loss, is spent. */
export function viewedBySeller(channel: SellerChannel, view: ChannelView): SellerChannel {
  const viewed = { ...channel, ...view };
  const { spent, inFlight, voucher } = channel;
  if (view.settled <= (voucher?.voucher.cumulativeAmount ?? 0n)) return viewed;
  const settled = toCost(view.settled) - inFlight;
  return settled > spent ? { ...viewed, spent: settled } : viewed;
}

/** What the contract would pay for the best voucher: never more than the deposit. */
export function coveredBy({ voucher, deposit }: SellerChannel): Amount {
  const promised = voucher?.voucher.cumulativeAmount ?? 0n;
  return promised < deposit ? promised : deposit;
}

/** What can be redeemed now. */
export function redeemable(channel: SellerChannel): Amount {
  if (channel.status !== "open" && channel.status !== "closing") return 0n;
  const due = coveredBy(channel) - channel.settled;
  return due > 0n ? due : 0n;
}

/** What a request must bring to be served. */
export interface SellerTerms {
  /** Paid in advance. */
  readonly prepay: Cost;
  /**
   * What is delivered before it waits, at the executor's own price: what may be missing on a channel is
   * reckoned in these, and who offers more must not get more for nothing.
   */
  readonly step: Cost;
}

/** What a channel that has paid nothing yet may have outstanding on all its requests, in steps. */
const TRUSTED_STEPS = 16n;

/**
 * Takes a request on, with what was paid in advance.
 * @throws {LloomError} `channel_unusable`, `payment_required`, `voucher_invalid`; `overloaded` while so
 * many are under way that the channel could run up more than it has paid
 */
export function admit(
  channel: SellerChannel,
  wanted: Pick<SellerRequest, "requestHash" | "maxCost">,
  taken: TakenVoucher,
  terms: SellerTerms,
  lookup: SellerLookup,
): SellerChange {
  if (channel.consented) throw unusable("it is being closed with this executor's consent");
  if (channel.status !== "open") throw unusable(`it is ${channel.status}`);
  if (owesTooMuch(channel, terms.step)) throw unpaid("too much was not paid before");
  if (!hasRoom(channel, wanted.maxCost)) throw unpaid("the channel's deposit is too small");
  if (taken.paid < terms.prepay) throw unpaid("less is paid than the prompt costs");
  if (risks(channel, terms.step) > TRUSTED_STEPS * terms.step + channel.spent) {
    throw new LloomError("overloaded", "admit request: many are under way for what was paid yet", {
      retryAfterMs: 1000,
    });
  }
  const request: SellerRequest = {
    ...wanted,
    channelId: channel.channelId,
    state: "open",
    paid: 0n,
    cost: 0n,
  };
  const reserved = {
    ...channel,
    reserved: channel.reserved + wanted.maxCost,
    underWay: channel.underWay + 1,
  };
  const change = takeVoucher(reserved, request, taken, lookup);
  // What the voucher pays late, of requests that had been given up, leaves less room.
  if (!hasRoom(change.channel, 0n)) throw unpaid("the channel's deposit is too small");
  return change;
}

/** Whether a channel's written-off sum exceeds both four steps and a fiftieth of what it was paid. */
function owesTooMuch({ unpaid, spent }: SellerChannel, step: Cost): boolean {
  return unpaid > 4n * step && 50n * unpaid > spent;
}

/** What is missing if nobody pays the last step of what is under way, and of one request more. */
function risks({ unpaid, underWay }: SellerChannel, step: Cost): Cost {
  return unpaid + BigInt(underWay + 1) * step;
}

/**
 * Takes a voucher that came with a request. One that is older than the best is no fault: requests of
 * one channel are on streams of their own, which overtake each other.
 * @throws {LloomError} `voucher_invalid` if it does not cover what it is said to, or contradicts
 * another
 */
export function takeVoucher(
  channel: SellerChannel,
  request: SellerRequest,
  taken: TakenVoucher,
  lookup: SellerLookup,
): SellerChange {
  const { signed } = taken;
  const known: SellerChange = signed === undefined
    ? { channel, requests: [request] }
    : acknowledge(withBest(channel, signed), signed.voucher, taken, request, lookup);
  const [own, ...others] = known.requests;
  const change = claim(known.channel, own, taken.paid);
  const { spent, inFlight } = change.channel;
  if (toAmount(spent + inFlight) > coveredBy(change.channel)) {
    throw invalid("it covers less than it is said to pay");
  }
  return { channel: change.channel, requests: [change.request, ...others] };
}

/** Counts what a client says is paid of a request; less than before is only late. */
function claim(
  channel: SellerChannel,
  request: SellerRequest,
  paid: Cost,
): { readonly channel: SellerChannel; readonly request: SellerRequest } {
  const isOver = request.state !== "open" && request.state !== "settling";
  if (isOver || paid <= request.paid) return { channel, request };
  if (paid > request.maxCost) throw invalid("it pays more than the request can cost");
  const inFlight = channel.inFlight + paid - request.paid;
  return finishIfPaid({ ...channel, inFlight }, { ...request, paid });
}

/** The channel with the better of two vouchers, which must not contradict each other. */
function withBest(channel: SellerChannel, signed: SignedVoucher): SellerChannel {
  const { voucher } = signed;
  if (voucher.channelId !== channel.channelId) throw invalid("it is for another channel");
  const held = channel.voucher?.voucher;
  if (held === undefined) return { ...channel, voucher: signed };
  const isNewer = voucher.cumulativeAmount > held.cumulativeAmount ||
    voucher.cumulativeAmount === held.cumulativeAmount && voucher.requests > held.requests;
  const [older, newer] = isNewer ? [held, voucher] : [voucher, held];
  if (
    older.requests > newer.requests || older.inboundTokens > newer.inboundTokens ||
    older.outboundTokens > newer.outboundTokens
  ) throw invalid("it contradicts one before");
  return isNewer ? { ...channel, voucher: signed } : channel;
}

/**
 * Learns which receipts a voucher acknowledges, and checks its root where none before is missing. What
 * is acknowledged is paid, also where it had been given up: its client counts it as spent.
 */
function acknowledge(
  channel: SellerChannel,
  voucher: Voucher,
  { first, receipts }: TakenVoucher,
  current: SellerRequest,
  { keccak256, request: find }: SellerLookup,
): SellerChange {
  const total = first + receipts.length;
  if (BigInt(total) !== voucher.requests) throw invalid("it acknowledges other receipts");
  if (first > channel.acknowledged || total <= channel.acknowledged) {
    return { channel, requests: [current] };
  }
  let after = channel;
  const changed = new Map([[current.requestHash, current]]);
  for (const requestHash of receipts.slice(channel.acknowledged - first)) {
    const found = changed.get(requestHash) ?? find(requestHash);
    if (found?.responseHash === undefined || found.leafIndex !== undefined) {
      throw invalid("it acknowledges a receipt that there is not");
    }
    const { acknowledged } = after;
    const leaf = leafOf(keccak256, requestHash, found.responseHash, found.cost);
    const peaks = appendLeaf(keccak256, after.peaks, acknowledged, leaf);
    const change = payUp({ ...after, peaks, acknowledged: acknowledged + 1 }, found);
    after = change.channel;
    changed.set(requestHash, { ...change.request, leafIndex: acknowledged });
  }
  if (rootOf(keccak256, after.peaks) !== voucher.receiptsRoot) {
    throw invalid("its root is not that of its receipts");
  }
  const own = changed.get(current.requestHash)!;
  changed.delete(current.requestHash);
  return { channel: after, requests: [own, ...changed.values()] };
}

/** A request with a receipt, as paid in full. */
function payUp(
  channel: SellerChannel,
  request: SellerRequest,
): { readonly channel: SellerChannel; readonly request: SellerRequest } {
  const { state, cost } = request;
  if (state === "settling") {
    const ended = end(channel, request, "done", cost, 0n);
    return { ...ended, request: { ...ended.request, paid: cost } };
  }
  if (state !== "unpaid") return { channel, request };
  const late = cost - request.paid;
  return {
    channel: { ...channel, spent: channel.spent + late, unpaid: channel.unpaid - late },
    request: { ...request, state: "done", paid: cost },
  };
}

/**
 * Keeps a receipt: from now on the request comes to `cost`.
 * To be stored before the receipt is sent, and done once: a second receipt would cost the bond.
 */
export function settleTab(
  channel: SellerChannel,
  request: SellerRequest,
  receipt: { readonly responseHash: Hash; readonly cost: Cost },
): { readonly channel: SellerChannel; readonly request: SellerRequest } {
  if (request.state !== "open") throw new TypeError(`settle request: it is ${request.state}`);
  if (receipt.cost > request.maxCost) {
    throw new RangeError("settle request: it comes to more than it can");
  }
  return finishIfPaid(channel, { ...request, ...receipt, state: "settling" });
}

function finishIfPaid(
  channel: SellerChannel,
  request: SellerRequest,
): { readonly channel: SellerChannel; readonly request: SellerRequest } {
  if (request.state !== "settling" || request.paid < request.cost) return { channel, request };
  return end(channel, request, "done", request.cost, 0n);
}

/**
 * Ends a request whose client is gone, does not pay, or was refused. Does nothing to one that is over.
 * @param owed what was delivered comes to, where there is no receipt; zero where it was refused
 */
export function closeTab(
  channel: SellerChannel,
  request: SellerRequest,
  owed: Cost,
): { readonly channel: SellerChannel; readonly request: SellerRequest } {
  const { state, paid, cost } = request;
  if (state === "settling") return end(channel, request, "unpaid", paid, cost - paid);
  if (state !== "open") return { channel, request };
  if (owed === 0n) return end(channel, request, "refused", 0n, 0n);
  const missing = owed > paid ? owed - paid : 0n;
  return end(channel, { ...request, cost: owed }, "broken", paid, missing);
}

/**
 * Agrees to close: the executor's last act on the channel, to be stored before the consent is signed.
 * @returns the channel, and what its executor gets in all
 * @throws {LloomError} `overloaded` while requests are under way, `channel_unusable` if it is closed
 */
export function consentToClose(
  channel: SellerChannel,
): { readonly channel: SellerChannel; readonly finalAmount: Amount } {
  if (channel.status !== "open" && channel.status !== "closing") {
    throw unusable(`it is ${channel.status}`);
  }
  if (channel.reserved > 0n) {
    throw new LloomError("overloaded", "close channel: requests are under way", {
      retryAfterMs: 1000,
    });
  }
  const covered = coveredBy(channel);
  const finalAmount = covered > channel.settled ? covered : channel.settled;
  return { channel: { ...channel, consented: true }, finalAmount };
}

/** Ends a request: `charged` of what was paid is spent, `missing` is written off. */
function end(
  channel: SellerChannel,
  request: SellerRequest,
  state: SellerRequestState,
  charged: Cost,
  missing: Cost,
): { readonly channel: SellerChannel; readonly request: SellerRequest } {
  return {
    channel: {
      ...channel,
      reserved: channel.reserved - request.maxCost,
      underWay: channel.underWay - 1,
      inFlight: channel.inFlight - request.paid,
      spent: channel.spent + charged,
      unpaid: channel.unpaid + missing,
    },
    request: { ...request, state },
  };
}

function unusable(why: string): LloomError {
  return new LloomError("channel_unusable", `admit request: the channel cannot be used, ${why}`);
}

function unpaid(why: string): LloomError {
  return new LloomError("payment_required", `admit request: ${why}`);
}

function invalid(why: string): LloomError {
  return new LloomError("voucher_invalid", `take voucher: ${why}`);
}
