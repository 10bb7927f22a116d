/** When an executor redeems which vouchers: decided from its account alone, so that none is forgotten. @module */
import type { Amount } from "./amounts.ts";
import { redeemable, type SellerChannel } from "./seller.ts";

/** When it is worth a transaction. */
export interface RedemptionPolicy {
  /** A channel with so much to redeem is redeemed, in base units of the asset. */
  readonly threshold: Amount;
  /** One with anything to redeem for so long is redeemed, in milliseconds. */
  readonly maxAgeMs: number;
  /**
   * One with less than both this and the threshold is never redeemed, in base units of the asset: its
   * transaction would cost more. @default 0n
   */
  readonly minimum?: Amount;
}

/** A channel with something to redeem. */
export interface OpenRedemption {
  /** The channel. */
  readonly channel: SellerChannel;
  /** Unix milliseconds since when. */
  readonly sinceMs: number;
}

/** What to do now. */
export interface RedemptionPlan {
  /** Channels whose vouchers are redeemed, each list in one transaction. */
  readonly batches: readonly (readonly SellerChannel[])[];
  /** Channels that are redeemed and closed, each in a transaction of its own. */
  readonly closings: readonly SellerChannel[];
}

/** Vouchers in one transaction: two and a half million units of gas, which every chain takes. */
export const MAX_BATCH = 100;

/**
 * What to redeem at `nowMs`. A channel that its client wants to close, or whose executor has agreed
 * to that, is closed with its last voucher, once no request is under way on it: further vouchers
 * would be worth nothing. Should that take half of the time that the client must wait, it is redeemed
 * as it stands.
 * @param everything whether nothing is left for later
 */
export function planRedemptions(
  open: readonly OpenRedemption[],
  { threshold, maxAgeMs, minimum = 0n }: RedemptionPolicy,
  nowMs: number,
  everything = false,
): RedemptionPlan {
  const due: SellerChannel[] = [];
  const closings: SellerChannel[] = [];
  for (const { channel, sinceMs } of open) {
    const amount = redeemable(channel);
    if (amount === 0n || amount < minimum && amount < threshold) continue;
    const isClosing = channel.status === "closing";
    const isIdle = channel.reserved === 0n;
    const { closesAt, terms } = channel;
    const isLate = isClosing && nowMs >= 1000 * (closesAt - terms.closeDelay / 2);
    const isDue = everything || amount >= threshold || nowMs - sinceMs >= maxAgeMs;
    if (isIdle && (isClosing || channel.consented && isDue)) closings.push(channel);
    else if (isDue || isLate) due.push(channel);
  }
  const batches = [];
  for (let at = 0; at < due.length; at += MAX_BATCH) batches.push(due.slice(at, at + MAX_BATCH));
  return { batches, closings };
}
