/**
 * What the inference worker needs of a language model, wherever it runs.
 * @module
 */
import type { ChatRequest, CountedBy } from "@lloom/core/protocol";

/** A model that a backend offers, as far as the backend itself tells. */
export interface BackendModel {
  /** The name the backend knows it by. */
  readonly id: string;
  /** Tokens of prompt and answer together; absent if the backend does not say. */
  readonly contextLength?: number;
  /** What it can do besides chat: `tools`, `vision`, `json_schema`, `reasoning`, `embeddings`, … */
  readonly features: readonly string[];
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

/** One piece of an answer. */
export type BackendEvent =
  /** The `choices` of one OpenAI `chat.completion.chunk`, untouched. */
  | { readonly type: "choices"; readonly choices: readonly unknown[] }
  /** The final usage, if the backend tells it. */
  | { readonly type: "usage"; readonly usage: TokenUsage };

/** A language model's server, or an engine in this worker. */
export interface ChatBackend {
  /** What it offers now. @throws {LloomError} `backend_*` */
  models(signal: AbortSignal): Promise<readonly BackendModel[]>;
  /**
   * Streams one answer; ends without throwing only when the model has finished.
   * `request.maxTokens` binds each answer, whatever `request.raw` says. While the caller does not
   * ask for the next event, nothing is read from the model.
   * @param model the backend's own name of the model
   * @throws {LloomError} `backend_*`, `context_length_exceeded`, or `aborted`
   */
  chat(model: string, request: ChatRequest, signal: AbortSignal): AsyncIterable<BackendEvent>;
  /** Exact tokens of a prompt and of a text written so far, for where the backend gave no usage. */
  count(
    model: string,
    request: ChatRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenUsage>;
}
