/** Our signatures in the two forms that contracts take. @module */
import { type Hex, toHex } from "../bytes.ts";
import { assertCanonical } from "./primitives.ts";

/** A signature in two words (ERC-2098): there is no other such pair for its key and message. */
export interface CompactSignature {
  /** The signature's r. */
  readonly r: Hex;
  /** s, with the recovery id as its highest bit. */
  readonly vs: Hex;
}

/** As vouchers are redeemed with. @throws {LloomError} `signature_invalid` if it is not canonical */
export function toCompactSignature(signature: Uint8Array): CompactSignature {
  assertCanonical(signature);
  const vs = signature.slice(32, 64);
  vs[0]! |= signature[64]! << 7; // s is below half the order, so that its highest bit is free
  return { r: toHex(signature.subarray(0, 32)), vs: toHex(vs) };
}

/**
 * As wallets and ERC-1271 have it: 65 bytes that end with 27 or 28.
 * @throws {LloomError} `signature_invalid` if it is not canonical
 */
export function toEthereumSignature(signature: Uint8Array): Hex {
  assertCanonical(signature);
  const bytes = signature.slice();
  bytes[64]! += 27;
  return toHex(bytes);
}
