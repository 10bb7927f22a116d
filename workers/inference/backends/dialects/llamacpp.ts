/** llama.cpp's llama-server: `/props`, `/apply-template` and `/tokenize`. @module */
import { LloomError } from "@lloom/core/errors";
import { type Feature, isJsonObject, type JsonObject } from "@lloom/core/protocol";
import type { BackendHttp } from "../http.ts";
import {
  type Dialect,
  featuresByName,
  limitAlways,
  listOf,
  MAX_LIST_BYTES,
  modelOf,
  positive,
  shortText,
} from "./dialect.ts";

const objectIn = (value: unknown, field: string): JsonObject => {
  const inner = isJsonObject(value) ? value[field] : undefined;
  return isJsonObject(inner) ? inner : {};
};

async function tokens(http: BackendHttp, body: object, signal: AbortSignal): Promise<number> {
  const answer = await http.json("tokenize", body, MAX_LIST_BYTES, signal);
  const list = isJsonObject(answer) ? answer.tokens : undefined;
  if (!Array.isArray(list)) throw new LloomError("backend_malformed", "count tokens: no tokens");
  return list.length;
}

/** `/props`, or nothing from a server that keeps it to itself (404, 403: it may ask for another key). */
async function props(http: BackendHttp, signal: AbortSignal): Promise<unknown> {
  try {
    return await http.json("props", undefined, MAX_LIST_BYTES, signal);
  } catch (thrown) {
    const { code } = LloomError.wrap(thrown);
    if (code === "backend_rejected" || code === "backend_unauthorized") return {};
    throw thrown;
  }
}

/** What it does for any model. */
const FEATURES: readonly Feature[] = [
  ...["chat", "completions", "json_mode", "json_schema"] as const,
  ...["logprobs", "seed", "stop", "continue"] as const,
];

/** llama-server. It serves one model, whose context is split among its slots. */
export const llamacpp: Dialect = {
  async models(http, signal) {
    const [body, about] = await Promise.all([
      http.json("v1/models", undefined, MAX_LIST_BYTES, signal),
      props(http, signal),
    ]);
    const slotContext = positive(objectIn(about, "default_generation_settings").n_ctx);
    const template = objectIn(about, "chat_template_caps");
    const modalities = objectIn(about, "modalities");
    const able: Feature[] = [...FEATURES];
    if (template.supports_tools === true) able.push("tools");
    if (template.supports_parallel_tool_calls === true) able.push("parallel_tools");
    if (modalities.vision === true) able.push("vision");
    if (modalities.audio === true) able.push("audio");
    return listOf(body, "data").flatMap((entry) => {
      const id = shortText(entry.id);
      const features = id === undefined ? undefined : featuresByName(id, able);
      if (id === undefined || features === undefined) return [];
      const meta = objectIn(entry, "meta");
      const parameters = positive(meta.n_params);
      return [modelOf(id, features, {
        contextLength: slotContext ?? positive(meta.n_ctx) ?? positive(meta.n_ctx_train),
        size: parameters === undefined ? undefined : String(parameters),
      })];
    });
  },
  limit(raw, maxTokens) {
    // `n_predict` is llama.cpp's own name for the limit, and would lift the one we set.
    const { n_predict: _, ...rest } = limitAlways(raw, maxTokens);
    return rest;
  },
  // It goes on with a last message of the assistant by itself, unless the template would have it think.
  continueAnswer: (raw) => ({
    ...raw,
    chat_template_kwargs: { ...objectIn(raw, "chat_template_kwargs"), enable_thinking: false },
  }),
  async count(http, _model, { messages, raw, continues }, completion, signal) {
    const chat = Array.isArray(raw.tools) ? { messages, tools: raw.tools } : { messages };
    const asked = continues ? llamacpp.continueAnswer!(chat) : chat;
    const templated = await http.json("apply-template", asked, MAX_LIST_BYTES, signal);
    const prompt = isJsonObject(templated) ? templated.prompt : undefined;
    if (typeof prompt !== "string") {
      throw new LloomError("backend_malformed", "count tokens: no prompt");
    }
    const [promptTokens, completionTokens] = await Promise.all([
      tokens(http, { content: prompt, add_special: true, parse_special: true }, signal),
      completion === ""
        ? 0
        : tokens(http, { content: completion, add_special: false, parse_special: false }, signal),
    ]);
    return { promptTokens, completionTokens };
  },
};
