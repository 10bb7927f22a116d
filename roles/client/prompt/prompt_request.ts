/** One prompt, from the command line to a chat request. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { readTextInput, UsageError } from "@lloom/host";
import type { RequestDefaults } from "@lloom/host/config";

/** Longest prompt on standard input: what fits into one request, with some room for the rest. */
const MAX_PROMPT_BYTES = 7 << 20;

/** One prompt, and whom it is put to. */
export interface PromptRequest {
  /** The model. */
  readonly model: string;
  /** What is asked. */
  readonly prompt: string;
  /** Said first; absent for nothing. */
  readonly systemPrompt?: string;
  /** Absent for the model's own. */
  readonly temperature?: number;
  /** The most tokens of answer. */
  readonly maxTokens: number;
}

/**
 * A prompt with the settings' defaults.
 * @throws {LloomError} `config_invalid` if they name no model
 */
export function promptRequest(prompt: string, defaults: RequestDefaults): PromptRequest {
  const { model, maxTokens, systemPrompt, temperature } = defaults;
  if (model === undefined) {
    throw new LloomError(
      "config_invalid",
      "ask: name a model with --model or LLOOM_DEFAULT_MODEL; --discover-models lists them",
    );
  }
  return {
    model,
    prompt,
    maxTokens,
    ...(systemPrompt !== undefined && { systemPrompt }),
    ...(temperature !== undefined && { temperature }),
  };
}

/** A prompt as an OpenAI chat-completion request. */
export function chatRequest(request: PromptRequest): JsonObject {
  const { model, prompt, systemPrompt, temperature, maxTokens } = request;
  return {
    model,
    messages: [
      ...(systemPrompt === undefined ? [] : [{ role: "system", content: systemPrompt }]),
      { role: "user", content: prompt },
    ],
    max_tokens: maxTokens,
    ...(temperature !== undefined && { temperature }),
  };
}

/**
 * The prompt that `--prompt` gives, or standard input.
 * @param flag undefined or `-` for standard input
 * @throws {UsageError} if standard input cannot be read, holds nothing, or is no text
 */
export async function readPrompt(flag: string | undefined): Promise<string> {
  if (flag !== undefined && flag !== "-") return flag;
  const text = await readTextInput("-", MAX_PROMPT_BYTES);
  const prompt = text.replace(/(?:\r?\n)+$/, "");
  if (prompt !== "") return prompt;
  throw new UsageError(
    "read prompt: there is none; give one with --prompt or on standard input, or ask for --help",
  );
}
