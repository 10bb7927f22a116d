/** From the settings to the workers that speak with each backend. @module */
import { LloomError } from "@lloom/core/errors";
import type { BackendConfig } from "@lloom/host/config";
import { InferenceWorker, loadDemoModel } from "@lloom/workers/inference";

/** A backend, its kind and how many answers it gives at once. */
export interface Backend {
  readonly kind: BackendConfig["kind"];
  readonly capacity: number;
  readonly worker: InferenceWorker;
}

/** How backends are started. */
export interface BackendOptions {
  /** Whether each worker may reach its own backend and nothing else. */
  readonly sandbox: boolean;
  /** The longest one answer may take, in milliseconds. */
  readonly totalTimeoutMs: number;
}

/** Starts one backend's worker. @throws {LloomError} `config_invalid` */
export async function startBackend(
  config: BackendConfig,
  { sandbox, totalTimeoutMs }: BackendOptions,
): Promise<Backend> {
  const { name, kind, endpoint, timeoutSecs, supportedModels, rateLimit } = config;
  const common = {
    name,
    sandbox,
    totalTimeoutMs,
    aliases: config.aliases,
    maxConcurrent: config.maxConcurrent,
    maxQueue: config.maxQueue,
    features: config.features,
    ...(supportedModels.length > 0 && { models: supportedModels }),
    ...(config.contextLength !== undefined && { contextLength: config.contextLength }),
    ...(rateLimit !== undefined && { requestsPerMinute: rateLimit }),
  };
  const backend = (worker: InferenceWorker) => ({ kind, capacity: config.maxConcurrent, worker });
  if (kind === "embedded") {
    const weights = await loadDemoModel();
    return backend(new InferenceWorker({ ...common, kind, weights }));
  }
  if (endpoint === undefined) {
    throw new LloomError("config_invalid", `start backend ${name}: it has no endpoint`);
  }
  return backend(
    new InferenceWorker({
      ...common,
      kind,
      endpoint,
      connectTimeoutMs: timeoutSecs * 1000,
      idleTimeoutMs: timeoutSecs * 1000,
      extraFields: config.extraFields,
      ...(config.apiKeyEnv !== undefined && { apiKeyEnv: config.apiKeyEnv }),
      ...(config.apiKey !== undefined && { apiKey: config.apiKey }),
    }),
  );
}
