/** keccak-256 in WebAssembly. @module */
import type { Keccak256 } from "@lloom/core/signing";
// @ts-types="hash-wasm"
import { createKeccak } from "hash-wasm/esm";

/** keccak-256 on `hash-wasm`. Needs no permission. */
export async function createWasmKeccak256(): Promise<Keccak256> {
  const hash = await createKeccak(256);
  return (...parts) => {
    hash.init();
    for (const part of parts) hash.update(part);
    return hash.digest("binary") as Uint8Array<ArrayBuffer>;
  };
}
