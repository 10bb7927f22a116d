/** The end of an answer that nobody ended. @module */
import { toHex } from "@lloom/core/bytes";
import type { LloomError } from "@lloom/core/errors";
import type { InferenceEnd } from "@lloom/core/ports";
import { encodeTrailer } from "@lloom/core/protocol";
import { noblePrimitives } from "@lloom/core/signing";

/** The end of an answer whose worker is gone. Nobody counted its tokens: nothing is charged. */
export function cutShort(delivered: readonly Uint8Array[], error: LloomError): InferenceEnd {
  const trailer = encodeTrailer({
    finish: "error",
    promptTokens: 0,
    completionTokens: 0,
    countedBy: "estimate",
    error: error.toData(),
  });
  const contentHash = toHex(noblePrimitives.keccak256(...delivered, trailer));
  return { trailer, contentHash, promptTokens: 0, completionTokens: 0, success: false };
}
