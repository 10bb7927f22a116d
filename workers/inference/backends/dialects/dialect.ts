/**
 * Where model servers with an OpenAI-compatible API differ: what they tell of their models, and
 * how they count tokens.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import {
  type ChatRequest,
  type Feature,
  isJsonObject,
  type JsonObject,
  MAX_MODEL_NAME_BYTES,
} from "@lloom/core/protocol";
import type { BackendModel } from "../backend.ts";
import type { BackendHttp } from "../http.ts";

/** Largest list of models that is read: some gateways list thousands. */
export const MAX_LIST_BYTES = 8 << 20;
/** Models that are looked at; an executor announces fewer. */
export const MAX_LISTED_MODELS = 1000;

/** Exact counts by the server's own tokenizer. */
export interface TokenCounts {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** One server's ways. */
export interface Dialect {
  /** Its models, each with what it can do by the server's word or its documentation. @throws {LloomError} `backend_*` */
  models(http: BackendHttp, signal: AbortSignal): Promise<readonly BackendModel[]>;
  /** Counts tokens by the server's tokenizer; absent where it offers none. @throws {LloomError} `backend_*` */
  count?(
    http: BackendHttp,
    model: string,
    request: ChatRequest,
    completion: string,
    signal: AbortSignal,
  ): Promise<TokenCounts>;
  /** Turns the fields of a chat into the server's, with each answer bound to `maxTokens`. */
  limit(raw: JsonObject, maxTokens: number): JsonObject;
  /** Adds what makes the server go on with the last message; absent where it cannot. */
  continueAnswer?(raw: JsonObject): JsonObject;
}

const OTHER = /rerank|whisper|\btts|dall-e|moderation|transcribe|gpt-image|\bsora|realtime/i;
const EMBEDS = /embed|\bbge-|\bgte-|\be5-/i;

/**
 * What a model does, by its name alone: for servers that list all kinds alike.
 * @param writes the features of one that writes text
 * @returns undefined for a model that is of no use here
 */
export function featuresByName(
  id: string,
  writes: readonly Feature[],
): readonly Feature[] | undefined {
  if (OTHER.test(id)) return undefined;
  return EMBEDS.test(id) ? ["embeddings"] : writes;
}

/** A positive integer, or undefined. */
export function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** A text that is neither empty nor long, or undefined. */
export function shortText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= MAX_MODEL_NAME_BYTES
    ? value
    : undefined;
}

/** The objects of a server's list. @throws {LloomError} `backend_malformed` */
export function listOf(body: unknown, field: string): readonly JsonObject[] {
  const list = isJsonObject(body) ? body[field] : undefined;
  // Ollama without any model writes null.
  if (list === null) return [];
  if (!Array.isArray(list)) {
    throw new LloomError("backend_malformed", `list models: no list in ${field}`);
  }
  return list.slice(0, MAX_LISTED_MODELS).filter(isJsonObject);
}

/** The optional fields of a model, without those that are not known. */
export function modelOf(
  id: string,
  features: readonly Feature[],
  known: {
    readonly [K in "contextLength" | "architecture" | "size"]?:
      | BackendModel[K]
      | undefined;
  },
): BackendModel {
  const { contextLength, architecture, size } = known;
  return {
    id,
    features,
    ...(contextLength !== undefined && { contextLength }),
    ...(architecture !== undefined && { architecture }),
    ...(size !== undefined && { size }),
  };
}

/** The client's own fields, lowered to `maxTokens`; `fallback` where it used none. */
export function limitGiven(raw: JsonObject, maxTokens: number, fallback: string): JsonObject {
  const given = ["max_completion_tokens", "max_tokens"].filter((field) =>
    raw[field] !== undefined && raw[field] !== null
  );
  const fields = given.length > 0 ? given : [fallback];
  return { ...raw, ...Object.fromEntries(fields.map((field) => [field, maxTokens])) };
}

/**
 * As {@linkcode limitGiven}, and `max_tokens` in any case: Ollama, and llama.cpp before 2026, take
 * no notice of `max_completion_tokens` and would write without end.
 */
export function limitAlways(raw: JsonObject, maxTokens: number): JsonObject {
  return { ...limitGiven(raw, maxTokens, "max_tokens"), max_tokens: maxTokens };
}
