/** Streams of `/v1/chat/completions` and `/v1/completions`. @module */
import type { Answer, AnswerEnd, AnswerPiece } from "./answer.ts";
import { lloomField, seamComment, usageField } from "./lloom_field.ts";
import { sseError, sseEvent, type StreamEncoder } from "./respond.ts";

/** What the two APIs call their answers. */
export interface ChunkNames {
  /** What ids begin with. */
  readonly idPrefix: string;
  /** The field `object` of a chunk. */
  readonly chunk: string;
  /** The field `object` of a whole answer. */
  readonly whole: string;
}

/** Of `/v1/chat/completions`. */
export const CHAT_NAMES: ChunkNames = {
  idPrefix: "chatcmpl-",
  chunk: "chat.completion.chunk",
  whole: "chat.completion",
};
/** Of `/v1/completions`. */
export const COMPLETION_NAMES: ChunkNames = {
  idPrefix: "cmpl-",
  chunk: "text_completion",
  whole: "text_completion",
};

/**
 * Writes each line as one event. The line's own text is put into the event: it is a JSON object of
 * one field, so that its braces are all that must be changed.
 */
export class ChunkStream implements StreamEncoder {
  readonly #head: string;
  readonly #answer: Answer;
  readonly #names: ChunkNames;
  readonly #includeUsage: boolean;

  /** @param includeUsage whether `stream_options` asks for the usage */
  constructor(answer: Answer, names: ChunkNames, includeUsage: boolean) {
    this.#answer = answer;
    this.#names = names;
    this.#includeUsage = includeUsage;
    // With usage asked for, OpenAI's other chunks say that they have none.
    const fields = { ...this.#fields(), ...(includeUsage && { usage: null }) };
    this.#head = `data: ${JSON.stringify(fields).slice(0, -1)},`;
  }

  /** The events of a piece. */
  piece(piece: AnswerPiece): string {
    switch (piece.type) {
      case "lines": {
        let events = "";
        for (const { text } of piece.lines) events += `${this.#head}${text.slice(1)}\n\n`;
        return events;
      }
      case "seam":
        return seamComment(piece);
      case "end":
        return `${this.#includeUsage ? this.#usage(piece.end) : ""}data: [DONE]\n\n`;
    }
  }

  /** An event with an error, and no `[DONE]`: nobody takes it for a whole answer. */
  broken(error: unknown): string {
    return sseError(error, "openai");
  }

  #usage(end: AnswerEnd): string {
    return sseEvent({
      ...this.#fields(),
      choices: [],
      usage: usageField(end),
      lloom: lloomField(end),
    });
  }

  #fields() {
    const { id, createdS, model } = this.#answer;
    const { idPrefix, chunk } = this.#names;
    return { id: `${idPrefix}${id}`, object: chunk, created: createdS, model };
  }
}
