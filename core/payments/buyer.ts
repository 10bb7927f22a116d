/**
 * A client's account of its channels and requests: pure transitions from one record to the next.
 * Whoever stores them does so before anything is signed or sent, so that after a crash a client has
 * never signed more than it knows.
 *
 * A request is `open` until one of: `done` (its receipt is acknowledged and paid), `disputed` (the
 * receipt claims too much), `abandoned` (there is none: what was paid is spent), `refused` (the
 * executor owes and is owed nothing). What was paid and not used stays on the channel.
 * @module
 */
import { type Hash, ZERO_HASH } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Keccak256 } from "../signing/encode.ts";
import type { ChannelTerms, LlmResponseCommitment, Voucher } from "../signing/typed_data.ts";
import { type Amount, type Cost, toAmount } from "./amounts.ts";
import { type Channel, type ChannelView, hasRoom } from "./channel.ts";
import { appendLeaf, leafOf, rootOf } from "./merkle.ts";

/** A channel as its client keeps it. */
export interface BuyerChannel extends Channel {
  /** The largest amount that was ever given to be signed. Never decreases. */
  readonly signed: Amount;
  /** Receipts acknowledged. */
  readonly requests: number;
  /** Their tokens of prompt. */
  readonly inboundTokens: bigint;
  /** Their tokens of answer. */
  readonly outboundTokens: bigint;
  /** The root over them. */
  readonly root: Hash;
  /** How many payments in a row its executor has refused as not covered. */
  readonly refusals: number;
  /** Whether its client wants it closed, and so pays from it no more. */
  readonly retired: boolean;
}

/** So many refusals in a row show that the two accounts will not agree again. */
const MAX_REFUSALS = 3;

/** Why an open channel must not be paid from, and can only be closed; undefined if it may. */
export function unusableReason(channel: BuyerChannel): string | undefined {
  const { settled, signed, refusals, retired } = channel;
  return retired ? "it is to be closed" : settled > signed
    // Another machine has the key, this account is an old copy, or an endpoint lies. Whoever went on
    // from what the chain says would sign what he never owed.
    ? "the chain says that more was settled than was ever signed here"
    : refusals >= MAX_REFUSALS
    ? "its executor refuses what is paid from it"
    : undefined;
}

/** How a request stands. */
export type BuyerRequestState = "open" | "done" | "disputed" | "abandoned" | "refused";

/** The money of one request, as its client keeps it. */
export interface BuyerRequest {
  /** The client's own name for it, before it has a hash. */
  readonly id: string;
  /** What it is paid from. */
  readonly channelId: Hash;
  /** How it stands. */
  readonly state: BuyerRequestState;
  /** What was set aside for it. */
  readonly maxCost: Cost;
  /** What was paid for it. */
  readonly paid: Cost;
  /** What it came to in the end; 0 before. */
  readonly cost: Cost;
  /** Unix milliseconds after which it cannot be under way. */
  readonly deadlineMs: number;
  /** Its receipt's place among those acknowledged; absent without one. */
  readonly leafIndex?: number;
}

/** What a transition gives: the records to store, and the voucher that may be signed once they are. */
export interface BuyerChange {
  /** The channel after it. */
  readonly channel: BuyerChannel;
  /** The request after it. */
  readonly request: BuyerRequest;
}

/** A channel that was just opened, or is about to be. */
export function newBuyerChannel(
  channelId: Hash,
  terms: ChannelTerms,
  view: ChannelView,
): BuyerChannel {
  return {
    ...view,
    channelId,
    terms,
    spent: 0n,
    inFlight: 0n,
    reserved: 0n,
    signed: 0n,
    requests: 0,
    inboundTokens: 0n,
    outboundTokens: 0n,
    peaks: [],
    root: ZERO_HASH,
    refusals: 0,
    retired: false,
  };
}

/** A channel as the chain has it now: what was signed is this account's alone to say. */
export function viewedByBuyer(channel: BuyerChannel, view: ChannelView): BuyerChannel {
  return { ...channel, ...view };
}

/** The voucher for all that was paid so far; undefined if that is nothing. */
export function voucherOf(channel: BuyerChannel): Voucher | undefined {
  const { channelId, signed, requests, inboundTokens, outboundTokens, root } = channel;
  if (signed === 0n && requests === 0) return undefined;
  return {
    channelId,
    cumulativeAmount: signed,
    requests: BigInt(requests),
    inboundTokens,
    outboundTokens,
    receiptsRoot: root,
  };
}

/**
 * Sets aside what a request can cost, and pays its beginning.
 * @throws {LloomError} `channel_unusable` if the channel is not open, `insufficient_funds` if its
 * deposit has no room
 */
export function reserve(
  channel: BuyerChannel,
  wanted: Pick<BuyerRequest, "id" | "maxCost" | "deadlineMs"> & { readonly prepay: Cost },
): BuyerChange {
  const { id, maxCost, deadlineMs, prepay } = wanted;
  if (channel.status !== "open") {
    throw new LloomError("channel_unusable", `pay request: the channel is ${channel.status}`);
  }
  const reason = unusableReason(channel);
  if (reason !== undefined) {
    throw new LloomError("channel_unusable", `pay request: the channel is out of use: ${reason}`);
  }
  if (!hasRoom(channel, maxCost)) {
    throw new LloomError("insufficient_funds", "pay request: the channel's deposit is too small");
  }
  if (prepay > maxCost) throw new RangeError("pay request: more in advance than at most");
  return {
    channel: signUp({
      ...channel,
      reserved: channel.reserved + maxCost,
      inFlight: channel.inFlight + prepay,
    }),
    request: {
      id,
      channelId: channel.channelId,
      state: "open",
      maxCost,
      paid: prepay,
      cost: 0n,
      deadlineMs,
    },
  };
}

/**
 * Pays so much of a request in all.
 * @throws {LloomError} `overcharged` if that is more than was set aside
 */
export function pay(channel: BuyerChannel, request: BuyerRequest, total: Cost): BuyerChange {
  assertOpen(request);
  if (total > request.maxCost) throw tooMuch();
  if (total <= request.paid) return { channel, request };
  const inFlight = channel.inFlight + total - request.paid;
  return { channel: signUp({ ...channel, inFlight }), request: { ...request, paid: total } };
}

/**
 * Acknowledges a receipt and pays what is missing. What was paid beyond its cost is left for the
 * next requests.
 * @throws {LloomError} `overcharged` if it is more than was set aside
 */
export function settle(
  keccak256: Keccak256,
  channel: BuyerChannel,
  request: BuyerRequest,
  receipt: {
    readonly response: LlmResponseCommitment;
    readonly responseHash: Hash;
    readonly cost: Cost;
  },
): BuyerChange {
  assertOpen(request);
  const { response, responseHash, cost } = receipt;
  if (cost > request.maxCost) throw tooMuch();
  const leaf = leafOf(keccak256, response.requestHash, responseHash, cost);
  const peaks = appendLeaf(keccak256, channel.peaks, channel.requests, leaf);
  return {
    channel: signUp({
      ...released(channel, request, cost),
      requests: channel.requests + 1,
      inboundTokens: channel.inboundTokens + BigInt(response.inboundTokens),
      outboundTokens: channel.outboundTokens + BigInt(response.outboundTokens),
      peaks,
      root: rootOf(keccak256, peaks),
    }),
    request: {
      ...request,
      state: "done",
      cost,
      paid: cost > request.paid ? cost : request.paid,
      leafIndex: channel.requests,
    },
  };
}

/** Pays no more for a request whose receipt claims too much. */
export function dispute(channel: BuyerChannel, request: BuyerRequest): BuyerChange {
  return lose(channel, request, "disputed", request.paid);
}

/** A channel whose executor took a payment: the accounts agree. */
export function heard(channel: BuyerChannel): BuyerChannel {
  return channel.refusals === 0 ? channel : { ...channel, refusals: 0 };
}

/**
 * Counts what was paid of a request that was refused as not covered. The executor counts more than
 * this account, as after a crash of either; this brings them together, or shows that nothing will.
 * @param refusals of the channel when the request began: those that began together count once
 */
export function disown(
  channel: BuyerChannel,
  request: BuyerRequest,
  refusals: number,
): BuyerChange {
  const change = abandon(channel, request, true);
  if (channel.refusals !== refusals) return change;
  return { ...change, channel: { ...change.channel, refusals: refusals + 1 } };
}

/** Counts what was paid of a request that ended without a receipt. @param owed false if it was refused */
export function abandon(
  channel: BuyerChannel,
  request: BuyerRequest,
  owed: boolean,
): BuyerChange {
  return owed
    ? lose(channel, request, "abandoned", request.paid)
    : lose(channel, request, "refused", 0n);
}

function lose(
  channel: BuyerChannel,
  request: BuyerRequest,
  state: BuyerRequestState,
  cost: Cost,
): BuyerChange {
  assertOpen(request);
  return { channel: released(channel, request, cost), request: { ...request, state, cost } };
}

/** The channel without a request under way that came to `cost`. */
function released(channel: BuyerChannel, request: BuyerRequest, cost: Cost): BuyerChannel {
  return {
    ...channel,
    reserved: channel.reserved - request.maxCost,
    inFlight: channel.inFlight - request.paid,
    spent: channel.spent + cost,
  };
}

/** The channel with as much signed as it owes: the only place where that grows. */
function signUp(channel: BuyerChannel): BuyerChannel {
  const owed = toAmount(channel.spent + channel.inFlight);
  return owed > channel.signed ? { ...channel, signed: owed } : channel;
}

function assertOpen({ state }: BuyerRequest): void {
  if (state !== "open") throw new TypeError(`pay request: it is ${state}`);
}

function tooMuch(): LloomError {
  return new LloomError("overcharged", "pay request: more than it can cost");
}
