/** What identifies a channel. @module */
import { type Hash, toHex } from "../bytes.ts";
import { createTypedDataHasher, type TypedDataHasher } from "../signing/encode.ts";
import { noblePrimitives } from "../signing/noble_primitives.ts";
import { type ChannelTerms, FREE_DOMAIN } from "../signing/typed_data.ts";

let hasher: TypedDataHasher | undefined;

/**
 * A channel's id: the EIP-712 hashStruct of its terms, which no domain is part of. Throws `TypeError`
 * or `RangeError` for terms that their types cannot hold.
 */
export function channelIdOf(terms: ChannelTerms): Hash {
  hasher ??= createTypedDataHasher(noblePrimitives.keccak256, FREE_DOMAIN);
  return toHex(hasher.hashStruct("ChannelTerms", terms));
}
