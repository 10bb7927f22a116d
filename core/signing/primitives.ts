/** What signing needs of a cryptographic library, and what makes a signature canonical. @module */
import { type Address, fromHex, toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Keccak256 } from "./encode.ts";
import { SIGNATURE_BYTES } from "./typed_data.ts";

/** secp256k1 and keccak. Every implementation gives the same bytes for the same input. */
export interface Primitives {
  /** Ethereum's hash. */
  readonly keccak256: Keccak256;
  /** The Ethereum address of a 32-byte private key. @throws {TypeError} if it is not a key */
  addressOf(privateKey: Uint8Array): Address;
  /**
   * Signs 32 bytes deterministically (RFC 6979): 65 bytes r ‖ s ‖ recovery id, s low.
   * @throws {TypeError} if the private key is not a key
   */
  sign(digest: Uint8Array, privateKey: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * Who signed 32 bytes. Expects a signature that passed {@linkcode assertCanonical}.
   * @throws {LloomError} `signature_invalid` if no key can have signed that
   */
  recover(digest: Uint8Array, signature: Uint8Array): Address;
}

/** The order n of secp256k1's group (SEC 2, 2.4.1). */
const ORDER = fromHex("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
/** n / 2, rounded down: above it, s has a smaller twin n − s for the same message (EIP-2). */
const HALF_ORDER = fromHex("0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");

/** Compares the 32-byte number at `at` with another: negative, zero or positive. */
function compare(signature: Uint8Array, at: number, other: Uint8Array): number {
  for (let i = 0; i < 32; i++) {
    const difference = signature[at + i]! - other[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

const ZERO = new Uint8Array(32);

/**
 * Passes signatures of which there is exactly one for a key and a message: 65 bytes,
 * 0 < r < n, 0 < s ≤ n/2, recovery id 0 or 1 (never Ethereum's 27 or 28).
 * @throws {LloomError} `signature_invalid`
 */
export function assertCanonical(signature: Uint8Array): void {
  const wrong = signature.length !== SIGNATURE_BYTES
    ? `${signature.length} bytes`
    : signature[64]! > 1
    ? "recovery id above 1"
    : compare(signature, 0, ZERO) === 0 || compare(signature, 0, ORDER) >= 0
    ? "r out of range"
    : compare(signature, 32, ZERO) === 0 || compare(signature, 32, HALF_ORDER) > 0
    ? "s out of range, or high"
    : undefined;
  if (wrong !== undefined) throw new LloomError("signature_invalid", `check signature: ${wrong}`);
}

/** The Ethereum address of a public key. @param publicKey 65 bytes, uncompressed */
export function addressOfPublicKey(keccak256: Keccak256, publicKey: Uint8Array): Address {
  return toHex(keccak256(publicKey.subarray(1)).subarray(12));
}
