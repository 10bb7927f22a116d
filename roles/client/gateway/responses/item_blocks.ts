/** The steps that one block of an answer takes as an item of OpenAI's Responses API. @module */
import { isJsonObject } from "@lloom/core/protocol";
import type { Block } from "../answer_blocks.ts";
import type {
  ChosenLogprob,
  ItemStatus,
  OutputItem,
  OutputRefusal,
  OutputText,
  ReasoningText,
  ResponseStep,
  SummaryText,
  TokenLogprob,
} from "./response_types.ts";

/** One item under way, and the steps that its content takes. */
export interface ItemBlock {
  /** The item while it has no content. */
  readonly empty: OutputItem;
  /** The item with its whole text. */
  whole(text: string, status: ItemStatus): OutputItem;
  /** What its content begins with. */
  begin(): readonly ResponseStep[];
  /** What a text adds to it. */
  add(text: string, logprobs: readonly unknown[]): readonly ResponseStep[];
  /** What it ends with. */
  end(text: string): readonly ResponseStep[];
}

/** Where the item is in its response, and how thoughts are shown. */
export interface ItemPlace {
  /** 32 hexadecimal digits, of the response. */
  readonly responseHex: string;
  /** Place among the response's items, from 0. */
  readonly index: number;
  /** Whether the client asked for summaries of thoughts. */
  readonly summarize: boolean;
}

/** The id of a response. */
export function responseIdOf(hex: string): string {
  return `resp_${hex}`;
}

/** Which item of which response an id names; undefined if it is not one of ours. */
export function placeOfItem(
  id: string,
): { readonly responseId: string; readonly index: number } | undefined {
  const match = /^(?:msg|rs|fc)_([0-9a-f]{32})_(\d{1,6})$/.exec(id);
  return match ? { responseId: responseIdOf(match[1]!), index: Number(match[2]) } : undefined;
}

/** The item of a block. */
export function itemBlock(block: Block, { responseHex, index, summarize }: ItemPlace): ItemBlock {
  const idOf = (prefix: string): string => `${prefix}_${responseHex}_${index}`;
  switch (block.kind) {
    case "text":
      return textItem(idOf("msg"), index);
    case "refusal":
      return refusalItem(idOf("msg"), index);
    case "reasoning":
      return summarize ? summaryItem(idOf("rs"), index) : reasoningItem(idOf("rs"), index);
    case "call":
      return callItem(idOf("fc"), index, block.callId, block.name);
  }
}

function messageItem(
  id: string,
  status: ItemStatus,
  content: (OutputText | OutputRefusal)[],
): OutputItem {
  return { id, type: "message", role: "assistant", status, content };
}

function textItem(id: string, output_index: number): ItemBlock {
  const at = { item_id: id, output_index, content_index: 0 };
  const chosen: ChosenLogprob[] = [];
  const partOf = (text: string): OutputText => (
    { type: "output_text", text, annotations: [], logprobs: chosen.slice() }
  );
  return {
    empty: messageItem(id, "in_progress", []),
    whole: (text, status) => messageItem(id, status, [partOf(text)]),
    begin: () => [{ type: "response.content_part.added", ...at, part: partOf("") }],
    add(delta, given) {
      const logprobs = given.flatMap(readChosen);
      chosen.push(...logprobs);
      return [{ type: "response.output_text.delta", ...at, delta, logprobs }];
    },
    end: (text) => [
      { type: "response.output_text.done", ...at, text, logprobs: chosen.slice() },
      { type: "response.content_part.done", ...at, part: partOf(text) },
    ],
  };
}

function refusalItem(id: string, output_index: number): ItemBlock {
  const at = { item_id: id, output_index, content_index: 0 };
  const partOf = (refusal: string): OutputRefusal => ({ type: "refusal", refusal });
  return {
    empty: messageItem(id, "in_progress", []),
    whole: (text, status) => messageItem(id, status, [partOf(text)]),
    begin: () => [{ type: "response.content_part.added", ...at, part: partOf("") }],
    add: (delta) => [{ type: "response.refusal.delta", ...at, delta }],
    end: (refusal) => [
      { type: "response.refusal.done", ...at, refusal },
      { type: "response.content_part.done", ...at, part: partOf(refusal) },
    ],
  };
}

function reasoningItem(id: string, output_index: number): ItemBlock {
  const at = { item_id: id, output_index, content_index: 0 };
  const partOf = (text: string): ReasoningText => ({ type: "reasoning_text", text });
  const item = (status: ItemStatus, content: ReasoningText[]): OutputItem => (
    { id, type: "reasoning", status, summary: [], content }
  );
  return {
    empty: item("in_progress", []),
    whole: (text, status) => item(status, [partOf(text)]),
    begin: () => [{ type: "response.content_part.added", ...at, part: partOf("") }],
    add: (delta) => [{ type: "response.reasoning_text.delta", ...at, delta }],
    end: (text) => [
      { type: "response.reasoning_text.done", ...at, text },
      { type: "response.content_part.done", ...at, part: partOf(text) },
    ],
  };
}

/** Thoughts for a client that asked for a summary: none is more exact than all of them. */
function summaryItem(id: string, output_index: number): ItemBlock {
  const at = { item_id: id, output_index, summary_index: 0 };
  const partOf = (text: string): SummaryText => ({ type: "summary_text", text });
  const item = (status: ItemStatus, summary: SummaryText[]): OutputItem => (
    { id, type: "reasoning", status, summary }
  );
  return {
    empty: item("in_progress", []),
    whole: (text, status) => item(status, [partOf(text)]),
    begin: () => [{ type: "response.reasoning_summary_part.added", ...at, part: partOf("") }],
    add: (delta) => [{ type: "response.reasoning_summary_text.delta", ...at, delta }],
    end: (text) => [
      { type: "response.reasoning_summary_text.done", ...at, text },
      { type: "response.reasoning_summary_part.done", ...at, part: partOf(text) },
    ],
  };
}

function callItem(id: string, output_index: number, call_id: string, name: string): ItemBlock {
  const at = { item_id: id, output_index };
  const item = (status: ItemStatus, args: string): OutputItem => (
    { id, type: "function_call", status, call_id, name, arguments: args }
  );
  return {
    empty: item("in_progress", ""),
    whole: (args, status) => item(status, args),
    begin: () => [],
    add: (delta) => [{ type: "response.function_call_arguments.delta", ...at, delta }],
    end: (args) => [
      { type: "response.function_call_arguments.done", ...at, name, arguments: args },
    ],
  };
}

/** A token of the chat API; none if it is not one. */
function readChosen(value: unknown): ChosenLogprob[] {
  const others = isJsonObject(value) && Array.isArray(value.top_logprobs) ? value.top_logprobs : [];
  return readToken(value).map((token) => ({ ...token, top_logprobs: others.flatMap(readToken) }));
}

function readToken(value: unknown): TokenLogprob[] {
  if (!isJsonObject(value)) return [];
  const { token, logprob, bytes } = value;
  if (typeof token !== "string" || typeof logprob !== "number") return [];
  return [{ token, logprob, bytes: Array.isArray(bytes) ? bytes : [] }];
}
