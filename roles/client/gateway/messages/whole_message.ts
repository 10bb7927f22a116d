/** A whole message of Anthropic's Messages API. @module */
import { LloomError } from "@lloom/core/errors";
import { type JsonObject, parseJsonText } from "@lloom/core/protocol";
import type { BlockDelta, ContentBlock, Message, MessageEvent } from "./message_types.ts";

/** The message that events lead to. */
export class WholeMessage {
  readonly #texts: string[][] = [];
  #message: Message | undefined;
  #lloom: JsonObject = {};

  /** Takes the next event. @throws {LloomError} `backend_malformed` if a call's arguments are no JSON */
  take(event: MessageEvent): void {
    switch (event.type) {
      case "message_start":
        this.#message = event.message;
        return;
      case "content_block_start":
        this.#message?.content.push(event.content_block);
        this.#texts.push([]);
        return;
      case "content_block_delta":
        this.#texts[event.index]?.push(textOf(event.delta));
        return;
      case "message_delta":
        this.#finish(event);
    }
  }

  /** The message, after the last event. */
  result(): JsonObject {
    return { ...this.#message, lloom: this.#lloom };
  }

  #finish({ delta, usage, lloom }: MessageEvent & { type: "message_delta" }): void {
    const message = this.#message;
    if (message === undefined) return;
    Object.assign(message, delta);
    Object.assign(message.usage, usage);
    this.#lloom = lloom;
    message.content.forEach((block, i) =>
      fill(block, this.#texts[i]?.join("") ?? "", delta.stop_reason === "max_tokens")
    );
  }
}

function textOf(delta: BlockDelta): string {
  switch (delta.type) {
    case "text_delta":
      return delta.text;
    case "thinking_delta":
      return delta.thinking;
    case "input_json_delta":
      return delta.partial_json;
    case "signature_delta":
      return "";
  }
}

function fill(block: ContentBlock, text: string, isCut: boolean): void {
  switch (block.type) {
    case "text":
      block.text = text;
      return;
    case "thinking":
      block.thinking = text;
      return;
    case "tool_use":
      block.input = inputOf(text, isCut);
  }
}

/** A call's arguments. Those of a call that was cut are left out: nobody may run it. */
function inputOf(text: string, isCut: boolean): unknown {
  try {
    return parseJsonText(text);
  } catch (error) {
    if (isCut) return {};
    throw new LloomError("backend_malformed", "read answer: arguments of a tool call are no JSON", {
      cause: error,
    });
  }
}
