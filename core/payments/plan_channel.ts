/** A channel before it is on the chain. @module */
import { toHex } from "../bytes.ts";
import type { ChannelTerms } from "../signing/typed_data.ts";
import { type BuyerChannel, newBuyerChannel } from "./buyer.ts";
import { channelIdOf } from "./channel_id.ts";

/** Random bytes: no two channels are alike. */
const SALT_BYTES = 12;

/**
 * A new channel, to be put into the ledger before it is opened: a deposit is never forgotten.
 * @param terms all but the salt, which is drawn
 * @param random gives so many random bytes
 */
export function planChannel(
  terms: Omit<ChannelTerms, "salt">,
  random: (bytes: number) => Uint8Array = (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
): BuyerChannel {
  const salted = { ...terms, salt: BigInt(toHex(random(SALT_BYTES))) };
  const view = { deposit: 0n, settled: 0n, status: "none", closesAt: 0 } as const;
  return newBuyerChannel(channelIdOf(salted), salted, view);
}
