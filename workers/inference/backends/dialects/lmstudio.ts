/** LM Studio: kinds and context lengths in `/api/v0/models`. @module */
import {
  type Dialect,
  limitAlways,
  listOf,
  MAX_LIST_BYTES,
  mayChat,
  modelOf,
  positive,
  shortText,
} from "./dialect.ts";

/** LM Studio (0.3.6 or newer). It constrains every model's answers to a JSON schema if asked. */
export const lmstudio: Dialect = {
  async models(http, signal) {
    const body = await http.json("api/v0/models", undefined, MAX_LIST_BYTES, signal);
    return listOf(body, "data").flatMap((entry) => {
      const id = shortText(entry.id);
      if (id === undefined || entry.type === "embeddings" || !mayChat(id)) return [];
      const abilities = Array.isArray(entry.capabilities) ? entry.capabilities : [];
      const features = [
        "chat",
        "json_schema",
        ...(abilities.includes("tool_use") ? ["tools"] : []),
        ...(entry.type === "vlm" ? ["vision"] : []),
      ];
      return [modelOf(id, features, {
        // A loaded model has the context it was loaded with, which may be smaller.
        contextLength: positive(entry.loaded_context_length) ?? positive(entry.max_context_length),
        architecture: shortText(entry.arch),
      })];
    });
  },
  limit: limitAlways,
};
