/** What models can do, in the words of announcements, and what of it a request needs. @module */
import { isJsonObject } from "./json.ts";
import type { ChatRequest, ModelRequest, RequestKind } from "./model_request.ts";

/**
 * The words by which an offer says what its model can do. First the kinds of request that it answers.
 *
 * - `chat`, `completions`, `embeddings`: kinds
 * - `tools`: calls functions; `parallel_tools`: honours `parallel_tool_calls`
 * - `vision`, `audio`: reads images, or sound
 * - `json_mode`, `json_schema`: keeps to JSON, or to a schema, by `response_format`
 * - `reasoning`: honours what is asked of its reasoning, such as `reasoning_effort`
 * - `logprobs`, `seed`, `stop`: honours these fields
 * - `n`: gives several answers to one request
 * - `continue`: goes on with an answer that the last message begins
 */
export const FEATURES = [
  ...["chat", "completions", "embeddings"] as const,
  ...["tools", "parallel_tools", "vision", "audio", "json_mode", "json_schema"] as const,
  ...["reasoning", "logprobs", "seed", "stop", "n", "continue"] as const,
] as const;

/** One of {@linkcode FEATURES}. Announcements may hold others, which mean nothing here. */
export type Feature = (typeof FEATURES)[number];

/** The feature that answers a kind of request. */
export const FEATURE_OF_KIND: Readonly<Record<RequestKind, Feature>> = {
  chat: "chat",
  completion: "completions",
  embedding: "embeddings",
};

/** What a content part needs, by its type. Documents are read as pictures of their pages. */
const FEATURE_OF_PART: ReadonlyMap<unknown, Feature> = new Map([
  ["image_url", "vision"],
  ["video_url", "vision"],
  ["file", "vision"],
  ["input_audio", "audio"],
  ["audio_url", "audio"],
]);

const isUsed = (value: unknown): boolean => Array.isArray(value) && value.length > 0;
const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/** What a model must be able to do: without it, there is no answer to this request, or a wrong one. */
export function requiredFeatures(request: ModelRequest): readonly Feature[] {
  const features = new Set<Feature>([FEATURE_OF_KIND[request.kind]]);
  if (request.kind === "chat") addChatFeatures(request, features);
  if (request.kind === "completion" && typeof request.raw.logprobs === "number") {
    features.add("logprobs");
  }
  if (request.n > 1) features.add("n");
  return [...features];
}

function addChatFeatures({ raw, messages, continues }: ChatRequest, features: Set<Feature>): void {
  if (isUsed(raw.tools) || isUsed(raw.functions)) features.add("tools");
  const format = isJsonObject(raw.response_format) ? raw.response_format.type : undefined;
  if (format === "json_schema") features.add("json_schema");
  if (format === "json_object") features.add("json_mode");
  for (const { content } of messages) {
    for (const part of Array.isArray(content) ? content : []) {
      const feature = isJsonObject(part) ? FEATURE_OF_PART.get(part.type) : undefined;
      if (feature !== undefined) features.add(feature);
    }
  }
  if (Array.isArray(raw.modalities) && raw.modalities.includes("audio")) features.add("audio");
  if (raw.logprobs === true) features.add("logprobs");
  if (continues) features.add("continue");
}

/** What a model should be able to do: without it, a server may pass over a parameter in silence. */
export function parameterFeatures({ raw, seed, stop }: ModelRequest): readonly Feature[] {
  const features: Feature[] = [];
  if (seed !== undefined) features.push("seed");
  if (stop.length > 0) features.push("stop");
  const { reasoning_effort: effort, reasoning, think, parallel_tool_calls: parallel } = raw;
  if ([effort, reasoning, think].some(isGiven)) features.push("reasoning");
  if (isGiven(parallel)) features.push("parallel_tools");
  return features;
}
