/**
 * One answer, from a signed request to the bytes of a receipt.
 * @module
 */
import { type ErrorData, LloomError } from "@lloom/core/errors";
import type { InferenceEnd, InferenceJob, InferenceRun, InferenceSink } from "@lloom/core/ports";
import {
  answersOf,
  encodeTrailer,
  messageText,
  type ModelRequest,
  PROMPT_TOKEN_BYTES,
  TEMPLATE_TOKENS,
  UNSEEN_TOKENS,
} from "@lloom/core/protocol";
// @ts-types="hash-wasm"
import { createKeccak, type IHasher } from "hash-wasm/esm";
import { AnswerLines } from "./answer_lines.ts";
import { AnswerText } from "./answer_text.ts";
import type { ModelBackend, TokenUsage } from "./backends/backend.ts";
import { Pace } from "./pace.ts";
import { checkRequest } from "./request_check.ts";

/**
 * No usual text has more characters to a token than this (English has 4 to 5). So `characters / 16`
 * is fewer tokens than a text has, at no cost: a prompt above the context by this measure is refused
 * unsent, and an answer above its limit by it is stopped. What lies between is the server's to
 * refuse, which counts exactly.
 */
const MAX_CHARS_PER_TOKEN = 16;
/** Room above the limit before an answer is stopped: short texts vary most. */
const SPARE_CHARS = 1024;

/** That of all answers here. */
const pace = new Pace();
/** Hashers that no answer uses now: each is a WebAssembly instance, and costs as much to make. */
const idleHashers: IHasher[] = [];

/** Where an answer comes from. */
export interface ModelRunComponents {
  readonly backend: ModelBackend;
  /** The backend's own name of the model. */
  readonly model: string;
  /** Tokens of prompt and answer together, if known. */
  readonly contextLength?: number;
  /** Fields of requests that pass besides those known to be harmless. @default none */
  readonly extraFields?: ReadonlySet<string>;
  /** Told what the operator should know; never a text of a peer. */
  warn(message: string): void;
}

/** Bounds in time, in milliseconds. */
export interface ModelRunOptions {
  /** One whole answer. */
  readonly totalTimeoutMs: number;
  /** Counting the tokens of an answer whose backend tells no usage. */
  readonly countTimeoutMs: number;
}

function checkLength(request: ModelRequest, contextLength: number | undefined): void {
  if (contextLength === undefined) return;
  const tokens = leastTokens(request);
  if (tokens > contextLength) {
    throw new LloomError(
      "context_length_exceeded",
      `check request: at least ${tokens} tokens for a context of ${contextLength}`,
    );
  }
}

/** How many tokens the longest prompt of a request has for sure. */
function leastTokens(request: ModelRequest): number {
  switch (request.kind) {
    case "chat":
      return tokensOf(request.messages.reduce((sum, one) => sum + messageText(one).length, 0));
    case "completion":
      return Math.max(...request.prompts.map((text) => tokensOf(text.length)));
    case "embedding":
      return Math.max(
        ...request.inputs.map((one) => typeof one === "string" ? tokensOf(one.length) : one.length),
      );
  }
}

const tokensOf = (chars: number): number => Math.ceil(chars / MAX_CHARS_PER_TOKEN);

/**
 * Runs one request against a backend. Tokens charged are the backend's own count, else the model's
 * tokenizer's, else an estimate, and never more than the commitment's `maxTokens`, nor, where they
 * have a price, than the answer's text can have: what a backend counts above it is the executor's
 * loss. An answer far above it is stopped, with finish `length`.
 */
export class ModelRun implements InferenceRun {
  readonly #job: InferenceJob;
  readonly #sink: InferenceSink;
  readonly #components: ModelRunComponents;
  readonly #options: ModelRunOptions;
  readonly #controller = new AbortController();
  readonly #text = new AnswerText();
  #cancelled = false;
  #gate: PromiseWithResolvers<void> | undefined;

  constructor(
    job: InferenceJob,
    sink: InferenceSink,
    components: ModelRunComponents,
    options: ModelRunOptions,
  ) {
    this.#job = job;
    this.#sink = sink;
    this.#components = components;
    this.#options = options;
  }

  /** Stops reading from the model; what it writes meanwhile waits in its connection. */
  pause(): void {
    if (!this.#controller.signal.aborted) this.#gate ??= Promise.withResolvers<void>();
  }

  /** Reads on. */
  resume(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  /** Stops the model at once. */
  cancel(reason: ErrorData): void {
    if (this.#controller.signal.aborted) return;
    this.#cancelled = true;
    this.#stop(LloomError.from(reason));
  }

  /** Runs to the last call of the sink; never rejects. */
  async run(): Promise<void> {
    const timer = setTimeout(
      () => this.#stop(new LloomError("backend_timeout", "run request: no end in time")),
      this.#options.totalTimeoutMs,
    );
    pace.begin();
    const keccak = idleHashers.pop() ?? await createKeccak(256);
    try {
      await this.#run(keccak);
    } catch (thrown) {
      this.#sink.fail(this.#explain(thrown).toData());
    } finally {
      clearTimeout(timer);
      pace.end();
      idleHashers.push(keccak);
    }
  }

  async #run(keccak: IHasher): Promise<void> {
    const request = checkRequest(this.#job, keccak, this.#components.extraFields);
    checkLength(request, this.#components.contextLength);
    const lines = new AnswerLines(
      keccak.init(),
      pace,
      (batch, tokens) => this.#sink.batch(batch, tokens),
    );
    let usage: TokenUsage | undefined;
    let error: LloomError | undefined;
    let overLong = false;
    try {
      this.#controller.signal.throwIfAborted();
      const { backend, model } = this.#components;
      for await (const event of backend.answer(model, request, this.#controller.signal)) {
        if (event.type === "usage") {
          usage = event.usage;
        } else {
          if ("choices" in event.part) this.#text.add(event.part.choices);
          lines.add(event.part);
          overLong = this.#isOverLong();
          if (overLong) break;
        }
        if (this.#gate !== undefined) await this.#gate.promise;
        this.#controller.signal.throwIfAborted();
      }
      if (this.#text.gaveUp) {
        error = new LloomError("backend_failed", "read answer: the backend gave up");
      }
    } catch (thrown) {
      error = this.#explain(thrown);
      if (lines.empty) throw error;
    }
    if (error === undefined && lines.empty) {
      throw new LloomError("backend_malformed", "read answer: nothing in it");
    }
    // What is there need not wait for the counting.
    lines.flush();
    usage ??= await this.#count(request);
    this.#sink.end(this.#finish(lines, answersOf(request), usage, error, overLong));
  }

  #finish(
    lines: AnswerLines,
    answers: number,
    usage: TokenUsage,
    error: LloomError | undefined,
    overLong: boolean,
  ): InferenceEnd {
    const { commitment, body } = this.#job;
    const { maxTokens, inboundPrice, outboundPrice } = commitment;
    if (overLong || usage.completionTokens > maxTokens) {
      this.#components.warn(
        "the backend wrote more tokens than asked for; the rest is not charged",
      );
    }
    // What a client cannot see it does not pay: reasoning that a server counts and keeps to itself.
    const seen = lines.textBytes + UNSEEN_TOKENS * answers;
    if (outboundPrice > 0n && usage.completionTokens > seen) {
      this.#components.warn("the backend counts tokens that nobody saw; they are not charged");
    }
    // Nor, for an answer that failed before it said anything, more than was paid in advance.
    const isNothing = error !== undefined && lines.textBytes === 0 &&
      inboundPrice + outboundPrice > 0n;
    const payable = isNothing ? 0 : outboundPrice > 0n ? Math.min(maxTokens, seen) : maxTokens;
    const { countedBy } = usage;
    const promptTokens = Math.min(
      usage.promptTokens,
      isNothing ? Math.ceil(body.length / PROMPT_TOKEN_BYTES) : body.length + TEMPLATE_TOKENS,
    );
    const completionTokens = Math.min(usage.completionTokens, payable);
    const failure = this.#cancelled ? "cancelled" : "error";
    const reason = overLong ? "length" : this.#text.reason;
    const trailer = encodeTrailer({
      finish: error === undefined ? reason : failure,
      promptTokens,
      completionTokens,
      countedBy,
      ...(error !== undefined && { error: error.toData() }),
    });
    const contentHash = lines.end(trailer);
    return { trailer, contentHash, promptTokens, completionTokens, success: error === undefined };
  }

  #isOverLong(): boolean {
    const { maxTokens } = this.#job.commitment;
    return this.#text.length > maxTokens * MAX_CHARS_PER_TOKEN + SPARE_CHARS;
  }

  /** Counts within a bounded time. What cannot be counted is not charged. */
  async #count(request: ModelRequest): Promise<TokenUsage> {
    const { backend, model, warn } = this.#components;
    const controller = new AbortController();
    const expired = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const error = new LloomError("backend_timeout", "count tokens: no count in time");
      expired.reject(error);
      controller.abort(error);
    }, this.#options.countTimeoutMs);
    try {
      const counting = backend.count(model, request, this.#text.text, controller.signal);
      return await Promise.race([counting, expired.promise]);
    } catch (thrown) {
      warn(`tokens of an answer could not be counted and are not charged: ${codeOf(thrown)}`);
      return { promptTokens: 0, completionTokens: 0, countedBy: "estimate" };
    } finally {
      clearTimeout(timer);
    }
  }

  #stop(reason: LloomError): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(reason);
    this.resume();
  }

  #explain(thrown: unknown): LloomError {
    const { signal } = this.#controller;
    if (signal.aborted) return LloomError.wrap(signal.reason, "aborted");
    if (thrown instanceof LloomError) return thrown;
    // An unforeseen error's own text may quote the prompt.
    this.#components.warn(`unexpected error while running a request: ${codeOf(thrown)}`);
    return new LloomError("internal", "run request: unexpected error", { cause: thrown });
  }
}

function codeOf(thrown: unknown): string {
  if (thrown instanceof LloomError) return thrown.code;
  return thrown instanceof Error ? thrown.name : typeof thrown;
}
