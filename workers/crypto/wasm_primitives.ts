/** {@linkcode Primitives} in WebAssembly: several times faster than JavaScript, and slower to start. @module */
import { instantiateSecp256k1 } from "@bitauth/libauth/secp256k1";
import { LloomError } from "@lloom/core/errors";
import { addressOfPublicKey, type Primitives, SIGNATURE_BYTES } from "@lloom/core/signing";
import { createWasmKeccak256 } from "./wasm_keccak.ts";

/** {@linkcode Primitives} on libsecp256k1 (`@bitauth/libauth`) and `hash-wasm`. Needs no permission. */
export async function createWasmPrimitives(): Promise<Primitives> {
  const [secp256k1, keccak256] = await Promise.all([
    instantiateSecp256k1(),
    createWasmKeccak256(),
  ]);

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
