/**
 * A language model that runs right here: no server, no permission, one small file.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import type { ChatRequest } from "@lloom/core/protocol";
import type { BackendEvent, BackendModel, ChatBackend, TokenUsage } from "../backend.ts";
import { breathe } from "./breathe.ts";
import { encodeChat, refuseUnsupported } from "./chat_template.ts";
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

function choices(delta: Record<string, string>, finish: string | null = null): BackendEvent {
  return { type: "choices", choices: [{ index: 0, delta, finish_reason: finish }] };
}

function checkSignal(signal: AbortSignal): void {
  if (signal.aborted) throw LloomError.wrap(signal.reason, "aborted", "embedded chat");
}

/**
 * Answers chats with the model in a GGUF file. Answers in progress take turns, token by token.
 *
 * Unless a request says otherwise, the likeliest token is always taken: small models answer best so.
 */
export class EmbeddedBackend implements ChatBackend {
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
      features: ["chat"],
      architecture: textOf(metadata, "general.architecture"),
      size: textOf(metadata, "general.size_label"),
    };
    encodeChat([], this.#tokenizer, contextLength); // throws where the template's marks are missing
  }

  /** The one model. */
  models(signal: AbortSignal): Promise<readonly BackendModel[]> {
    return Promise.try(() => {
      checkSignal(signal);
      return [this.#card];
    });
  }

  /**
   * Streams one answer. It ends with `length` where the context is full, even below `maxTokens`.
   * @throws {LloomError} `model_unavailable`, `feature_unsupported`, `request_invalid`,
   * `context_length_exceeded`, `overloaded`, `aborted`
   */
  async *chat(
    model: string,
    request: ChatRequest,
    signal: AbortSignal,
  ): AsyncGenerator<BackendEvent, void> {
    checkSignal(signal);
    const prompt = this.#encodePrompt(model, request);
    const room = this.#card.contextLength - prompt.length;
    const maxTokens = Math.min(room, request.maxTokens ?? room);
    const sampler = new Sampler(request);
    const decoder = this.#tokenizer.decoder();
    const filter = new StopFilter(request.stop);
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
      let completionTokens = 0;
      let ended = false;
      yield choices({ role: "assistant", content: "" });
      while (!ended && completionTokens < maxTokens) {
        await breatheOrStop();
        // Before the next wait: other answers overwrite the logits.
        token = sampler.next(sequence.push(token));
        ended = this.#tokenizer.isControl(token);
        if (!ended) {
          completionTokens++;
          const text = filter.push(decoder.push(token));
          if (text !== "") yield choices({ content: text });
          ended = filter.stopped;
        }
      }
      const rest = filter.push(decoder.end()) + filter.end();
      if (rest !== "") yield choices({ content: rest });
      yield choices({}, ended || filter.stopped ? "stop" : "length");
      const promptTokens = prompt.length;
      yield { type: "usage", usage: { promptTokens, completionTokens, countedBy: "tokenizer" } };
    } finally {
      sequence.close();
    }
  }

  /**
   * Tokens of a prompt, and of a text as this tokenizer would write it. An answer's end mark does not count.
   * @throws {LloomError} as {@linkcode EmbeddedBackend.chat}
   */
  count(
    model: string,
    request: ChatRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenUsage> {
    return Promise.try(() => {
      checkSignal(signal);
      return {
        promptTokens: this.#encodePrompt(model, request).length,
        completionTokens: this.#tokenizer.encode(completion, this.#card.contextLength).length,
        countedBy: "tokenizer",
      };
    });
  }

  /** The prompt, short enough to leave room for at least one token. */
  #encodePrompt(model: string, request: ChatRequest): readonly number[] {
    if (model !== this.#card.id) {
      throw new LloomError("model_unavailable", "embedded chat: not the model that is loaded");
    }
    refuseUnsupported(request);
    return encodeChat(request.messages, this.#tokenizer, this.#card.contextLength - 1);
  }
}
