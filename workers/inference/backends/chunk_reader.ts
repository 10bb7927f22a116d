/** What a model server writes of a text: the chunks of a stream, or one whole document. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject, type JsonObject, parseJsonText } from "@lloom/core/protocol";
import { UINT32_MAX } from "@lloom/core/signing";
import type { TokenUsage } from "./backend.ts";
import { errorInBody } from "./backend_error.ts";
import type { SseEvent } from "./sse.ts";

/** An answer that is none. */
export const malformed = (what: string, cause?: unknown): LloomError =>
  new LloomError("backend_malformed", `read answer: ${what}`, { cause });

/** Whether a number can be one of tokens. */
export const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= UINT32_MAX;

/** A server's `usage`; undefined where it tells none that can be believed. */
function readUsage(usage: unknown): TokenUsage | undefined {
  if (!isJsonObject(usage)) return undefined;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  if (!isCount(promptTokens) || !isCount(completionTokens)) return undefined;
  return { promptTokens, completionTokens, countedBy: "backend" };
}

/** Reads the chunks of one answer and knows whether it is complete. */
export class ChunkReader {
  /** The latest usage: some servers send a running one with every chunk. */
  usage: TokenUsage | undefined;
  /** The end mark was read. */
  done = false;
  /** Anything at all was read. */
  started = false;
  readonly #finished = new Set<unknown>();
  readonly #answers: number;
  readonly #secret: string;

  /**
   * At the beginning of an answer.
   * @param answers how many texts it is of
   * @param secret what no error may quote
   */
  constructor(answers: number, secret: string) {
    this.#answers = answers;
    this.#secret = secret;
  }

  /** Whether the model has said that it finished, all answers. */
  get complete(): boolean {
    return this.done || this.#finished.size >= this.#answers;
  }

  /**
   * The event's choices; undefined where it has none.
   * @param isLast only the end of the stream completed it: it may itself be cut
   * @throws {LloomError} `backend_malformed`, `backend_truncated`, or what the server says
   */
  read({ name, data }: SseEvent, isLast: boolean): readonly unknown[] | undefined {
    this.started = true;
    if (data.trim() === "[DONE]") {
      this.done = true;
      return undefined;
    }
    const chunk = parseChunk(data, isLast);
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
}

function parseChunk(data: string, isLast: boolean): JsonObject {
  let chunk: unknown;
  try {
    chunk = parseJsonText(data);
  } catch (cause) {
    if (!isLast) throw malformed("an event that is not JSON", cause);
    throw new LloomError("backend_truncated", "read answer: ended inside an event", { cause });
  }
  if (!isJsonObject(chunk)) throw malformed("an event that is not an object");
  return chunk;
}

/**
 * An answer in one document: some servers answer so whatever `stream` says.
 * @param secret what no error may quote
 * @throws {LloomError} `backend_malformed`, or what the server says
 */
export function readWhole(
  body: unknown,
  secret: string,
): { readonly choices: readonly unknown[]; readonly usage?: TokenUsage } {
  if (!isJsonObject(body)) throw malformed("not an object");
  if (body.error !== undefined && body.error !== null) throw errorInBody(body, secret);
  if (!Array.isArray(body.choices) || body.choices.length === 0) throw malformed("no choices");
  const usage = readUsage(body.usage);
  return { choices: body.choices.map(asChunk), ...(usage && { usage }) };
}

/** One of the `choices` of a whole answer, in the form it would have had in a stream. */
function asChunk(choice: unknown): JsonObject {
  if (!isJsonObject(choice)) throw malformed("a choice that is not an object");
  const { message, ...rest } = choice;
  if (typeof choice.text === "string") return choice;
  if (!isJsonObject(message)) throw malformed("a choice without a message");
  const { tool_calls: calls } = message;
  // In a stream, tool calls carry their index.
  const delta = Array.isArray(calls)
    ? { ...message, tool_calls: calls.map((call, index) => ({ index, ...call })) }
    : message;
  return { ...rest, delta };
}
