/**
 * Token counts without a server's help, by `gpt-tokenizer`. Exact for OpenAI's models and gpt-oss;
 * for any other model an estimate, and labelled so. Encodings weigh megabytes and are loaded on
 * first use.
 * @module
 */
import { messageText, type ModelRequest } from "@lloom/core/protocol";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { TokenUsage } from "./backend.ts";

/** Longest stretch handed to the encoder: its time grows with the square of an unbroken run. */
const SLICE_CHARS = 4096;
/** Counted exactly; of longer texts the rest is extrapolated. About 0.1 s of work for usual text. */
const MAX_COUNTED_CHARS = 128 << 10;
/** Tokens around each message, and before the answer, in OpenAI's chat format (OpenAI cookbook). */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_BEFORE_ANSWER = 3;

type CountTokens = (text: string, options: { disallowedSpecial: Set<string> }) => number;

interface Tokenizer {
  readonly exact: boolean;
  load(): Promise<{ readonly countTokens: CountTokens }>;
}

const harmony = () => import("gpt-tokenizer/encoding/o200k_harmony");
const o200k = () => import("gpt-tokenizer/encoding/o200k_base");
const cl100k = () => import("gpt-tokenizer/encoding/cl100k_base");

/** The tokenizer of a model, by its name. */
export function tokenizerFor(model: string): Tokenizer {
  const name = model.toLowerCase().replace(/^.*\//, "");
  if (/^gpt-oss/.test(name)) return { exact: true, load: harmony };
  if (/^(?:gpt-4o|gpt-4\.|gpt-5|o[134](?:-|$)|chatgpt-4o)/.test(name)) {
    return { exact: true, load: o200k };
  }
  if (/^gpt-(?:4|3\.5)(?:-|$)/.test(name)) return { exact: true, load: cl100k };
  return { exact: false, load: o200k };
}

/** Where to cut a long text so that few tokens are split: before its last space, or else between characters. */
function cut(text: string, from: number): number {
  const end = from + SLICE_CHARS;
  if (end >= text.length) return text.length;
  const space = Math.max(text.lastIndexOf(" ", end), text.lastIndexOf("\n", end));
  if (space > from) return space;
  const unit = text.charCodeAt(end);
  return unit >= 0xdc00 && unit <= 0xdfff ? end - 1 : end;
}

/** What of a request the model reads: text, and tokens that need no counting. Images are left out. */
function promptOf(request: ModelRequest): { readonly text: string; readonly tokens: number } {
  switch (request.kind) {
    case "chat": {
      const { messages, raw } = request;
      const parts = messages.flatMap((message) => [
        String(message.role),
        messageText(message),
        ...(message.tool_calls === undefined ? [] : [JSON.stringify(message.tool_calls)]),
      ]);
      if (Array.isArray(raw.tools)) parts.push(JSON.stringify(raw.tools));
      const tokens = TOKENS_PER_MESSAGE * messages.length + TOKENS_BEFORE_ANSWER;
      return { text: parts.join("\n"), tokens };
    }
    case "completion":
      return { text: request.prompts.join("\n"), tokens: 0 };
    case "embedding": {
      const texts = request.inputs.filter((input) => typeof input === "string");
      const lists = request.inputs.filter((input) => typeof input !== "string");
      return { text: texts.join("\n"), tokens: lists.reduce((sum, one) => sum + one.length, 0) };
    }
  }
}

/**
 * Tokens of a prompt and of an answer.
 * @param model the model's name, which decides the encoding
 */
export async function countWithTokenizer(
  model: string,
  request: ModelRequest,
  completion: string,
  signal: AbortSignal,
): Promise<TokenUsage> {
  const tokenizer = tokenizerFor(model);
  // The first load holds this worker up for a tenth of a second. What is counted was often just
  // cancelled: its connection closes in the next turn, which `setImmediate` does not wait for.
  await setTimeout(0);
  const { countTokens } = await tokenizer.load();
  // Text that spells a special token is plain text here: users may write it.
  const options = { disallowedSpecial: new Set<string>() };
  let exact = tokenizer.exact;
  const count = async (text: string): Promise<number> => {
    let tokens = 0;
    let at = 0;
    while (at < Math.min(text.length, MAX_COUNTED_CHARS)) {
      signal.throwIfAborted();
      const end = cut(text, at);
      tokens += countTokens(text.slice(at, end), options);
      at = end;
      // Other answers stream in this worker.
      await setImmediate();
    }
    if (at === text.length) return tokens;
    exact = false;
    return Math.ceil((tokens * text.length) / at);
  };
  const prompt = promptOf(request);
  const promptTokens = await count(prompt.text) + prompt.tokens;
  const completionTokens = await count(completion);
  return {
    promptTokens,
    completionTokens,
    countedBy: exact ? "tokenizer" : "estimate",
  };
}
