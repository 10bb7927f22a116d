/**
 * What the inference worker needs of a language model, wherever it runs.
 * @module
 */
import type { CountedBy, Feature, ModelRequest } from "@lloom/core/protocol";

/** A model that a backend offers, as far as the backend itself tells. */
export interface BackendModel {
  /** The name the backend knows it by. */
  readonly id: string;
  /** Tokens of prompt and answer together; absent if the backend does not say. */
  readonly contextLength?: number;
  /** What it can do, and which kinds of request it answers. */
  readonly features: readonly Feature[];
  /** The family, as the backend names it: `llama`, `qwen2`, … */
  readonly architecture?: string;
  /** Number of parameters, or the file's size, as the backend writes it. */
  readonly size?: string;
}

/** Tokens of one answer, and who counted them. */
export interface TokenUsage {
  /** Tokens that the model read. */
  readonly promptTokens: number;
  /** Tokens that it wrote, reasoning and tool calls included. */
  readonly completionTokens: number;
  /** How far the numbers can be trusted. */
  readonly countedBy: CountedBy;
}

/** A vector that stands for one input. */
export interface Embedding {
  /** Which input, from 0. */
  readonly index: number;
  /** Its numbers as 32-bit floats, little-endian, in base64. */
  readonly embedding: string;
}

/** What becomes one line of an answer. */
export type AnswerPart =
  /** The `choices` of one chunk, of a chat or a completion, untouched. */
  | { readonly choices: readonly unknown[] }
  /** Some vectors. */
  | { readonly data: readonly Embedding[] };

/** One piece of an answer. */
export type BackendEvent =
  | { readonly type: "part"; readonly part: AnswerPart }
  /** The final usage, if the backend tells it. */
  | { readonly type: "usage"; readonly usage: TokenUsage };

/** A language model's server, or an engine in this worker. */
export interface ModelBackend {
  /** What it offers now. @throws {LloomError} `backend_*` */
  models(signal: AbortSignal): Promise<readonly BackendModel[]>;
  /**
   * Answers one request; ends without throwing only when the model has finished. A text comes as it
   * is written, vectors in order of their inputs. `request.maxTokens` binds each text, whatever
   * `request.raw` says. While the caller does not ask for the next event, nothing is read from the
   * model.
   * @param model the backend's own name of the model
   * @throws {LloomError} `backend_*`, `context_length_exceeded`, `feature_unsupported`, or `aborted`
   */
  answer(model: string, request: ModelRequest, signal: AbortSignal): AsyncIterable<BackendEvent>;
  /** Exact tokens of a prompt and of a text written so far, for where the backend gave no usage. */
  count(
    model: string,
    request: ModelRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenUsage>;
}
