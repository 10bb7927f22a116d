/**
 * What each model server that the mock can be says of itself and how it writes an answer, from the
 * servers' documentation.
 * @module
 */

/** Which server to be. */
export type MockDialect = "openai" | "ollama" | "lmstudio" | "vllm" | "llamacpp";

/** What shapes an answer. */
export interface MockAnswerOptions {
  readonly dialect?: MockDialect;
  readonly reasoningTokens?: number;
  readonly tokenPadding?: number;
  readonly toolCall?: { readonly name: string; readonly arguments: string };
}

const encoder = new TextEncoder();
const EMBEDDING_MODEL = "nomic-embed-text:latest";
/** What the tokens say. Each begins with a space, so that every token is one token of `o200k_base` too. */
const WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

const tokenText = (i: number, padding: number): string =>
  ` ${WORDS[i % WORDS.length]}${"x".repeat(padding)}`;

/** The text of the first `count` tokens of an answer. */
export function mockText(count: number, padding = 0): string {
  return Array.from({ length: count }, (_, i) => tokenText(i, padding)).join("");
}

/** The prompt tokens that the mock reports: the words of all messages. */
export function mockPromptTokens(messages: unknown): number {
  return (JSON.stringify(messages).match(/[\p{L}\p{N}]+/gu) ?? []).length;
}

/** One event of a stream. */
export const sse = (value: unknown): Uint8Array<ArrayBuffer> =>
  encoder.encode(`data: ${JSON.stringify(value)}\n\n`);
/** An error body as that server writes it. */
export function errorBody(dialect: MockDialect, status: number, message: string): unknown {
  switch (dialect) {
    case "vllm":
      return { error: { message, type: "BadRequestError", param: null, code: status } };
    case "llamacpp":
      return { error: { code: status, message, type: "invalid_request_error" } };
    case "lmstudio":
      return { error: message };
    default:
      return { error: { message, type: "invalid_request_error", param: null, code: null } };
  }
}

/** How each server describes its models, by path. */
export function listing(
  dialect: MockDialect,
  path: string,
  models: readonly string[],
  body: unknown,
): unknown {
  const plain = (extra: object = {}) => ({
    object: "list",
    data: models.map((id) => ({
      id,
      object: "model",
      created: 1_700_000_000,
      owned_by: "mock",
      ...extra,
    })),
  });
  const key = `${dialect} ${path}`;
  switch (key) {
    case "openai /v1/models":
      return {
        object: "list",
        data: [...plain().data, {
          id: "text-embedding-3-small",
          object: "model",
          owned_by: "system",
        }],
      };
    case "ollama /v1/models":
    case "lmstudio /v1/models":
      return plain();
    case "vllm /v1/models":
      return plain({ root: "/models/m", parent: null, max_model_len: 8192, permission: [] });
    case "llamacpp /v1/models":
      return plain({
        meta: {
          vocab_type: 2,
          n_vocab: 32000,
          n_ctx_train: 32768,
          n_embd: 4096,
          n_params: 7_000_000_000,
          size: 4_000_000_000,
        },
      });
    case "llamacpp /props":
      return {
        default_generation_settings: { id: 0, n_ctx: 4096, params: { n_predict: -1 } },
        total_slots: 4,
        modalities: { vision: true, audio: false },
        chat_template_caps: { supports_tools: true },
      };
    case "lmstudio /api/v0/models":
      return {
        object: "list",
        data: [
          ...models.map((id) => ({
            id,
            object: "model",
            type: "llm",
            publisher: "mock",
            arch: "qwen2",
            compatibility_type: "gguf",
            quantization: "Q4_K_M",
            state: "loaded",
            max_context_length: 32768,
            loaded_context_length: 4096,
            capabilities: ["tool_use"],
          })),
          {
            id: "text-embedding-nomic-embed-text-v1.5",
            object: "model",
            type: "embeddings",
            state: "not-loaded",
            max_context_length: 2048,
          },
        ],
      };
    case "ollama /api/tags":
      return {
        models: [...models, EMBEDDING_MODEL].map((name) => ({
          name,
          model: name,
          size: 4_000_000_000,
          digest: "0".repeat(64),
          details: {
            format: "gguf",
            family: "llama",
            families: ["llama"],
            parameter_size: "8.0B",
            quantization_level: "Q4_0",
          },
        })),
      };
    case "ollama /api/ps":
      return {
        models: models.slice(0, 1).map((name) => ({
          name,
          model: name,
          size_vram: 1,
          context_length: 4096,
        })),
      };
    case "ollama /api/show":
      return {
        details: { family: "llama", parameter_size: "8.0B", quantization_level: "Q4_0" },
        model_info: { "general.architecture": "llama", "llama.context_length": 131072 },
        capabilities: (body as { model?: string } | undefined)?.model === EMBEDDING_MODEL
          ? ["embedding"]
          : ["completion", "tools", "thinking"],
      };
    default:
      return undefined;
  }
}

/** The servers' own tokenizers: here, one token per word. */
export function tokenizing(
  dialect: MockDialect,
  path: string,
  body: Record<string, unknown>,
): unknown {
  const words = (text: unknown) => String(text).match(/\S+/g) ?? [];
  if (dialect === "vllm" && path === "/tokenize") {
    const count = body.messages === undefined
      ? words(body.prompt).length
      : mockPromptTokens(body.messages);
    return { count, max_model_len: 8192, tokens: Array.from({ length: count }, (_, i) => i) };
  }
  if (dialect === "llamacpp" && path === "/apply-template") {
    const text = JSON.stringify(body.messages).match(/[\p{L}\p{N}]+/gu) ?? [];
    return { prompt: text.join(" ") };
  }
  if (dialect === "llamacpp" && path === "/tokenize") {
    return { tokens: words(body.content).map((_, i) => i) };
  }
  return undefined;
}

/** The chunks of one answer, encoded once and used for every request of the same shape. */
export interface Script {
  readonly opening: readonly Uint8Array<ArrayBuffer>[];
  readonly tokens: readonly Uint8Array<ArrayBuffer>[];
  readonly finish: Uint8Array<ArrayBuffer>;
  readonly done: Uint8Array<ArrayBuffer>;
}

/** One chunk of a stream. */
export function chunk(
  model: unknown,
  delta: object,
  finish: string | null,
  extra: object = {},
): object {
  return {
    id: "chatcmpl-mock",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model,
    choices: [{ index: 0, delta, finish_reason: finish, ...extra }],
  };
}

/** Writes an answer of `count` tokens. */
export function writeScript(
  options: MockAnswerOptions,
  model: unknown,
  count: number,
  limited: boolean,
): Script {
  const { dialect = "openai", reasoningTokens = 0, toolCall, tokenPadding = 0 } = options;
  const opening = dialect === "ollama"
    ? [] // Ollama repeats the role in every chunk instead.
    : [sse(chunk(model, { role: "assistant", content: dialect === "llamacpp" ? null : "" }, null))];
  const role = dialect === "ollama" ? { role: "assistant" } : {};
  const extra = dialect === "vllm" || dialect === "openai" ? { logprobs: null } : {};
  const tokens: Uint8Array<ArrayBuffer>[] = [];
  if (toolCall !== undefined) {
    const head = {
      index: 0,
      id: "call_1",
      type: "function",
      function: { name: toolCall.name, arguments: "" },
    };
    tokens.push(sse(chunk(model, { ...role, tool_calls: [head] }, null, extra)));
    for (const piece of toolCall.arguments.match(/.{1,4}/gs) ?? []) {
      const part = { index: 0, function: { arguments: piece } };
      tokens.push(sse(chunk(model, { ...role, tool_calls: [part] }, null, extra)));
    }
  } else {
    for (let i = 0; i < count; i++) {
      const text = tokenText(i, tokenPadding);
      const delta = i < reasoningTokens ? { reasoning_content: text } : { content: text };
      tokens.push(sse(chunk(model, { ...role, ...delta }, null, extra)));
    }
  }
  const reason = toolCall !== undefined ? "tool_calls" : limited ? "length" : "stop";
  const last = dialect === "ollama" ? { role: "assistant", content: "" } : {};
  return {
    opening,
    tokens,
    finish: sse(chunk(model, last, reason, extra)),
    done: encoder.encode("data: [DONE]\n\n"),
  };
}
