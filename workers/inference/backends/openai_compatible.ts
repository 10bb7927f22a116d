/**
 * A model server with OpenAI's API: chats, completions and embeddings.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  type CompletionRequest,
  type EmbeddingRequest,
  isJsonObject,
  type JsonObject,
  MAX_RESPONSE_BYTES,
  MAX_RESPONSE_FRAME_BYTES,
  type ModelRequest,
} from "@lloom/core/protocol";
import type { BackendEvent, BackendModel, ModelBackend, TokenUsage } from "./backend.ts";
import { ChunkReader, malformed, readWhole } from "./chunk_reader.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { DIALECTS, type ServerKind } from "./dialects/mod.ts";
import { readEmbeddings } from "./embeddings.ts";
import { type BackendAnswer, BackendHttp, type BackendHttpOptions } from "./http.ts";
import { SseParser } from "./sse.ts";
import { countWithTokenizer } from "./tokenizers.ts";

/** Which server, and how to reach it. */
export interface OpenAiCompatibleOptions extends BackendHttpOptions {
  /** Which server it is: decides the dialect. */
  readonly kind: ServerKind;
}

/**
 * Inputs of which a server is asked for vectors at once: 256 of 4096 numbers as text are 23 MB, below
 * what is read of one answer.
 */
const EMBEDDING_BATCH = 256;

type Events = AsyncGenerator<BackendEvent, void, undefined>;

/** Any server with OpenAI's API: OpenAI, Ollama, LM Studio, vLLM, llama.cpp, and others. */
export class OpenAiCompatibleBackend implements ModelBackend {
  readonly #http: BackendHttp;
  readonly #dialect: Dialect;

  /** Checks the address and the key; connects to nothing yet. @throws {LloomError} `config_invalid` */
  constructor(options: OpenAiCompatibleOptions) {
    this.#http = new BackendHttp(options);
    this.#dialect = DIALECTS[options.kind];
  }

  /** {@inheritDoc ModelBackend.models} */
  models(signal: AbortSignal): Promise<readonly BackendModel[]> {
    return this.#dialect.models(this.#http, signal);
  }

  /** {@inheritDoc ModelBackend.answer} */
  answer(
    model: string,
    request: ModelRequest,
    signal: AbortSignal,
  ): AsyncGenerator<BackendEvent, void, undefined> {
    switch (request.kind) {
      case "chat":
        return this.#chat(model, request, signal);
      case "completion":
        return this.#complete(model, request, signal);
      case "embedding":
        return this.#embed(model, request, signal);
    }
  }

  /** {@inheritDoc ModelBackend.count} */
  async count(
    model: string,
    request: ModelRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenUsage> {
    if (this.#dialect.count !== undefined && request.kind === "chat") {
      try {
        const counts = await this.#dialect.count(this.#http, model, request, completion, signal);
        return { ...counts, countedBy: "tokenizer" };
      } catch (thrown) {
        // The server may be gone, or may have been built without this call: then we count ourselves.
        if (!(thrown instanceof LloomError) || signal.aborted) throw thrown;
      }
    }
    return await countWithTokenizer(model, request, completion, signal);
  }

  async *#chat(model: string, request: ChatRequest, signal: AbortSignal): Events {
    const { raw, maxTokens, continues } = request;
    const { limit, continueAnswer } = this.#dialect;
    if (continues && continueAnswer === undefined) {
      throw new LloomError("feature_unsupported", "call backend: it cannot continue an answer");
    }
    const limited = maxTokens === undefined ? raw : limit(raw, maxTokens);
    const body = continues ? continueAnswer!(limited) : limited;
    yield* this.#text("v1/chat/completions", { ...body, model }, request.n, signal);
  }

  /** One prompt after the other: most servers take only one. */
  async *#complete(model: string, request: CompletionRequest, signal: AbortSignal): Events {
    const { prompts, raw, maxTokens, n } = request;
    const limit = maxTokens === undefined ? {} : { max_tokens: maxTokens };
    const usages: TokenUsage[] = [];
    for (const [i, prompt] of prompts.entries()) {
      const body = { ...raw, ...limit, model, prompt };
      for await (const event of this.#text("v1/completions", body, n, signal)) {
        if (event.type === "usage") usages.push(event.usage);
        else yield i === 0 ? event : shifted(event, i * n);
      }
    }
    if (usages.length === prompts.length) yield { type: "usage", usage: sum(usages) };
  }

  async *#embed(model: string, request: EmbeddingRequest, signal: AbortSignal): Events {
    const { inputs, raw } = request;
    let promptTokens: number | undefined = 0;
    for (let from = 0; from < inputs.length; from += EMBEDDING_BATCH) {
      const input = inputs.slice(from, from + EMBEDDING_BATCH);
      const body = { ...raw, model, input, encoding_format: "base64" };
      const answer = await this.#http.json("v1/embeddings", body, MAX_RESPONSE_BYTES, signal);
      const read = readEmbeddings(answer, input.length, this.#http.secret);
      for (const { index, embedding } of read.embeddings) {
        yield { type: "part", part: { data: [{ index: from + index, embedding }] } };
      }
      promptTokens = promptTokens === undefined || read.promptTokens === undefined
        ? undefined
        : promptTokens + read.promptTokens;
    }
    if (promptTokens === undefined) return;
    yield { type: "usage", usage: { promptTokens, completionTokens: 0, countedBy: "backend" } };
  }

  /** Asks for texts, and reads them as they are written. */
  async *#text(path: string, body: JsonObject, answers: number, signal: AbortSignal): Events {
    const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
    const answer = await this.#http.open(path, streamed, signal);
    let whole = false;
    try {
      if (answer.contentType === "application/json") yield* this.#readWhole(answer);
      else yield* this.#readStream(answer, answers);
      whole = true;
    } finally {
      if (whole) answer.closeSoon();
      else answer.close();
    }
  }

  async *#readStream(answer: BackendAnswer, answers: number): Events {
    const { contentType } = answer;
    if (contentType !== "text/event-stream" && contentType !== "text/plain" && contentType !== "") {
      throw malformed("neither an event stream nor JSON");
    }
    const parser = new SseParser(MAX_RESPONSE_FRAME_BYTES);
    const reader = new ChunkReader(answers, this.#http.secret);
    let bytes = 0;
    while (!reader.done) {
      const chunk = await answer.read();
      bytes += chunk?.length ?? 0;
      for (const event of chunk === undefined ? parser.finish() : parser.push(chunk)) {
        const choices = reader.read(event, chunk === undefined);
        if (choices !== undefined) yield { type: "part", part: { choices } };
        if (reader.done) break;
      }
      if (chunk === undefined) break;
    }
    if (bytes > 0 && !reader.started) throw malformed("no event in it");
    if (!reader.complete) {
      throw new LloomError("backend_truncated", "read answer: ended before its end mark");
    }
    if (reader.usage !== undefined) yield { type: "usage", usage: reader.usage };
  }

  async *#readWhole(answer: BackendAnswer): Events {
    const { choices, usage } = readWhole(await answer.json(MAX_RESPONSE_BYTES), this.#http.secret);
    yield { type: "part", part: { choices } };
    if (usage !== undefined) yield { type: "usage", usage };
  }
}

/** The choices of a later prompt, counted on from those of the prompts before. */
function shifted(event: BackendEvent, by: number): BackendEvent {
  if (event.type !== "part" || !("choices" in event.part)) return event;
  const choices = event.part.choices.map((choice) =>
    isJsonObject(choice) ? { ...choice, index: Number(choice.index ?? 0) + by } : choice
  );
  return { type: "part", part: { choices } };
}

function sum(usages: readonly TokenUsage[]): TokenUsage {
  return {
    promptTokens: usages.reduce((total, { promptTokens }) => total + promptTokens, 0),
    completionTokens: usages.reduce((total, { completionTokens }) => total + completionTokens, 0),
    countedBy: "backend",
  };
}
