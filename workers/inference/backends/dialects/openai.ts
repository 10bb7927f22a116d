/** OpenAI's own API, and servers of which nothing more is known. @module */
import { type Feature, isJsonObject, type JsonObject } from "@lloom/core/protocol";
import type { BackendModel } from "../backend.ts";
import type { BackendHttp } from "../http.ts";
import {
  type Dialect,
  featuresByName,
  limitGiven,
  listOf,
  MAX_LIST_BYTES,
  modelOf,
  positive,
  shortText,
} from "./dialect.ts";

const TUNED: readonly Feature[] = ["logprobs", "seed", "stop", "n"];
const MODERN: readonly Feature[] = [
  ...["chat", "tools", "vision", "json_mode", "json_schema", "seed", "n"] as const,
];
/** OpenAI's list says nothing of abilities; its documentation does, by families. The first that fits counts. */
const FAMILIES: readonly (readonly [RegExp, readonly Feature[]])[] = [
  [/^(?:gpt-3\.5-turbo-instruct|(?:babbage|davinci)-002)/, ["completions", ...TUNED]],
  [/^gpt-(?:4o.*-audio|audio)/, ["chat", "tools", "audio", "seed", "stop", "n"]],
  [/^(?:chat)?gpt-(?:4o|4\.1|4\.5|5.*chat)/, [...MODERN, "parallel_tools", "logprobs", "stop"]],
  // Those that reason take neither `stop` nor `logprobs`.
  [/^gpt-5/, [...MODERN, "parallel_tools", "reasoning"]],
  [/^o[134]/, [...MODERN, "reasoning"]],
  [/^gpt-(?:4-turbo|3\.5-turbo)/, ["chat", "tools", "json_mode", ...TUNED]],
  [/^gpt-4/, ["chat", "tools", ...TUNED]],
];

function writes(id: string): readonly Feature[] {
  const base = id.replace(/^ft:/, "");
  return FAMILIES.find(([names]) => names.test(base))?.[1] ?? ["chat"];
}

/** The context length under the names that gateways use for it in `/v1/models`. */
function contextLength(entry: JsonObject): number | undefined {
  const meta = isJsonObject(entry.meta) ? entry.meta : {};
  return positive(entry.max_model_len) ?? positive(entry.context_length) ??
    positive(entry.context_window) ?? positive(entry.max_context_length) ??
    positive(meta.n_ctx_train);
}

/**
 * The models of `/v1/models`.
 * @param features what each can do; undefined for one that is of no use
 * @throws {LloomError} `backend_*`
 */
export async function listModels(
  http: BackendHttp,
  signal: AbortSignal,
  features: (id: string) => readonly Feature[] | undefined,
): Promise<readonly BackendModel[]> {
  const body = await http.json("v1/models", undefined, MAX_LIST_BYTES, signal);
  return listOf(body, "data").flatMap((entry) => {
    const id = shortText(entry.id);
    const able = id === undefined ? undefined : features(id);
    if (id === undefined || able === undefined) return [];
    return [modelOf(id, able, { contextLength: contextLength(entry) })];
  });
}

/** OpenAI. Its newer models refuse `max_tokens`. */
export const openai: Dialect = {
  models: (http, signal) => listModels(http, signal, (id) => featuresByName(id, writes(id))),
  limit: (raw, maxTokens) => limitGiven(raw, maxTokens, "max_completion_tokens"),
};

/** Any other server. */
export const custom: Dialect = {
  models: (http, signal) => listModels(http, signal, (id) => featuresByName(id, ["chat"])),
  limit: (raw, maxTokens) => limitGiven(raw, maxTokens, "max_tokens"),
};
