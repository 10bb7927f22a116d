/** An answer as blocks that follow each other: what the Responses and the Messages API speak of. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import { JsonEnd } from "./json_end.ts";

/** Tool calls of one answer; OpenAI offers a model no more tools than that. */
const MAX_CALLS = 128;

/**
 * Changes between words of different kinds: a model that thinks between its words does so some dozen
 * times. Each block takes events and an item of its own, of many times the bytes that a stranger's
 * answer needs to ask for it.
 */
const MAX_CHANGES = 1024;

/** Words of one kind. */
export interface TextBlock {
  /** What they are. */
  readonly kind: "reasoning" | "text" | "refusal";
  /** Place among the answer's blocks, from 0. */
  readonly index: number;
}

/** A call of one of the client's tools; its text is the arguments' JSON. */
export interface CallBlock {
  /** That it is a call. */
  readonly kind: "call";
  /** Place among the answer's blocks, from 0. */
  readonly index: number;
  /** By which the client names the call when it brings the result. */
  readonly callId: string;
  /** The tool. */
  readonly name: string;
}

/** A part of an answer. */
export type Block = TextBlock | CallBlock;

/**
 * What happens to blocks. One is open at a time: `open`, any number of `add`, `close` with its whole
 * text, and only then the next.
 */
export type BlockEvent =
  | { readonly type: "open"; readonly block: Block }
  | {
    readonly type: "add";
    readonly block: Block;
    readonly text: string;
    /** Log-probabilities of the text's tokens, in OpenAI's form; empty if none were asked for. */
    readonly logprobs: readonly unknown[];
  }
  | { readonly type: "close"; readonly block: Block; readonly text: string };

interface Call {
  readonly callId: string;
  readonly name: string;
  readonly json: JsonEnd;
  over: boolean;
}

/** Some of a block's text. `of` says of which block: a kind of words, or a call. */
interface Part {
  readonly of: TextBlock["kind"] | Call;
  readonly text: string;
  readonly logprobs: readonly unknown[];
}

/**
 * Makes blocks of the first answer's deltas. Servers may send tool calls interleaved: what comes for
 * another block while a call's arguments are unfinished waits until they are.
 */
export class AnswerBlocks {
  readonly #newCallId: () => string;
  readonly #calls = new Map<number, Call>();
  #count = 0;
  #callCount = 0;
  #lastCall = 0;
  #lastKind: TextBlock["kind"] | "call" | undefined;
  #changes = 0;
  #open: { readonly of: Part["of"]; readonly block: Block; readonly texts: string[] } | undefined;
  #waiting: Part[] = [];
  #stopText: string | undefined;

  /** @param newCallId makes the id of a call to which the server gave none */
  constructor(newCallId: () => string) {
    this.#newCallId = newCallId;
  }

  /** Whether the model called a tool. */
  get called(): boolean {
    return this.#callCount > 0;
  }

  /** The stop text that ended the answer, where the server says so; most do not. */
  get stopText(): string | undefined {
    return this.#stopText;
  }

  /** Takes one line of the answer. @throws {LloomError} `backend_malformed` for what makes no sense */
  *take(line: JsonObject): Generator<BlockEvent> {
    const choices = Array.isArray(line.choices) ? line.choices : [];
    for (const choice of choices) {
      if (!isJsonObject(choice) || (choice.index ?? 0) !== 0) continue;
      if (typeof choice.stop_reason === "string") this.#stopText = choice.stop_reason;
      if (isJsonObject(choice.delta)) yield* this.#takeDelta(choice.delta, tokensOf(choice));
    }
  }

  /** Takes the answer's end: what is open is closed. */
  *finish(): Generator<BlockEvent> {
    yield* this.#close();
    while (this.#waiting.length > 0) {
      yield* this.#putWaiting();
      yield* this.#close();
    }
  }

  *#takeDelta(delta: JsonObject, logprobs: readonly unknown[]): Generator<BlockEvent> {
    // Servers name reasoning in one of two ways, never both with different text.
    yield* this.#putText("reasoning", delta.reasoning_content ?? delta.reasoning, []);
    yield* this.#putText("text", delta.content, logprobs);
    yield* this.#putText("refusal", delta.refusal, []);
    if (!Array.isArray(delta.tool_calls)) return;
    for (const fragment of delta.tool_calls) {
      if (isJsonObject(fragment)) yield* this.#takeCall(fragment);
    }
  }

  *#putText(
    of: TextBlock["kind"],
    text: unknown,
    logprobs: readonly unknown[],
  ): Generator<BlockEvent> {
    if (typeof text !== "string" || (text === "" && logprobs.length === 0)) return;
    if (of !== this.#lastKind && ++this.#changes > MAX_CHANGES) fail("too many blocks of words");
    this.#lastKind = of;
    yield* this.#put({ of, text, logprobs });
  }

  *#takeCall(fragment: JsonObject): Generator<BlockEvent> {
    const called = isJsonObject(fragment.function) ? fragment.function : {};
    const given = called.arguments;
    const text = typeof given === "string"
      ? given
      : isJsonObject(given)
      ? JSON.stringify(given)
      : "";
    const call = this.#callOf(fragment, called);
    this.#lastKind = "call";
    if (!call.over) yield* this.#put({ of: call, text, logprobs: [] });
    // Some servers end a call with white space.
    else if (text.trim() !== "") fail("arguments of a tool call after its end");
  }

  /** The call that a fragment belongs to. Where all have index 0, or none, another id means another call. */
  #callOf(fragment: JsonObject, called: JsonObject): Call {
    const id = typeof fragment.id === "string" && fragment.id !== "" ? fragment.id : undefined;
    const name = typeof called.name === "string" && called.name !== "" ? called.name : undefined;
    const index = typeof fragment.index === "number" ? fragment.index : this.#lastCall;
    this.#lastCall = index;
    const known = this.#calls.get(index);
    const isNew = name !== undefined && id !== undefined && known?.callId !== id;
    if (known !== undefined && !isNew) return known;
    if (name === undefined) fail("a tool call without a name");
    if (++this.#callCount > MAX_CALLS) fail(`above ${MAX_CALLS} tool calls`);
    const call = { callId: id ?? this.#newCallId(), name, json: new JsonEnd(), over: false };
    this.#calls.set(index, call);
    return call;
  }

  *#put(part: Part): Generator<BlockEvent> {
    const current = this.#open?.of;
    if (current !== part.of) {
      if (typeof current === "object" && !current.json.ended) {
        this.#waiting.push(part);
        return;
      }
      yield* this.#close();
      yield this.#begin(part.of);
    }
    yield* this.#add(part);
    const isEnded = typeof part.of === "object" && part.of.json.ended;
    if (isEnded && this.#waiting.length > 0) yield* this.#putWaiting();
  }

  *#putWaiting(): Generator<BlockEvent> {
    const parts = this.#waiting;
    this.#waiting = [];
    for (const part of parts) yield* this.#put(part);
  }

  #begin(of: Part["of"]): BlockEvent {
    const index = this.#count++;
    const block: Block = typeof of === "string"
      ? { kind: of, index }
      : { kind: "call", index, callId: of.callId, name: of.name };
    this.#open = { of, block, texts: [] };
    return { type: "open", block };
  }

  *#add({ of, text, logprobs }: Part): Generator<BlockEvent> {
    const open = this.#open;
    if (open === undefined || (text === "" && logprobs.length === 0)) return;
    if (typeof of === "object") of.json.push(text);
    open.texts.push(text);
    yield { type: "add", block: open.block, text, logprobs };
  }

  *#close(): Generator<BlockEvent> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    if (typeof open.of === "object") {
      open.of.over = true;
      // Calls without arguments come as nothing from some servers, and clients parse them as JSON.
      if (open.texts.join("").trim() === "") {
        yield { type: "add", block: open.block, text: "{}", logprobs: [] };
        open.texts.push("{}");
      }
    }
    yield { type: "close", block: open.block, text: open.texts.join("") };
  }
}

function tokensOf({ logprobs }: JsonObject): readonly unknown[] {
  return isJsonObject(logprobs) && Array.isArray(logprobs.content) ? logprobs.content : [];
}

function fail(what: string): never {
  throw new LloomError("backend_malformed", `read answer: ${what}`);
}
