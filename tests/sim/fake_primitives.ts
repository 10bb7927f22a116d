/**
 * Signatures that cost next to nothing: a keyed hash, which whoever checks looks up the key for. Nobody
 * without a key can make its signature, and a signature says who made it; what real ones must withstand
 * besides is tested elsewhere.
 * @module
 */
import { type Address, equalBytes, toHex } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { type Keccak256, type Primitives, SIGNATURE_BYTES } from "@lloom/core/signing";
import { createWasmKeccak256 } from "@lloom/workers/keccak";

/** The real hash: a channel's id is made with it. */
export const keccak256: Keccak256 = await createWasmKeccak256();

/** Primitives that know every key they were shown. */
export function createFakePrimitives(): Primitives {
  const keys: Uint8Array[] = [];
  const indexOf = (key: Uint8Array): number => {
    const known = keys.findIndex((other) => equalBytes(key, other));
    return known >= 0 ? known : keys.push(key.slice()) - 1;
  };
  const addressOf = (key: Uint8Array): Address => toHex(keccak256(key).subarray(12));
  const sign = (digest: Uint8Array, index: number): Uint8Array<ArrayBuffer> => {
    const r = keccak256(keys[index]!, digest);
    const signature = new Uint8Array(SIGNATURE_BYTES);
    signature.set(r);
    signature.set(r, 32);
    // In the range of real ones; and whose it is.
    signature[0] = signature[0]! & 0x3f | 1;
    signature[32] = signature[32]! & 0x3f;
    signature[63] = index;
    return signature;
  };
  return {
    keccak256,
    addressOf(key): Address {
      indexOf(key);
      return addressOf(key);
    },
    sign: (digest, key) => sign(digest, indexOf(key)),
    recover(digest, signature): Address {
      const index = signature[63]!;
      const key = keys[index];
      if (key === undefined || !equalBytes(sign(digest, index), signature)) {
        throw new LloomError("signature_invalid", "recover signer: no key signed this");
      }
      return addressOf(key);
    },
  };
}
