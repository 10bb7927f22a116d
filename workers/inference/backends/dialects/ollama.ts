/** Ollama: its list in `/api/tags`, abilities in `/api/show`, what is loaded in `/api/ps`. @module */
import { isJsonObject, type JsonObject, MAX_MODELS_PER_EXECUTOR } from "@lloom/core/protocol";
import type { BackendModel } from "../backend.ts";
import type { BackendHttp } from "../http.ts";
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

const ABILITIES: ReadonlyMap<string, string> = new Map([
  ["tools", "tools"],
  ["vision", "vision"],
  ["thinking", "reasoning"],
]);

/** The context the model was trained with: `model_info` names it after the architecture. */
function trainedContext(show: JsonObject): number | undefined {
  const info = isJsonObject(show.model_info) ? show.model_info : {};
  return positive(info[`${String(info["general.architecture"])}.context_length`]);
}

async function describe(
  http: BackendHttp,
  tag: JsonObject,
  loadedContext: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<readonly BackendModel[]> {
  const id = shortText(tag.name);
  if (id === undefined) return [];
  const show = await http.json("api/show", { model: id }, MAX_LIST_BYTES, signal);
  if (!isJsonObject(show)) return [];
  // Ollama before 0.6.4 tells no capabilities: then the name decides.
  const told = Array.isArray(show.capabilities) ? show.capabilities : undefined;
  if (told === undefined ? !mayChat(id) : !told.includes("completion")) return [];
  const features = ["chat", "json_schema"];
  for (const [theirs, ours] of ABILITIES) if (told?.includes(theirs)) features.push(ours);
  const details = isJsonObject(tag.details) ? tag.details : {};
  return [modelOf(id, features, {
    contextLength: loadedContext.get(id) ?? trainedContext(show),
    architecture: shortText(details.family),
    size: shortText(details.parameter_size),
  })];
}

/**
 * Ollama. A loaded model's context is what it was loaded with, often far below what it was trained
 * with; a longer prompt is cut without a word, so the smaller number is the honest one.
 */
export const ollama: Dialect = {
  async models(http, signal) {
    const [tags, running] = await Promise.all([
      http.json("api/tags", undefined, MAX_LIST_BYTES, signal),
      http.json("api/ps", undefined, MAX_LIST_BYTES, signal),
    ]);
    const loadedContext = new Map<string, number>();
    for (const entry of listOf(running, "models")) {
      const [id, context] = [shortText(entry.name), positive(entry.context_length)];
      if (id !== undefined && context !== undefined) loadedContext.set(id, context);
    }
    const models: BackendModel[] = [];
    for (const tag of listOf(tags, "models").slice(0, MAX_MODELS_PER_EXECUTOR)) {
      models.push(...await describe(http, tag, loadedContext, signal));
    }
    return models;
  },
  limit: limitAlways,
};
