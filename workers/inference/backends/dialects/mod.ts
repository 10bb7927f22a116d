/** The dialects by name. @module */
import type { Dialect } from "./dialect.ts";
import { llamacpp } from "./llamacpp.ts";
import { lmstudio } from "./lmstudio.ts";
import { ollama } from "./ollama.ts";
import { custom, openai } from "./openai.ts";
import { vllm } from "./vllm.ts";

/** Kinds of model server; `custom` is any other with OpenAI's API. */
export const SERVER_KINDS = ["openai", "ollama", "lmstudio", "vllm", "llamacpp", "custom"] as const;
/** One of {@linkcode SERVER_KINDS}. */
export type ServerKind = (typeof SERVER_KINDS)[number];

/** The dialect that each kind speaks. */
export const DIALECTS: Readonly<Record<ServerKind, Dialect>> = {
  openai,
  ollama,
  lmstudio,
  vllm,
  llamacpp,
  custom,
};
