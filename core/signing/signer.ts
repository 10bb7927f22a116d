/** The {@linkcode Signer} port on given primitives, on the thread that calls it. @module */
import { type Hash, toHex, ZERO_HASH } from "../bytes.ts";
import type { Signer } from "../ports.ts";
import { createTypedDataHasher, type Keccak256 } from "./encode.ts";
import type { Primitives } from "./primitives.ts";
import { SALT_BYTES, type SigningDomain } from "./typed_data.ts";

/** {@linkcode LlmRequestCommitment.systemPromptHash}: zero if there is no system prompt. */
export function hashSystemPrompt(keccak256: Keccak256, salt: Uint8Array, text: string): Hash {
  return text === "" ? ZERO_HASH : toHex(keccak256(salt, new TextEncoder().encode(text)));
}

/**
 * Signs messages of one domain with one key. Its promises reject with `TypeError` or `RangeError`
 * for a message that its types cannot hold, or a salt that is not 32 bytes.
 * @param privateKey 32 bytes; kept, never shown
 * @throws {TypeError | RangeError} for a bad key or domain
 */
export function createSigner(
  primitives: Primitives,
  domain: SigningDomain,
  privateKey: Uint8Array,
): Signer {
  const { keccak256 } = primitives;
  const hasher = createTypedDataHasher(keccak256, domain);
  const address = primitives.addressOf(privateKey);
  const key = privateKey.slice();
  return {
    address,
    signRequest: (draft, body, salt, systemPrompt) =>
      Promise.try(() => {
        if (salt.length !== SALT_BYTES) throw new RangeError("sign request: salt is not 32 bytes");
        const commitment = {
          ...draft,
          promptHash: toHex(keccak256(salt, body)),
          systemPromptHash: hashSystemPrompt(keccak256, salt, systemPrompt),
        };
        const hash = hasher.hashStruct("LlmRequestCommitment", commitment);
        const signature = primitives.sign(hasher.digestOfStruct(hash), key);
        return { commitment, signature, requestHash: toHex(hash) };
      }),
    signResponse: (commitment) =>
      Promise.try(() => {
        const digest = hasher.digest("LlmResponseCommitment", commitment);
        return { commitment, signature: primitives.sign(digest, key) };
      }),
    signAnnouncement: (fields, body) =>
      Promise.try(() => {
        const message = { ...fields, executor: address, bodyHash: toHex(keccak256(body)) };
        return primitives.sign(hasher.digest("ExecutorAnnouncement", message), key);
      }),
  };
}
