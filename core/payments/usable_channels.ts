/** Which of its channels a client pays a request from. @module */
import type { ChannelTerms } from "../signing/typed_data.ts";
import { type BuyerChannel, unusableReason } from "./buyer.ts";
import { type ChannelStatus, roomOf } from "./channel.ts";

/** What a channel must be, for its executor to accept it and its client to pay from it. */
export interface WantedChannel
  extends Pick<ChannelTerms, "executor" | "asset" | "signer" | "closeDelay"> {
  /** The least that it may take to close, in seconds. */
  readonly closeDelay: number;
}

/** Whether a channel's terms are such as are wanted. */
export function suits(terms: ChannelTerms, wanted: WantedChannel): boolean {
  return terms.executor === wanted.executor && terms.asset === wanted.asset &&
    terms.signer === wanted.signer && terms.closeDelay >= wanted.closeDelay;
}

/**
 * The channels to pay from, in the order to try them: those that are open, the one with the most room
 * first, and then those that are not known to be.
 */
export function usableChannels(
  channels: readonly BuyerChannel[],
  wanted: WantedChannel,
): BuyerChannel[] {
  const usable = (status: ChannelStatus) =>
    channels.filter((channel) =>
      channel.status === status && suits(channel.terms, wanted) &&
      unusableReason(channel) === undefined
    );
  return [...usable("open").sort((a, b) => roomOf(a) > roomOf(b) ? -1 : 1), ...usable("none")];
}
