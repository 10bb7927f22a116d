/** What lies between the APIs and the network: one question, and its answer as it comes. @module */
import type { ErrorCode } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import type { AnswerLine } from "../asking/answer_lines.ts";
import type { Wishes } from "./wishes.ts";

export type { AnswerLine };

/** Which of the gateway's APIs a request came by; metrics are told apart by it. */
export type ApiName = "chat" | "completions" | "embeddings" | "responses" | "messages";

/** One question. */
export interface Ask {
  /** Which API it came by. */
  readonly api: ApiName;
  /** What goes to the network: fields of an OpenAI chat, completion or embedding request only. */
  readonly request: JsonObject;
  /** How it is to be routed. */
  readonly wishes: Wishes;
  /** Cancels it, down to the model. */
  readonly signal: AbortSignal;
}

/** Answers questions. */
export interface Engine {
  /**
   * Begins to ask; resolves at once after what can be checked here.
   * @throws {LloomError} `request_invalid`, `feature_unsupported`, `frame_too_large`, `overloaded`,
   * `shutting_down`
   */
  ask(ask: Ask): Promise<Answer>;
}

/** Who answers, and at which price. */
export interface Answering {
  /** The executor's PeerId. */
  readonly peerId: string;
  /** Its Ethereum address, with EIP-55's checksum. */
  readonly address: string;
  /** What serves the model there: `ollama`, `vllm`, … */
  readonly backend: string;
  /** Whether the answer is one that was given before, and costs nothing now. */
  readonly cached: boolean;
  /** Base units per 1,000,000 tokens of prompt, as decimal text. */
  readonly inboundPrice: string;
  /** Base units per 1,000,000 tokens of answer, as decimal text. */
  readonly outboundPrice: string;
}

/** One answer under way. */
export interface Answer {
  /** 32 hexadecimal digits; also the header `x-lloom-request-id`. */
  readonly id: string;
  /** The model's name as the client gave it. */
  readonly model: string;
  /** When it was asked for, in Unix seconds. */
  readonly createdS: number;
  /** Who answers first: resolves just before the first piece, rejects with why nobody does. */
  readonly answering: Promise<Answering>;
  /**
   * The answer as it comes, to be read once. Only a whole, proven answer ends with `end`. Leaving the
   * iteration early cancels the request.
   * @throws {LloomError} where the answer breaks
   */
  pieces(): AsyncGenerator<AnswerPiece, void>;
}

/** What came at once. */
export type AnswerPiece =
  /** Lines of an answer, to be written in one chunk. */
  | { readonly type: "lines"; readonly lines: readonly AnswerLine[] }
  /** The executor broke with a code; from here another one continues. */
  | { readonly type: "seam"; readonly peerId: string; readonly code: ErrorCode }
  /** The answer is whole. */
  | { readonly type: "end"; readonly end: AnswerEnd };

/** One request of the network that an answer is made of. */
export interface AnswerOrigin {
  /** Who answered it. */
  readonly peerId: string;
  /** Its Ethereum address, with EIP-55's checksum. */
  readonly address: string;
  /** The hash that was signed; `lloom-client receipt` takes it. */
  readonly requestHash: string;
  /** The hash of the broken request that this one continues. */
  readonly continues?: string;
}

/** What is known of a whole answer. */
export interface AnswerEnd {
  /** Why it ended: `stop`, `length`, `tool_calls`, `content_filter`. */
  readonly finish: string;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens of all answers. */
  readonly completionTokens: number;
  /** Whether a count is an estimate. */
  readonly estimated: boolean;
  /** What it cost, as decimal text in whole units of the asset; absent if it was free. */
  readonly cost?: string;
  /** The asset's symbol; absent if it was free. */
  readonly asset?: string;
  /** Where it came from, in order; several if it was continued. */
  readonly parts: readonly AnswerOrigin[];
  /** Whether it is one that was given before. */
  readonly cached: boolean;
}
