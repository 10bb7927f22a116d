/** What OpenAI's Responses API answers with: the parts of it that a model on this network can fill. @module */
import type { JsonObject } from "@lloom/core/protocol";

/** How far an item is. */
export type ItemStatus = "in_progress" | "completed" | "incomplete";

/** A token, and how likely it was. */
export type TokenLogprob = { token: string; logprob: number; bytes: number[] };

/** A token that was chosen, and others that might have been. */
export type ChosenLogprob = TokenLogprob & { top_logprobs: TokenLogprob[] };

/** Words of the answer. */
export type OutputText = {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: ChosenLogprob[];
};

/** Words in which the model declines. */
export type OutputRefusal = { type: "refusal"; refusal: string };

/** What the model thought, as it thought it. */
export type ReasoningText = { type: "reasoning_text"; text: string };

/** What the model thought, where the client asked for a summary. */
export type SummaryText = { type: "summary_text"; text: string };

/** A message of the model. */
export type MessageItem = {
  id: string;
  type: "message";
  role: "assistant";
  status: ItemStatus;
  content: (OutputText | OutputRefusal)[];
};

/** The model's thoughts: as they are, or as summary. */
export type ReasoningItem = {
  id: string;
  type: "reasoning";
  status: ItemStatus;
  summary: SummaryText[];
  content?: ReasoningText[];
};

/** A call of one of the client's functions. */
export type CallItem = {
  id: string;
  type: "function_call";
  status: ItemStatus;
  call_id: string;
  name: string;
  arguments: string;
};

/** An item of an answer. */
export type OutputItem = MessageItem | ReasoningItem | CallItem;

/** How far a response is. */
export type ResponseStatus =
  | "queued"
  | "in_progress"
  | "completed"
  | "incomplete"
  | "failed"
  | "cancelled";

/** Why a response failed. */
export type ResponseError = {
  code: "server_error" | "rate_limit_exceeded" | "invalid_prompt";
  message: string;
};

/** Tokens of a response. */
export type ResponseUsage = {
  input_tokens: number;
  input_tokens_details: { cached_tokens: number; cache_write_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
};

/** What a response repeats of its request. */
export type ResponseEcho = {
  background: boolean;
  instructions: string | null;
  max_output_tokens: number | null;
  max_tool_calls: number | null;
  metadata: Record<string, string>;
  model: string;
  parallel_tool_calls: boolean;
  previous_response_id: string | null;
  reasoning: { effort: string | null; summary: string | null };
  store: boolean;
  temperature: number | null;
  text: JsonObject;
  tool_choice: unknown;
  tools: readonly JsonObject[];
  top_logprobs: number;
  top_p: number | null;
  truncation: "disabled";
  user: string | null;
};

/** A response. */
export type ResponseObject = ResponseEcho & {
  id: string;
  object: "response";
  access_programs: null;
  created_at: number;
  completed_at: number | null;
  status: ResponseStatus;
  error: ResponseError | null;
  incomplete_details: { reason: "max_output_tokens" | "content_filter" } | null;
  output: OutputItem[];
  usage: ResponseUsage | null;
  /** Who answered, and at which cost; once it is over. */
  lloom?: JsonObject;
};

/** Where in an answer a part is. */
type Place = { item_id: string; output_index: number; content_index: number };
/** Where in an answer's summaries a part is. */
type SummaryPlace = { item_id: string; output_index: number; summary_index: number };
/** Parts of messages and of thoughts. */
type Part = OutputText | OutputRefusal | ReasoningText;

/** What happens to a response, before it has its number. */
export type ResponseStep =
  | {
    type:
      | "response.created"
      | "response.in_progress"
      | "response.completed"
      | "response.incomplete"
      | "response.failed";
    response: ResponseObject;
  }
  | {
    type: "response.output_item.added" | "response.output_item.done";
    output_index: number;
    item: OutputItem;
  }
  | Place & { type: "response.content_part.added" | "response.content_part.done"; part: Part }
  | Place & { type: "response.output_text.delta"; delta: string; logprobs: ChosenLogprob[] }
  | Place & { type: "response.output_text.done"; text: string; logprobs: ChosenLogprob[] }
  | Place & { type: "response.refusal.delta"; delta: string }
  | Place & { type: "response.refusal.done"; refusal: string }
  | Place & { type: "response.reasoning_text.delta"; delta: string }
  | Place & { type: "response.reasoning_text.done"; text: string }
  | SummaryPlace & {
    type: "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done";
    part: SummaryText;
  }
  | SummaryPlace & { type: "response.reasoning_summary_text.delta"; delta: string }
  | SummaryPlace & { type: "response.reasoning_summary_text.done"; text: string }
  | {
    type: "response.function_call_arguments.delta";
    item_id: string;
    output_index: number;
    delta: string;
  }
  | {
    type: "response.function_call_arguments.done";
    item_id: string;
    output_index: number;
    name: string;
    arguments: string;
  }
  | { type: "error"; code: string; message: string; param: null };

/** An event of a streamed response. */
export type ResponseEvent = ResponseStep & { sequence_number: number };
