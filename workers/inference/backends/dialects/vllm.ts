/** vLLM: `max_model_len` in its list, and a tokenizer behind `/tokenize`. @module */
import { LloomError } from "@lloom/core/errors";
import { isJsonObject } from "@lloom/core/protocol";
import type { BackendHttp } from "../http.ts";
import { type Dialect, limitAlways, MAX_LIST_BYTES } from "./dialect.ts";
import { listModels } from "./openai.ts";

async function tokens(http: BackendHttp, body: object, signal: AbortSignal): Promise<number> {
  const answer = await http.json("tokenize", body, MAX_LIST_BYTES, signal);
  const count = isJsonObject(answer) ? answer.count : undefined;
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) {
    throw new LloomError("backend_malformed", "count tokens: no count");
  }
  return count;
}

/** vLLM. JSON schemas are always guided; tool calls only if it was started for them, which it does not tell. */
export const vllm: Dialect = {
  models: (http, signal) => listModels(http, signal, () => ["chat", "json_schema"]),
  limit: limitAlways,
  async count(http, model, { messages, raw }, completion, signal) {
    const chat = { model, messages, add_generation_prompt: true };
    const prompt = Array.isArray(raw.tools) ? { ...chat, tools: raw.tools } : chat;
    const text = { model, prompt: completion, add_special_tokens: false };
    const [promptTokens, completionTokens] = await Promise.all([
      tokens(http, prompt, signal),
      completion === "" ? 0 : tokens(http, text, signal),
    ]);
    return { promptTokens, completionTokens };
  },
};
