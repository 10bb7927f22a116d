/**
 * What each model server that the mock can be says of itself, from the servers' documentation.
 * @module
 */
import { mockPromptTokens } from "./mock_llm_answers.ts";

/** Which server to be. */
export type MockDialect = "openai" | "ollama" | "lmstudio" | "vllm" | "llamacpp";

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
  embeddingModels: readonly string[],
  body: unknown,
): unknown {
  const plain = (extra: object = {}) => ({
    object: "list",
    data: [...models, ...embeddingModels].map((id) => ({
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
        chat_template_caps: { supports_tools: true, supports_parallel_tool_calls: true },
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
          ...embeddingModels.map((id) => ({
            id,
            object: "model",
            type: "embeddings",
            state: "not-loaded",
            max_context_length: 2048,
          })),
        ],
      };
    case "ollama /api/tags":
      return {
        models: [...models, ...embeddingModels].map((name) => ({
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
    case "ollama /api/version":
      return { version: "0.13.0" };
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
        capabilities: embeddingModels.includes(String((body as { model?: string }).model))
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
