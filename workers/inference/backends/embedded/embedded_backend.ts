/**
 * A language model that runs right here: no server, no permission, one small file.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import type { Feature, ModelRequest } from "@lloom/core/protocol";
import type { BackendEvent, BackendModel, ModelBackend, TokenUsage } from "../backend.ts";
import { breathe } from "./breathe.ts";
import { encodeChat, encodeText, refuseUnsupported } from "./chat_template.ts";
import { parseGguf, textOf } from "./gguf.ts";
import { Llama } from "./llama.ts";
import { Sampler } from "./sampler.ts";
import { StopFilter } from "./stop_filter.ts";
import { Tokenizer } from "./tokenizer.ts";

/** Settings of an {@linkcode EmbeddedBackend}. */
export interface EmbeddedBackendOptions {
  /** Answers at the same time; each needs a cache, 2.4 MB for the demo model. @default 16 */
  readonly maxChats?: number;
}

const FEATURES: readonly Feature[] = ["chat", "completions", "continue", "seed", "stop"];

function checkSignal(signal: AbortSignal): void {
  if (signal.aborted) throw LloomError.wrap(signal.reason, "aborted", "embedded model");
}

/**
 * Answers chats and completions with the model in a GGUF file. Answers in progress take turns, token by token.
 *
 * Unless a request says otherwise, the likeliest token is always taken: small models answer best so.
 */
export class EmbeddedBackend implements ModelBackend {
  readonly #model: Llama;
  readonly #tokenizer: Tokenizer;
  readonly #card: BackendModel & { readonly contextLength: number };

  /**
   * Loads a model: 20 to 40 ms for the demo model.
   * @param file a GGUF file; not needed afterwards
   * @throws {LloomError} `backend_malformed` if it is damaged, or not a model of a supported kind
   */
  constructor(file: Uint8Array, { maxChats = 16 }: EmbeddedBackendOptions = {}) {
    if (!Number.isInteger(maxChats) || maxChats < 1) {
      throw new RangeError("embedded backend: maxChats must be a positive integer");
    }
    const gguf = parseGguf(file);
    const { metadata } = gguf;
    this.#tokenizer = new Tokenizer(metadata);
    this.#model = new Llama(gguf, maxChats);
    const { vocabulary, contextLength } = this.#model.shape;
    if (this.#tokenizer.size !== vocabulary) {
      throw new LloomError(
        "backend_malformed",
        "load model: tokens and embeddings differ in number",
      );
    }
    this.#card = {
      id: textOf(metadata, "general.name"),
      contextLength,
      features: FEATURES,
      architecture: textOf(metadata, "general.architecture"),
      size: textOf(metadata, "general.size_label"),
    };
    encodeChat({ messages: [], continues: false }, this.#tokenizer, contextLength); // throws where the template's marks are missing
  }

  /** The one model. */
  models(signal: AbortSignal): Promise<readonly BackendModel[]> {
    return Promise.try(() => {
      checkSignal(signal);
      return [this.#card];
    });
  }

  /**
   * Streams an answer, of several prompts one after the other. Each ends with `length` where the
   * context is full, even below `maxTokens`.
   * @throws {LloomError} `model_unavailable`, `feature_unsupported`, `request_invalid`,
   * `context_length_exceeded`, `overloaded`, `aborted`
   */
  async *answer(
    model: string,
    request: ModelRequest,
    signal: AbortSignal,
  ): AsyncGenerator<BackendEvent, void> {
    checkSignal(signal);
    const prompts = this.#encodePrompts(model, request);
    let completionTokens = 0;
    for (const [index, prompt] of prompts.entries()) {
      completionTokens += yield* this.#write(prompt, request, index, signal);
    }
    const promptTokens = prompts.reduce((sum, { length }) => sum + length, 0);
    yield { type: "usage", usage: { promptTokens, completionTokens, countedBy: "tokenizer" } };
  }

  /** Writes one text. @returns how many tokens it has */
  async *#write(
    prompt: readonly number[],
    request: ModelRequest,
    index: number,
    signal: AbortSignal,
  ): AsyncGenerator<BackendEvent, number> {
    const room = this.#card.contextLength - prompt.length;
    const maxTokens = Math.min(room, request.maxTokens ?? room);
    const sampler = new Sampler(request);
    const decoder = this.#tokenizer.decoder();
    const filter = new StopFilter(request.stop);
    const piece = (text: string, finish: string | null = null): BackendEvent => {
      const said = request.kind === "chat"
        ? { delta: text === "" ? {} : { content: text } }
        : { text };
      return { type: "part", part: { choices: [{ index, ...said, finish_reason: finish }] } };
    };
    const sequence = this.#model.open();
    try {
      const breatheOrStop = async () => {
        await breathe();
        checkSignal(signal);
      };
      for (const token of prompt.slice(0, -1)) {
        sequence.skip(token);
        await breatheOrStop();
      }
      let token = prompt.at(-1)!;
      let tokens = 0;
      let ended = false;
      if (request.kind === "chat") {
        const delta = { role: "assistant", content: "" };
        yield { type: "part", part: { choices: [{ index, delta, finish_reason: null }] } };
      }
      while (!ended && tokens < maxTokens) {
        await breatheOrStop();
        // Before the next wait: other answers overwrite the logits.
        token = sampler.next(sequence.push(token));
        ended = this.#tokenizer.isControl(token);
        if (!ended) {
          tokens++;
          const text = filter.push(decoder.push(token));
          if (text !== "") yield piece(text);
          ended = filter.stopped;
        }
      }
      const rest = filter.push(decoder.end()) + filter.end();
      if (rest !== "") yield piece(rest);
      yield piece("", ended || filter.stopped ? "stop" : "length");
      return tokens;
    } finally {
      sequence.close();
    }
  }

  /**
   * Tokens of a prompt, and of a text as this tokenizer would write it. An answer's end mark does not count.
   * @throws {LloomError} as {@linkcode EmbeddedBackend.answer}
   */
  count(
    model: string,
    request: ModelRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenUsage> {
    return Promise.try(() => {
      checkSignal(signal);
      return {
        promptTokens: this.#encodePrompts(model, request).reduce(
          (sum, { length }) => sum + length,
          0,
        ),
        completionTokens: this.#tokenizer.encode(completion, this.#card.contextLength).length,
        countedBy: "tokenizer",
      };
    });
  }

  /** The prompts, each short enough to leave room for at least one token. */
  #encodePrompts(model: string, request: ModelRequest): readonly (readonly number[])[] {
    if (model !== this.#card.id) {
      throw new LloomError("model_unavailable", "embedded model: not the model that is loaded");
    }
    refuseUnsupported(request);
    const limit = this.#card.contextLength - 1;
    switch (request.kind) {
      case "chat":
        return [encodeChat(request, this.#tokenizer, limit)];
      case "completion":
        return request.prompts.map((prompt) => encodeText(prompt, this.#tokenizer, limit));
      case "embedding":
        throw new LloomError("feature_unsupported", "embedded model: it makes no vectors");
    }
  }
}
