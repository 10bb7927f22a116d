/** Deltas put together again, for answers that are not streamed. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";

/** Choices, or tool calls, of one answer: far more than anybody asks for. */
const MAX_MERGED = 256;

/** Fields of a message that come in pieces of text. */
const TEXTS: ReadonlySet<string> = new Set([
  "content",
  "reasoning_content",
  "reasoning",
  "refusal",
]);

/** Things that come in pieces, told apart by their `index`. */
export class ByIndex<T extends { add(piece: JsonObject): void }> {
  readonly #make: () => T;
  readonly #items = new Map<number, T>();

  /** @param make one that has no piece yet */
  constructor(make: () => T) {
    this.#make = make;
  }

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#items.size === 0;
  }

  /**
   * Takes pieces in; one without an index is that of its place in the list.
   * @throws {LloomError} `protocol_violation` for what is no list of objects, or too many of them
   */
  add(pieces: unknown): void {
    if (!Array.isArray(pieces) || !pieces.every(isJsonObject)) {
      throw new LloomError("protocol_violation", "read answer: a piece that is none");
    }
    pieces.forEach((piece: JsonObject, place) => {
      const index = typeof piece["index"] === "number" ? piece["index"] : place;
      let item = this.#items.get(index);
      if (item === undefined) {
        if (this.#items.size === MAX_MERGED) {
          throw new LloomError("protocol_violation", `read answer: above ${MAX_MERGED} pieces`);
        }
        this.#items.set(index, item = this.#make());
      }
      item.add(piece);
    });
  }

  /** All, by their indexes. */
  inOrder(): readonly (readonly [index: number, item: T])[] {
    return [...this.#items].sort(([a], [b]) => a - b);
  }
}

/** One choice of a chat completion. */
export class MergedChoice {
  readonly #message = new MergedMessage();
  readonly #logprobs = new MergedLists();
  #finish: string | null = null;

  /** Takes a choice of a chunk in. */
  add({ delta, finish_reason: finish, logprobs }: JsonObject): void {
    if (isJsonObject(delta)) this.#message.add(delta);
    if (isJsonObject(logprobs)) this.#logprobs.add(logprobs);
    if (typeof finish === "string") this.#finish = finish;
  }

  /** The choice of a whole answer. */
  result(index: number): JsonObject {
    return {
      index,
      message: this.#message.result(),
      logprobs: this.#logprobs.result(),
      finish_reason: this.#finish,
    };
  }
}

/** One choice of a text completion. */
export class MergedText {
  readonly #text: string[] = [];
  readonly #logprobs = new MergedLists();
  #finish: string | null = null;

  /** Takes a choice of a chunk in. */
  add({ text, finish_reason: finish, logprobs }: JsonObject): void {
    if (typeof text === "string") this.#text.push(text);
    if (isJsonObject(logprobs)) this.#logprobs.add(logprobs);
    if (typeof finish === "string") this.#finish = finish;
  }

  /** The choice of a whole answer. */
  result(index: number): JsonObject {
    return {
      index,
      text: this.#text.join(""),
      logprobs: this.#logprobs.result(),
      finish_reason: this.#finish,
    };
  }
}

class MergedMessage {
  readonly #texts = new Map<string, string[]>();
  readonly #others = new Map<string, unknown>();
  readonly #calls = new ByIndex(() => new MergedCall());
  readonly #function = new MergedCall();
  #hasFunction = false;

  add(delta: JsonObject): void {
    for (const [field, value] of Object.entries(delta)) {
      if (value === null || value === undefined) continue;
      if (field === "tool_calls") this.#calls.add(value);
      else if (field === "function_call" && isJsonObject(value)) {
        this.#hasFunction = true;
        this.#function.add({ function: value });
      } else if (TEXTS.has(field) && typeof value === "string") this.#addText(field, value);
      else this.#others.set(field, value);
    }
  }

  result(): JsonObject {
    const texts = [...this.#texts].map(([field, parts]) => [field, parts.join("")] as const);
    const calls = this.#calls.inOrder().map(([, call]) => call.result());
    return {
      role: "assistant",
      content: null,
      ...Object.fromEntries([...this.#others, ...texts.filter(([, text]) => text !== "")]),
      // An empty answer is a text; beside tool calls or a refusal it is none.
      ...(!this.#says && calls.length === 0 && !this.#hasFunction && { content: "" }),
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(this.#hasFunction && { function_call: this.#function.result()["function"] }),
    };
  }

  get #says(): boolean {
    return this.#others.has("content") ||
      ["content", "refusal"].some((field) => this.#texts.get(field)?.some((text) => text !== ""));
  }

  #addText(field: string, text: string): void {
    const parts = this.#texts.get(field);
    if (parts === undefined) this.#texts.set(field, [text]);
    else parts.push(text);
  }
}

/** One tool call: its arguments come in pieces, all else once. */
class MergedCall {
  readonly #fields = new Map<string, unknown>();
  readonly #function = new Map<string, unknown>();
  readonly #arguments: string[] = [];

  add({ index: _, function: called, ...fields }: JsonObject): void {
    for (const [field, value] of Object.entries(fields)) {
      if (value !== null) this.#fields.set(field, value);
    }
    if (!isJsonObject(called)) return;
    const { arguments: text, ...others } = called;
    if (typeof text === "string") this.#arguments.push(text);
    for (const [field, value] of Object.entries(others)) {
      if (value !== null) this.#function.set(field, value);
    }
  }

  result(): JsonObject {
    const called = { ...Object.fromEntries(this.#function), arguments: this.#arguments.join("") };
    return { type: "function", ...Object.fromEntries(this.#fields), function: called };
  }
}

/** An object of lists, such as `logprobs`, each longer with every piece. */
class MergedLists {
  readonly #lists = new Map<string, unknown[]>();

  add(piece: JsonObject): void {
    for (const [field, value] of Object.entries(piece)) {
      if (!Array.isArray(value)) continue;
      const list = this.#lists.get(field);
      if (list === undefined) this.#lists.set(field, [...value]);
      else for (const item of value) list.push(item);
    }
  }

  result(): JsonObject | null {
    return this.#lists.size === 0 ? null : Object.fromEntries(this.#lists);
  }
}
