/** Signed requests as the inference worker gets them, for tests. @module */
import { toHex, ZERO_ADDRESS, ZERO_HASH } from "@lloom/core/bytes";
import type { InferenceEnd, InferenceJob, InferenceSink } from "@lloom/core/ports";
import type { ErrorData } from "@lloom/core/errors";
import { readModelRequest, systemPrompt, textBytes } from "@lloom/core/protocol";
import {
  type LlmRequestCommitment,
  TEMPERATURE_SCALE,
  TEMPERATURE_UNSET,
} from "@lloom/core/signing";
import { keccak_256 } from "@noble/hashes/sha3";

const encoder = new TextEncoder();
const SALT = Uint8Array.from({ length: 32 }, (_, i) => i);

/** keccak256 of all parts, by another implementation than the one under test. */
export function keccakOf(parts: readonly Uint8Array[]): string {
  const hash = keccak_256.create();
  for (const part of parts) hash.update(part);
  return toHex(hash.digest());
}

/** A job for a chat, whose commitment agrees with its body. */
export function makeJob(
  fields: Record<string, unknown> = {},
  commitment: Partial<LlmRequestCommitment> = {},
): InferenceJob {
  const messages = [{ role: "user", content: "What is the weather like?" }];
  return makeJobOf({ messages, ...fields }, commitment);
}

/** A job of any kind, whose commitment agrees with its body. */
export function makeJobOf(
  fields: Record<string, unknown>,
  commitment: Partial<LlmRequestCommitment> = {},
): InferenceJob {
  const raw = { model: "mock-model", ...fields };
  const prompt = systemPrompt(readModelRequest(raw));
  const { temperature } = readModelRequest(raw);
  return {
    model: raw.model,
    body: encoder.encode(JSON.stringify(raw)),
    salt: SALT,
    commitment: {
      channelId: ZERO_HASH,
      executor: ZERO_ADDRESS,
      model: raw.model,
      promptHash: ZERO_HASH,
      systemPromptHash: prompt === ""
        ? ZERO_HASH
        : keccakOf([SALT, encoder.encode(prompt)]) as `0x${string}`,
      maxTokens: 64,
      temperature: temperature === undefined
        ? TEMPERATURE_UNSET
        : Math.round(temperature * TEMPERATURE_SCALE),
      inboundPrice: 0n,
      outboundPrice: 0n,
      nonce: 1n,
      deadline: BigInt(Math.floor(Date.now() / 1000) + 600),
      ...commitment,
    },
  };
}

/** A sink that keeps what it gets and checks that its contract is kept. */
export class RecordingSink implements InferenceSink {
  readonly batches: Uint8Array[] = [];
  /** About how many tokens they were said to hold. */
  tokens = 0;
  /** Resolves with the last call. */
  readonly over: Promise<{ readonly end?: InferenceEnd; readonly error?: ErrorData }>;
  readonly #over = Promise.withResolvers<
    { readonly end?: InferenceEnd; readonly error?: ErrorData }
  >();
  readonly #waiters: (() => void)[] = [];
  #ended = false;

  constructor() {
    this.over = this.#over.promise;
  }

  /** Everything delivered, as text. */
  get text(): string {
    return this.batches.map((batch) => new TextDecoder().decode(batch)).join("");
  }

  /** Resolves when the next batch comes. */
  nextBatch(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  batch(lines: Uint8Array, tokens: number): void {
    if (this.#ended) throw new Error("a batch after the end");
    if (!(tokens <= textBytes(lines))) throw new Error("more tokens than bytes of text");
    this.tokens += tokens;
    this.batches.push(lines);
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  end(end: InferenceEnd): void {
    this.#last({ end });
  }

  fail(error: ErrorData): void {
    this.#last(this.batches.length > 0 ? {} : { error });
  }

  #last(result: { readonly end?: InferenceEnd; readonly error?: ErrorData }): void {
    if (this.#ended) throw new Error("two last calls");
    this.#ended = true;
    this.#over.resolve(result);
  }
}
