/**
 * The inside of an inference worker: one backend, and its answers in progress. The other end is
 * `inference_worker.ts`.
 * @module
 */
/// <reference lib="deno.worker" />
import { LloomError } from "@lloom/core/errors";
import type { InferenceJob, InferenceSink } from "@lloom/core/ports";
import { setImmediate } from "node:timers";
import type { ModelBackend } from "./backends/backend.ts";
import { EmbeddedBackend } from "./backends/embedded/embedded_backend.ts";
import { OpenAiCompatibleBackend } from "./backends/openai_compatible.ts";
import type { FromTask, ToTask } from "./messages.ts";
import { ModelNames } from "./model_names.ts";
import { ModelRun } from "./model_run.ts";
import type { InferenceOptions, ResolvedOptions, ServerInferenceOptions } from "./options.ts";

/** How long counting an answer's tokens may take: its receipt waits for it. */
const COUNT_TIMEOUT_MS = 2000;

interface Task {
  readonly backend: ModelBackend;
  readonly names: ModelNames;
  readonly extraFields: ReadonlySet<string>;
  readonly totalTimeoutMs: number;
}

const runs = new Map<number, ModelRun>();
const listings = new Map<number, AbortController>();
/** What start-up came to: a backend that cannot be made fails every call, with the reason. */
let task: Task | LloomError = new LloomError("internal", "use worker: not started");

/** What this turn has to say: one message costs less than many. */
let outbox: FromTask[] = [];

function post(message: FromTask): void {
  if (outbox.length === 0) setImmediate(send);
  outbox.push(message);
}

function send(): void {
  const messages = outbox;
  outbox = [];
  // Batches are whole buffers of their own.
  const buffers = messages.flatMap((one) => one.type === "batch" ? [one.lines.buffer] : []);
  self.postMessage(messages, buffers);
}

const warn = (message: string): void => post({ type: "warn", message });

function apiKey({ apiKey, apiKeyEnv }: ServerInferenceOptions): string | undefined {
  if (apiKeyEnv === undefined) return apiKey;
  const key = Deno.env.get(apiKeyEnv);
  if (key === undefined || key === "") {
    throw new LloomError("config_invalid", `read API key: ${apiKeyEnv} is not set`);
  }
  return key;
}

function makeBackend(options: ResolvedOptions<InferenceOptions>): ModelBackend {
  if (options.kind === "embedded") {
    return new EmbeddedBackend(options.weights, { maxChats: options.maxConcurrent });
  }
  const key = apiKey(options);
  return new OpenAiCompatibleBackend({
    kind: options.kind,
    endpoint: options.endpoint,
    connectTimeoutMs: options.connectTimeoutMs ?? 60_000,
    idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
    ...(key !== undefined && { apiKey: key }),
  });
}

function start(options: ResolvedOptions<InferenceOptions>): void {
  const { totalTimeoutMs } = options;
  try {
    const extraFields = new Set(options.kind === "embedded" ? [] : options.extraFields);
    const names = new ModelNames(options);
    task = { backend: makeBackend(options), names, extraFields, totalTimeoutMs };
  } catch (thrown) {
    task = LloomError.wrap(thrown, "config_invalid", "start backend");
  }
}

function sinkOf(id: number): InferenceSink {
  return {
    batch(lines, tokens) {
      post({ type: "batch", id, lines: lines as Uint8Array<ArrayBuffer>, tokens });
    },
    end(end) {
      runs.delete(id);
      post({ type: "end", id, end });
    },
    fail(error) {
      runs.delete(id);
      post({ type: "fail", id, error });
    },
  };
}

function run(id: number, job: InferenceJob): void {
  try {
    if (task instanceof LloomError) throw task;
    const { backend, names, extraFields, totalTimeoutMs } = task;
    const { backendModel, contextLength } = names.find(job.model);
    const components = {
      backend,
      warn,
      model: backendModel,
      extraFields,
      ...(contextLength !== undefined && { contextLength }),
    };
    const options = { totalTimeoutMs, countTimeoutMs: COUNT_TIMEOUT_MS };
    const run = new ModelRun(job, sinkOf(id), components, options);
    runs.set(id, run);
    run.run();
  } catch (thrown) {
    post({ type: "fail", id, error: LloomError.wrap(thrown).toData() });
  }
}

async function list(id: number): Promise<void> {
  const controller = new AbortController();
  listings.set(id, controller);
  try {
    if (task instanceof LloomError) throw task;
    const models = task.names.update(await task.backend.models(controller.signal));
    post({ type: "models", id, models });
  } catch (thrown) {
    post({ type: "fail", id, error: LloomError.wrap(thrown, "backend_failed").toData() });
  } finally {
    listings.delete(id);
  }
}

self.onmessage = ({ data }: MessageEvent<ToTask>): void => {
  switch (data.type) {
    case "start":
      return start(data.options);
    case "run":
      return run(data.id, data.job);
    case "models":
      list(data.id);
      return;
    case "pause":
      return runs.get(data.id)?.pause();
    case "resume":
      return runs.get(data.id)?.resume();
    case "cancel":
      runs.get(data.id)?.cancel(data.reason);
      listings.get(data.id)?.abort(LloomError.from(data.reason));
  }
};
