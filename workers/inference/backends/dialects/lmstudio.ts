/** LM Studio: kinds and context lengths in `/api/v0/models`. @module */
import type { Feature } from "@lloom/core/protocol";
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

/** What it does for any model. It refuses `json_object`, and constrains to a schema if asked. */
const FEATURES: readonly Feature[] = ["chat", "completions", "json_schema", "seed", "stop"];

/** LM Studio (0.3.6 or newer). */
export const lmstudio: Dialect = {
  async models(http, signal) {
    const body = await http.json("api/v0/models", undefined, MAX_LIST_BYTES, signal);
    return listOf(body, "data").flatMap((entry) => {
      const id = shortText(entry.id);
      const able: Feature[] = [...FEATURES];
      const abilities = Array.isArray(entry.capabilities) ? entry.capabilities : [];
      if (abilities.includes("tool_use")) able.push("tools");
      if (entry.type === "vlm") able.push("vision");
      const features = id === undefined ? undefined : featuresByName(id, able);
      if (id === undefined || features === undefined) return [];
      return [modelOf(id, entry.type === "embeddings" ? ["embeddings"] : features, {
        // A loaded model has the context it was loaded with, which may be smaller.
        contextLength: positive(entry.loaded_context_length) ?? positive(entry.max_context_length),
        architecture: shortText(entry.arch),
      })];
    });
  },
  limit: limitAlways,
};
