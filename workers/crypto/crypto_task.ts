/** Entry of the crypto worker. It needs no permission. @module */
import { createSigner, createVerifier, type SigningDomains } from "@lloom/core/signing";
import { serve } from "../serve.ts";
import { createWasmPrimitives } from "./wasm_primitives.ts";

/** What the worker is told when it starts. */
export interface CryptoInit {
  readonly domains: SigningDomains;
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
}

serve<CryptoInit>(async ({ domains, privateKey }) => {
  const primitives = await createWasmPrimitives();
  const verifier = createVerifier(primitives, domains);
  const signer = createSigner(primitives, domains, privateKey);
  return new Map(Object.entries({ ...verifier, ...signer }).filter(isMethod));
});

function isMethod<T>(entry: [string, T]): entry is [string, T & ((...args: never[]) => unknown)] {
  return typeof entry[1] === "function";
}
