/** OpenAI's own API, and servers of which nothing more is known. @module */
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import type { BackendModel } from "../backend.ts";
import type { BackendHttp } from "../http.ts";
import {
  type Dialect,
  limitGiven,
  listOf,
  MAX_LIST_BYTES,
  mayChat,
  modelOf,
  positive,
  shortText,
} from "./dialect.ts";

/** OpenAI's list says nothing of abilities; these families have them all, by its documentation. */
const ABLE = /^(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|o3|o4|chatgpt-4o)/;

/** The context length under the names that gateways use for it in `/v1/models`. */
function contextLength(entry: JsonObject): number | undefined {
  const meta = isJsonObject(entry.meta) ? entry.meta : {};
  return positive(entry.max_model_len) ?? positive(entry.context_length) ??
    positive(entry.context_window) ?? positive(entry.max_context_length) ??
    positive(meta.n_ctx_train);
}

/** The chat models of `/v1/models`. @throws {LloomError} `backend_*` */
export async function listModels(
  http: BackendHttp,
  signal: AbortSignal,
  features: (id: string) => readonly string[] = () => ["chat"],
): Promise<readonly BackendModel[]> {
  const body = await http.json("v1/models", undefined, MAX_LIST_BYTES, signal);
  return listOf(body, "data").flatMap((entry) => {
    const id = shortText(entry.id);
    if (id === undefined || !mayChat(id)) return [];
    return [modelOf(id, features(id), { contextLength: contextLength(entry) })];
  });
}

/** OpenAI. Its newer models refuse `max_tokens`. */
export const openai: Dialect = {
  models: (http, signal) =>
    listModels(
      http,
      signal,
      (id) => ABLE.test(id) ? ["chat", "tools", "json_schema", "vision"] : ["chat"],
    ),
  limit: (raw, maxTokens) => limitGiven(raw, maxTokens, "max_completion_tokens"),
};

/** Any other server. */
export const custom: Dialect = {
  models: (http, signal) => listModels(http, signal),
  limit: (raw, maxTokens) => limitGiven(raw, maxTokens, "max_tokens"),
};
