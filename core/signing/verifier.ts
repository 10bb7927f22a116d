/** The {@linkcode Verifier} port on given primitives, on the thread that calls it. @module */
import { concat, toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Verifier } from "../ports.ts";
import { createTypedDataHasher } from "./encode.ts";
import { assertCanonical, type Primitives } from "./primitives.ts";
import { SALT_BYTES, type SigningDomain } from "./typed_data.ts";

/**
 * Checks messages of one domain. Its promises reject with `TypeError` or `RangeError` for a message
 * that its types cannot hold: the decoder of the frame has excluded that.
 * @throws {TypeError | RangeError} for a bad domain
 */
export function createVerifier(primitives: Primitives, domain: SigningDomain): Verifier {
  const { keccak256 } = primitives;
  const hasher = createTypedDataHasher(keccak256, domain);
  return {
    // The cheap checks come first, the one whose cost the peer chooses comes last.
    verifyRequest: ({ commitment, signature }, body, salt) =>
      Promise.try(() => {
        assertCanonical(signature);
        if (salt.length !== SALT_BYTES) {
          throw new LloomError("request_invalid", "verify request: salt is not 32 bytes");
        }
        const hash = hasher.hashStruct("LlmRequestCommitment", commitment);
        const client = primitives.recover(hasher.digestOfStruct(hash), signature);
        if (toHex(keccak256(salt, body)) !== commitment.promptHash) {
          throw new LloomError("request_invalid", "verify request: body is not the one signed");
        }
        return { client, requestHash: toHex(hash) };
      }),
    verifyResponse: ({ commitment, signature }, content) =>
      Promise.try(() => {
        assertCanonical(signature);
        const digest = hasher.digest("LlmResponseCommitment", commitment);
        const executor = primitives.recover(digest, signature);
        if (toHex(keccak256(concat(content))) !== commitment.contentHash) {
          throw new LloomError("receipt_invalid", "verify response: content is not the one signed");
        }
        return { executor };
      }),
    verifyAnnouncement: (fields, body, signature) =>
      Promise.try(() => {
        assertCanonical(signature);
        const message = { ...fields, bodyHash: toHex(keccak256(body)) };
        const digest = hasher.digest("ExecutorAnnouncement", message);
        return { executor: primitives.recover(digest, signature) };
      }),
  };
}
