/** What Lloom nodes sign, and how it is hashed, signed and checked. @module */
export * from "./domains.ts";
export * from "./encode.ts";
export * from "./ethereum_signature.ts";
export * from "./noble_primitives.ts";
export * from "./primitives.ts";
export * from "./signer.ts";
export * from "./typed_data.ts";
export * from "./verifier.ts";
