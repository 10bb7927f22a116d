/** {@linkcode Primitives} in WebAssembly: several times faster than JavaScript, and slower to start. @module */
import { instantiateSecp256k1 } from "@bitauth/libauth/secp256k1";
import { LloomError } from "@lloom/core/errors";
import {
  addressOfPublicKey,
  type Keccak256,
  type Primitives,
  SIGNATURE_BYTES,
} from "@lloom/core/signing";
// @ts-types="hash-wasm"
import { createKeccak } from "hash-wasm/esm";

/** {@linkcode Primitives} on libsecp256k1 (`@bitauth/libauth`) and `hash-wasm`. Needs no permission. */
export async function createWasmPrimitives(): Promise<Primitives> {
  const [secp256k1, hash] = await Promise.all([instantiateSecp256k1(), createKeccak(256)]);

  const keccak256: Keccak256 = (...parts) => {
    hash.init();
    for (const part of parts) hash.update(part);
    return hash.digest("binary") as Uint8Array<ArrayBuffer>;
  };

  return {
    keccak256,
    addressOf(privateKey) {
      const publicKey = privateKey.length === 32
        ? secp256k1.derivePublicKeyUncompressed(privateKey)
        : "";
      if (typeof publicKey === "string") throw new TypeError("not a private key");
      return addressOfPublicKey(keccak256, publicKey);
    },
    sign(digest, privateKey) {
      const signed = privateKey.length === 32
        ? secp256k1.signMessageHashRecoverableCompact(privateKey, digest)
        : "";
      if (typeof signed === "string") throw new TypeError("not a private key");
      const signature = new Uint8Array(SIGNATURE_BYTES);
      signature.set(signed.signature);
      signature[64] = signed.recoveryId;
      return signature;
    },
    recover(digest, signature) {
      const recoveryId = signature[64] === 0 ? 0 : 1;
      const compact = signature.subarray(0, 64);
      const publicKey = secp256k1.recoverPublicKeyUncompressed(compact, recoveryId, digest);
      if (typeof publicKey === "string") {
        throw new LloomError("signature_invalid", "recover signer: no key signed this");
      }
      return addressOfPublicKey(keccak256, publicKey);
    },
  };
}
