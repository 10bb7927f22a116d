/**
 * A model server with OpenAI's chat-completions API.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  isJsonObject,
  type JsonObject,
  MAX_RESPONSE_BYTES,
  MAX_RESPONSE_FRAME_BYTES,
  parseJsonText,
} from "@lloom/core/protocol";
import { UINT32_MAX } from "@lloom/core/signing";
import type { BackendEvent, BackendModel, ChatBackend, TokenUsage } from "./backend.ts";
import { errorInBody } from "./backend_error.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { DIALECTS, type ServerKind } from "./dialects/mod.ts";
import { type BackendAnswer, BackendHttp, type BackendHttpOptions } from "./http.ts";
import { type SseEvent, SseParser } from "./sse.ts";
import { countWithTokenizer } from "./tokenizers.ts";

/** Which server, and how to reach it. */
export interface OpenAiCompatibleOptions extends BackendHttpOptions {
  /** Which server it is: decides the dialect. */
  readonly kind: ServerKind;
}

const malformed = (what: string, cause?: unknown): LloomError =>
  new LloomError("backend_malformed", `read answer: ${what}`, { cause });

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= UINT32_MAX;

/** A server's `usage`; undefined where it tells none that can be believed. */
function readUsage(usage: unknown): TokenUsage | undefined {
  if (!isJsonObject(usage)) return undefined;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  if (!isCount(promptTokens) || !isCount(completionTokens)) return undefined;
  return { promptTokens, completionTokens, countedBy: "backend" };
}

/** One `choices` entry of a whole answer, in the form it would have had in a stream. */
function asDelta(choice: unknown): unknown {
  if (!isJsonObject(choice)) throw malformed("a choice that is not an object");
  const { message, ...rest } = choice;
  if (!isJsonObject(message)) throw malformed("a choice without a message");
  const { tool_calls: calls } = message;
  // In a stream, tool calls carry their index.
  const delta = Array.isArray(calls)
    ? { ...message, tool_calls: calls.map((call, index) => ({ index, ...call })) }
    : message;
  return { ...rest, delta };
}

/** Reads the chunks of one answer and knows whether it is complete. */
class ChunkReader {
  /** The latest usage: some servers send a running one with every chunk. */
  usage: TokenUsage | undefined;
  /** The end mark was read. */
  done = false;
  /** Anything at all was read. */
  started = false;
  readonly #finished = new Set<unknown>();
  readonly #answers: number;
  readonly #secret: string;

  constructor(answers: number, secret: string) {
    this.#answers = answers;
    this.#secret = secret;
  }

  /** Whether the model has said that it finished, all answers. */
  get complete(): boolean {
    return this.done || this.#finished.size >= this.#answers;
  }

  /** The event's choices; undefined where it has none. */
  read({ name, data }: SseEvent): readonly unknown[] | undefined {
    this.started = true;
    if (data.trim() === "[DONE]") {
      this.done = true;
      return undefined;
    }
    const chunk = this.#parse(data);
    if (name === "error" || (chunk.error !== undefined && chunk.error !== null)) {
      throw errorInBody(chunk, this.#secret);
    }
    this.usage = readUsage(chunk.usage) ?? this.usage;
    const { choices } = chunk;
    if (choices === undefined || choices === null) return undefined;
    if (!Array.isArray(choices)) throw malformed("choices that are not a list");
    for (const choice of choices) {
      if (!isJsonObject(choice)) throw malformed("a choice that is not an object");
      if (typeof choice.finish_reason === "string" && choice.finish_reason !== "") {
        this.#finished.add(choice.index ?? 0);
      }
    }
    return choices.length > 0 ? choices : undefined;
  }

  #parse(data: string): JsonObject {
    let chunk: unknown;
    try {
      chunk = parseJsonText(data);
    } catch (cause) {
      throw malformed("an event that is not JSON", cause);
    }
    if (!isJsonObject(chunk)) throw malformed("an event that is not an object");
    return chunk;
  }
}

/** Any server with OpenAI's API: OpenAI, Ollama, LM Studio, vLLM, llama.cpp, and others. */
export class OpenAiCompatibleBackend implements ChatBackend {
  readonly #http: BackendHttp;
  readonly #dialect: Dialect;

  /** Checks the address and the key; connects to nothing yet. @throws {LloomError} `config_invalid` */
  constructor(options: OpenAiCompatibleOptions) {
    this.#http = new BackendHttp(options);
    this.#dialect = DIALECTS[options.kind];
  }

  /** {@inheritDoc ChatBackend.models} */
  models(signal: AbortSignal): Promise<readonly BackendModel[]> {
    return this.#dialect.models(this.#http, signal);
  }

  /** {@inheritDoc ChatBackend.chat} */
  async *chat(
    model: string,
    request: ChatRequest,
    signal: AbortSignal,
  ): AsyncGenerator<BackendEvent, void, undefined> {
    const answer = await this.#http.open("v1/chat/completions", this.#body(model, request), signal);
    let whole = false;
    try {
      if (answer.contentType === "application/json") yield* this.#readWhole(answer);
      else yield* this.#readStream(answer, request.n);
      whole = true;
    } finally {
      if (whole) answer.closeSoon();
      else answer.close();
    }
  }

  /** {@inheritDoc ChatBackend.count} */
  async count(
    model: string,
    request: ChatRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenUsage> {
    if (this.#dialect.count !== undefined) {
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

  #body(model: string, { raw, maxTokens }: ChatRequest): JsonObject {
    const limited = maxTokens === undefined ? raw : this.#dialect.limit(raw, maxTokens);
    return { ...limited, model, stream: true, stream_options: { include_usage: true } };
  }

  async *#readStream(
    answer: BackendAnswer,
    answers: number,
  ): AsyncGenerator<BackendEvent, void, undefined> {
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
        const choices = this.#readLast(reader, event, chunk === undefined);
        if (choices !== undefined) yield { type: "choices", choices };
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

  /** An event that only the end of the stream completed may itself be cut. */
  #readLast(
    reader: ChunkReader,
    event: SseEvent,
    isLast: boolean,
  ): readonly unknown[] | undefined {
    try {
      return reader.read(event);
    } catch (thrown) {
      if (!isLast || !(thrown instanceof LloomError) || thrown.code !== "backend_malformed") {
        throw thrown;
      }
      throw new LloomError("backend_truncated", "read answer: ended inside an event", {
        cause: thrown,
      });
    }
  }

  /** Some servers answer at once whatever `stream` says. */
  async *#readWhole(answer: BackendAnswer): AsyncGenerator<BackendEvent, void, undefined> {
    const body = await answer.json(MAX_RESPONSE_BYTES);
    if (!isJsonObject(body)) throw malformed("not an object");
    if (body.error !== undefined && body.error !== null) {
      throw errorInBody(body, this.#http.secret);
    }
    if (!Array.isArray(body.choices) || body.choices.length === 0) throw malformed("no choices");
    yield { type: "choices", choices: body.choices.map(asDelta) };
    const usage = readUsage(body.usage);
    if (usage !== undefined) yield { type: "usage", usage };
  }
}
