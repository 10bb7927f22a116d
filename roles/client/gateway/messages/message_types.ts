/** What Anthropic's Messages API answers with: the parts of it that a model on this network can fill. @module */
import type { JsonObject } from "@lloom/core/protocol";

/** A part of a message. */
export type ContentBlock =
  | { type: "text"; text: string; citations: null }
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "tool_use"; id: string; name: string; input: unknown; caller: { type: "direct" } };

/** Why a message ended. */
export type StopReason = "end_turn" | "max_tokens" | "stop_sequence" | "tool_use" | "refusal";

/** Tokens of a request, and what Anthropic tells besides: nothing here. */
export interface MessageUsage {
  /** Tokens of the prompt. */
  readonly input_tokens: number;
  /** Tokens of the answer. */
  readonly output_tokens: number;
  /** Not known. */
  readonly cache_creation_input_tokens: null;
  /** Not known. */
  readonly cache_read_input_tokens: null;
  /** Not known. */
  readonly output_tokens_details: null;
  /** No tools run at servers. */
  readonly server_tool_use: null;
}

/** Fields of a whole message's usage alone. */
type WholeUsage = MessageUsage & {
  cache_creation: null;
  inference_geo: null;
  service_tier: null;
  speed: null;
};

/** A message. */
export type Message = {
  id: string;
  type: "message";
  role: "assistant";
  model: string;
  content: ContentBlock[];
  container: null;
  diagnostics: null;
  stop_details: null;
  stop_reason: StopReason | null;
  stop_sequence: string | null;
  usage: WholeUsage;
};

/** What is added to a block. */
export type BlockDelta =
  | { type: "text_delta"; text: string }
  | { type: "thinking_delta"; thinking: string }
  | { type: "signature_delta"; signature: string }
  | { type: "input_json_delta"; partial_json: string };

/** An event of a streamed message. */
export type MessageEvent =
  | { type: "message_start"; message: Message }
  | { type: "content_block_start"; index: number; content_block: ContentBlock }
  | { type: "content_block_delta"; index: number; delta: BlockDelta }
  | { type: "content_block_stop"; index: number }
  | {
    type: "message_delta";
    delta: {
      container: null;
      stop_details: null;
      stop_reason: StopReason;
      stop_sequence: string | null;
    };
    usage: MessageUsage;
    /** Who answered, and at which cost. */
    lloom: JsonObject;
  }
  | { type: "message_stop" };

/** The usage of a stream's end. */
export function usageOf(inputTokens: number, outputTokens: number): MessageUsage {
  return {
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    cache_creation_input_tokens: null,
    cache_read_input_tokens: null,
    output_tokens_details: null,
    server_tool_use: null,
  };
}

/** The usage of a message. */
export function wholeUsageOf(inputTokens: number, outputTokens: number): WholeUsage {
  const others = { cache_creation: null, inference_geo: null, service_tier: null, speed: null };
  return { ...usageOf(inputTokens, outputTokens), ...others };
}
