/** Language models behind one port, each backend in a worker of its own. @module */
export * from "./backends/backend.ts";
export { SERVER_KINDS, type ServerKind } from "./backends/dialects/mod.ts";
export { loadDemoModel } from "./backends/embedded/demo_model.ts";
export {
  EmbeddedBackend,
  type EmbeddedBackendOptions,
} from "./backends/embedded/embedded_backend.ts";
export type { BackendHttpOptions } from "./backends/http.ts";
export {
  OpenAiCompatibleBackend,
  type OpenAiCompatibleOptions,
} from "./backends/openai_compatible.ts";
export { type SseEvent, SseParser } from "./backends/sse.ts";
export * from "./inference_worker.ts";
export type { InferenceModel } from "./model_names.ts";
export type {
  CommonInferenceOptions,
  EmbeddedInferenceOptions,
  InferenceOptions,
  ServerInferenceOptions,
} from "./options.ts";
