/** Whether a request's body is the one that its commitment speaks of. @module */
import { LloomError } from "@lloom/core/errors";
import type { InferenceJob } from "@lloom/core/ports";
import {
  answersOf,
  type ModelRequest,
  parseModelRequest,
  systemPrompt,
} from "@lloom/core/protocol";
import {
  hashSystemPrompt,
  type Keccak256,
  TEMPERATURE_SCALE,
  TEMPERATURE_UNSET,
} from "@lloom/core/signing";
import type { IHasher } from "hash-wasm";
import { restrictRequest } from "./request_fields.ts";

function disagree(what: string): never {
  throw new LloomError("request_invalid", `check request: body and commitment differ in ${what}`);
}

/**
 * The request, bound by its commitment: its `maxTokens` is what each answer may have so that all
 * together stay within what the client pays for. It holds only what may reach a model server.
 * @param keccak a keccak-256 that nobody else is using
 * @param extraFields fields that the operator lets pass besides those known to be harmless
 * @throws {LloomError} `request_invalid`, `feature_unsupported`
 */
export function checkRequest(
  job: InferenceJob,
  keccak: IHasher,
  extraFields: ReadonlySet<string> = new Set(),
): ModelRequest {
  const { commitment, salt, body } = job;
  let request: ModelRequest;
  try {
    request = parseModelRequest(body);
  } catch (thrown) {
    const { message } = LloomError.wrap(thrown);
    throw new LloomError("request_invalid", message, { cause: thrown });
  }
  if (request.model !== job.model || commitment.model !== job.model) disagree("model");
  if (request.maxTokens !== undefined && request.maxTokens > commitment.maxTokens) {
    disagree("maxTokens");
  }
  const temperature = request.temperature === undefined
    ? TEMPERATURE_UNSET
    : Math.round(request.temperature * TEMPERATURE_SCALE);
  if (temperature !== commitment.temperature) disagree("temperature");
  const keccak256: Keccak256 = (...parts) => {
    keccak.init();
    for (const part of parts) keccak.update(part);
    return keccak.digest("binary") as Uint8Array<ArrayBuffer>;
  };
  const hash = hashSystemPrompt(keccak256, salt, systemPrompt(request));
  if (hash !== commitment.systemPromptHash) {
    disagree("system prompt");
  }
  const share = Math.floor(commitment.maxTokens / Math.max(1, answersOf(request)));
  if (share < 1) disagree("maxTokens: less than one for each answer");
  const maxTokens = Math.min(request.maxTokens ?? share, share);
  return { ...restrictRequest(request, extraFields), maxTokens };
}
