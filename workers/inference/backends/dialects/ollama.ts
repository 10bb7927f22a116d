/** Ollama: its list in `/api/tags`, abilities in `/api/show`, what is loaded in `/api/ps`. @module */
import { LloomError } from "@lloom/core/errors";
import {
  type Feature,
  isJsonObject,
  type JsonObject,
  MAX_MODELS_PER_EXECUTOR,
} from "@lloom/core/protocol";
import type { BackendModel } from "../backend.ts";
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

/** What it does for any model that writes. Its documentation knows neither `n` nor `parallel_tool_calls`. */
const WRITES: readonly Feature[] = [
  ...["chat", "completions", "json_mode", "json_schema", "seed", "stop"] as const,
];
/** The first version with log-probabilities. */
const LOGPROBS_SINCE = [0, 12, 11];
const ABILITIES: ReadonlyMap<unknown, readonly Feature[]> = new Map([
  ["completion", WRITES],
  ["tools", ["tools"]],
  ["vision", ["vision"]],
  ["thinking", ["reasoning"]],
  ["embedding", ["embeddings"]],
]);

/** Whether a version, as `0.12.11-rc0`, is the one that is looked for or a later one. */
function isSince(version: unknown, since: readonly number[]): boolean {
  const parts = String(version).split(/[.-]/, since.length).map(Number);
  for (const [i, part] of parts.entries()) if (part !== since[i]) return part > since[i]!;
  return true;
}

/** Its version; undefined from a server that does not tell. */
async function version(http: BackendHttp, signal: AbortSignal): Promise<unknown> {
  try {
    const answer = await http.json("api/version", undefined, MAX_LIST_BYTES, signal);
    return isJsonObject(answer) ? answer.version : undefined;
  } catch (thrown) {
    if (LloomError.wrap(thrown).code === "backend_rejected") return undefined;
    throw thrown;
  }
}

/** The context the model was trained with: `model_info` names it after the architecture. */
function trainedContext(show: JsonObject): number | undefined {
  const info = isJsonObject(show.model_info) ? show.model_info : {};
  return positive(info[`${String(info["general.architecture"])}.context_length`]);
}

async function describe(
  http: BackendHttp,
  tag: JsonObject,
  loadedContext: ReadonlyMap<string, number>,
  hasLogprobs: boolean,
  signal: AbortSignal,
): Promise<readonly BackendModel[]> {
  const id = shortText(tag.name);
  if (id === undefined) return [];
  const show = await http.json("api/show", { model: id }, MAX_LIST_BYTES, signal);
  if (!isJsonObject(show)) return [];
  // Ollama before 0.6.4 tells no capabilities: then the name decides.
  const features = Array.isArray(show.capabilities)
    ? show.capabilities.flatMap((ability) => ABILITIES.get(ability) ?? [])
    : [...featuresByName(id, WRITES) ?? []];
  if (features.includes("chat") && hasLogprobs) features.push("logprobs");
  if (!features.includes("chat") && !features.includes("embeddings")) return [];
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
    const [tags, running, release] = await Promise.all([
      http.json("api/tags", undefined, MAX_LIST_BYTES, signal),
      http.json("api/ps", undefined, MAX_LIST_BYTES, signal),
      version(http, signal),
    ]);
    const hasLogprobs = isSince(release, LOGPROBS_SINCE);
    const loadedContext = new Map<string, number>();
    for (const entry of listOf(running, "models")) {
      const [id, context] = [shortText(entry.name), positive(entry.context_length)];
      if (id !== undefined && context !== undefined) loadedContext.set(id, context);
    }
    const models: BackendModel[] = [];
    for (const tag of listOf(tags, "models").slice(0, MAX_MODELS_PER_EXECUTOR)) {
      models.push(...await describe(http, tag, loadedContext, hasLogprobs, signal));
    }
    return models;
  },
  limit: limitAlways,
};
