/** Asks every model for a few tokens, or for a vector, for `--test`. @module */
import { type Address, ZERO_HASH } from "@lloom/core/bytes";
import type { ErrorData } from "@lloom/core/errors";
import type { Inference } from "@lloom/core/ports";
import type { ModelOffer } from "@lloom/core/protocol";
import { type LlmRequestCommitment, TEMPERATURE_UNSET } from "@lloom/core/signing";

/** Tokens to ask for: enough that a reasoning model says something. */
const MAX_TOKENS = 16;

/** How one model did. */
export interface ModelTest {
  /** Which model. */
  readonly model: string;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
  /** Absent if it answered. */
  readonly error?: ErrorData;
}

/** What a model is asked, by what it can do. */
function question(features: readonly string[]): object {
  if (features.includes("chat")) {
    return { messages: [{ role: "user", content: "Say yes." }], max_tokens: MAX_TOKENS };
  }
  return features.includes("embeddings")
    ? { input: "yes" }
    : { prompt: "Say yes.", max_tokens: MAX_TOKENS };
}

/** Asks one model one question. Resolves when it has answered or failed. */
export function testModel(
  { id: model, features }: Pick<ModelOffer, "id" | "features">,
  inference: Inference,
  executor: Address,
  timeoutMs: number,
): Promise<ModelTest> {
  const startMs = performance.now();
  const body = new TextEncoder().encode(JSON.stringify({ model, ...question(features) }));
  // Its own request: nobody else will see the commitment, so its hashes prove nothing to anyone.
  const commitment: LlmRequestCommitment = {
    channelId: ZERO_HASH,
    executor,
    model,
    promptHash: ZERO_HASH,
    systemPromptHash: ZERO_HASH,
    maxTokens: MAX_TOKENS,
    temperature: TEMPERATURE_UNSET,
    inboundPrice: 0n,
    outboundPrice: 0n,
    nonce: 0n,
    deadline: BigInt(Math.ceil((Date.now() + timeoutMs) / 1000)),
  };
  return new Promise((resolve) => {
    const done = (error?: ErrorData) => {
      clearTimeout(timer);
      resolve({ model, durationMs: performance.now() - startMs, ...(error && { error }) });
    };
    let said = false;
    const run = inference.run({ model, body, commitment, salt: new Uint8Array(32) }, {
      batch: () => said = true,
      end: ({ success }) =>
        done(
          success && said
            ? undefined
            : { code: "backend_failed", message: "test model: it did not finish" },
        ),
      fail: done,
    });
    const timer = setTimeout(
      () => run.cancel({ code: "timeout", message: "test model: no answer in time" }),
      timeoutMs,
    );
  });
}
