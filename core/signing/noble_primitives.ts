/** {@linkcode Primitives} in plain JavaScript: starts at once, and runs everywhere. @module */
import { secp256k1 } from "@noble/curves/secp256k1";
import { keccak_256 } from "@noble/hashes/sha3";
import { LloomError } from "../errors.ts";
import type { Keccak256 } from "./encode.ts";
import { addressOfPublicKey, type Primitives } from "./primitives.ts";
import { SIGNATURE_BYTES } from "./typed_data.ts";

const keccak256: Keccak256 = (...parts) => {
  const hash = keccak_256.create();
  for (const part of parts) hash.update(part);
  return hash.digest() as Uint8Array<ArrayBuffer>;
};

function assertKey(privateKey: Uint8Array): void {
  // noble's own message may quote its argument.
  if (!secp256k1.utils.isValidSecretKey(privateKey)) throw new TypeError("not a private key");
}

/** {@linkcode Primitives} on `@noble/curves` and `@noble/hashes`. */
export const noblePrimitives: Primitives = {
  keccak256,
  addressOf(privateKey) {
    assertKey(privateKey);
    return addressOfPublicKey(keccak256, secp256k1.getPublicKey(privateKey, false));
  },
  sign(digest, privateKey) {
    assertKey(privateKey);
    // noble puts the recovery id first.
    const signed = secp256k1.sign(digest, privateKey, { prehash: false, format: "recovered" });
    const signature = new Uint8Array(SIGNATURE_BYTES);
    signature.set(signed.subarray(1));
    signature[64] = signed[0]!;
    return signature;
  },
  recover(digest, signature) {
    let publicKey: Uint8Array;
    try {
      publicKey = secp256k1.Signature.fromBytes(signature.subarray(0, 64), "compact")
        .addRecoveryBit(signature[64]!).recoverPublicKey(digest).toBytes(false);
    } catch (cause) {
      throw new LloomError("signature_invalid", "recover signer: no key signed this", { cause });
    }
    return addressOfPublicKey(keccak256, publicKey);
  },
};
