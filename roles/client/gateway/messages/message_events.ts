/** From an answer to the events of Anthropic's Messages API. @module */
import type { JsonObject } from "@lloom/core/protocol";
import type { AnswerEnd } from "../answer.ts";
import { AnswerBlocks, type Block, type BlockEvent } from "../answer_blocks.ts";
import {
  type BlockDelta,
  type ContentBlock,
  type Message,
  type MessageEvent,
  type StopReason,
  usageOf,
  wholeUsageOf,
} from "./message_types.ts";

const NO_SIGNATURE: BlockDelta = { type: "signature_delta", signature: "" };

/** What the events say besides the answer. */
export interface MessageHead {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** The model's name as the client gave it. */
  readonly model: string;
  /** The prompt's tokens, by estimate: they are counted only in the end. */
  readonly estimatedTokens: number;
  /** Texts that end the answer. */
  readonly stops: readonly string[];
}

/** Says each thing that happens to an answer in Anthropic's words. */
export class MessageEvents {
  readonly #head: MessageHead;
  readonly #blocks: AnswerBlocks;
  #refused = false;

  /** Events of one answer. */
  constructor(head: MessageHead) {
    this.#head = head;
    let calls = 0;
    this.#blocks = new AnswerBlocks(() => `toolu_${head.id}_${calls++}`);
  }

  /** The first event. */
  start(): MessageEvent {
    const { id, model, estimatedTokens } = this.#head;
    const message: Message = {
      ...{ id: `msg_${id}`, type: "message", role: "assistant", model, content: [] },
      ...{ container: null, diagnostics: null, stop_details: null },
      ...{ stop_reason: null, stop_sequence: null, usage: wholeUsageOf(estimatedTokens, 0) },
    };
    return { type: "message_start", message };
  }

  /** What a line adds. @throws {LloomError} `backend_malformed` */
  *line(line: JsonObject): Generator<MessageEvent> {
    for (const event of this.#blocks.take(line)) yield* this.#say(event);
  }

  /** What a whole answer ends with. @param lloom who answered, and at which cost */
  *end(end: AnswerEnd, lloom: JsonObject): Generator<MessageEvent> {
    for (const event of this.#blocks.finish()) yield* this.#say(event);
    const reason = this.#stopReason(end.finish);
    const stopSequence = reason === "stop_sequence" ? this.#blocks.stopText ?? null : null;
    const ending = { stop_reason: reason, stop_sequence: stopSequence };
    yield {
      type: "message_delta",
      delta: { container: null, stop_details: null, ...ending },
      usage: usageOf(end.promptTokens, end.completionTokens),
      lloom,
    };
    yield { type: "message_stop" };
  }

  *#say(event: BlockEvent): Generator<MessageEvent> {
    const { index } = event.block;
    if (event.block.kind === "refusal") this.#refused = true;
    switch (event.type) {
      case "open":
        yield { type: "content_block_start", index, content_block: emptyBlock(event.block) };
        return;
      case "add":
        if (event.text === "") return;
        yield { type: "content_block_delta", index, delta: deltaOf(event.block, event.text) };
        return;
      case "close":
        // Nobody signs thoughts here; without the event some clients would not send them back.
        if (event.block.kind === "reasoning") {
          yield { type: "content_block_delta", index, delta: NO_SIGNATURE };
        }
        yield { type: "content_block_stop", index };
    }
  }

  #stopReason(finish: string): StopReason {
    const { stops } = this.#head;
    const { called, stopText } = this.#blocks;
    if (finish === "length") return "max_tokens";
    if (finish === "content_filter" || this.#refused) return "refusal";
    // Some servers say `stop` after a call too.
    if (called) return "tool_use";
    return stopText !== undefined && stops.includes(stopText) ? "stop_sequence" : "end_turn";
  }
}

function emptyBlock(block: Block): ContentBlock {
  switch (block.kind) {
    case "reasoning":
      return { type: "thinking", thinking: "", signature: "" };
    case "call": {
      const { callId: id, name } = block;
      return { type: "tool_use", id, name, input: {}, caller: { type: "direct" } };
    }
    default:
      return { type: "text", text: "", citations: null };
  }
}

function deltaOf({ kind }: Block, text: string): BlockDelta {
  switch (kind) {
    case "reasoning":
      return { type: "thinking_delta", thinking: text };
    case "call":
      return { type: "input_json_delta", partial_json: text };
    default:
      return { type: "text_delta", text };
  }
}
