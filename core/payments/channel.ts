/** What both sides keep of a payment channel. @module */
import type { Hash } from "../bytes.ts";
import type { ChannelTerms } from "../signing/typed_data.ts";
import { type Amount, type Cost, toCost } from "./amounts.ts";
import type { Peaks } from "./merkle.ts";

/** Where a channel is in its life; `none` before the chain has confirmed it. */
export type ChannelStatus = "none" | "open" | "closing" | "closed";

/** A channel as the contract has it. */
export interface ChannelView {
  /** Base units put in. */
  readonly deposit: Amount;
  /** Base units paid to the executor. */
  readonly settled: Amount;
  /** Where it is in its life. */
  readonly status: ChannelStatus;
  /** Unix seconds from which a closing channel may be finalized; 0 otherwise. */
  readonly closesAt: number;
}

/** What both sides keep, each its own. */
export interface Channel extends ChannelView {
  /** hashStruct of the terms. */
  readonly channelId: Hash;
  /** What identifies it for ever. */
  readonly terms: ChannelTerms;
  /** What requests that are over came to. */
  readonly spent: Cost;
  /** What is paid of requests under way. */
  readonly inFlight: Cost;
  /** What requests under way may come to at most. */
  readonly reserved: Cost;
  /** The roots of the receipts acknowledged. */
  readonly peaks: Peaks;
}

/** Whether the deposit has room for all that is under way, and `more`. */
export function hasRoom(channel: Channel, more: Cost): boolean {
  return roomOf(channel) >= more;
}

/** What may still be promised: the deposit less all that is spent or reserved. */
export function roomOf({ deposit, spent, reserved }: Channel): Cost {
  return toCost(deposit) - spent - reserved;
}
