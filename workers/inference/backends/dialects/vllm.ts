/** vLLM: `max_model_len` in its list, and a tokenizer behind `/tokenize`. @module */
import { LloomError } from "@lloom/core/errors";
import { type Feature, isJsonObject } from "@lloom/core/protocol";
import type { BackendHttp } from "../http.ts";
import { type Dialect, featuresByName, limitAlways, MAX_LIST_BYTES } from "./dialect.ts";
import { listModels } from "./openai.ts";

async function tokens(http: BackendHttp, body: object, signal: AbortSignal): Promise<number> {
  const answer = await http.json("tokenize", body, MAX_LIST_BYTES, signal);
  const count = isJsonObject(answer) ? answer.count : undefined;
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) {
    throw new LloomError("backend_malformed", "count tokens: no count");
  }
  return count;
}

/** What it does for any model. Its documentation says that it takes no notice of `parallel_tool_calls`. */
const FEATURES: readonly Feature[] = [
  ...["chat", "completions", "json_mode", "json_schema", "logprobs"] as const,
  ...["seed", "stop", "n", "continue"] as const,
];
/** Has the template leave the last message open. */
const CONTINUED = { continue_final_message: true, add_generation_prompt: false };

/** vLLM. Tools, images and reasoning are there only if it was started for them, which it does not tell. */
export const vllm: Dialect = {
  models: (http, signal) => listModels(http, signal, (id) => featuresByName(id, FEATURES)),
  limit: limitAlways,
  continueAnswer: (raw) => ({ ...raw, ...CONTINUED }),
  async count(http, model, { messages, raw, continues }, completion, signal) {
    const ending = continues ? CONTINUED : { add_generation_prompt: true };
    const chat = { model, messages, ...ending };
    const prompt = Array.isArray(raw.tools) ? { ...chat, tools: raw.tools } : chat;
    const text = { model, prompt: completion, add_special_tokens: false };
    const [promptTokens, completionTokens] = await Promise.all([
      tokens(http, prompt, signal),
      completion === "" ? 0 : tokens(http, text, signal),
    ]);
    return { promptTokens, completionTokens };
  },
};
