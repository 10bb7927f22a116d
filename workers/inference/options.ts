/** Settings of a language model's worker. Plain data: they go to the worker as they are. @module */
import { LloomError } from "@lloom/core/errors";
import type { Feature } from "@lloom/core/protocol";
import { SERVER_KINDS, type ServerKind } from "./backends/dialects/mod.ts";
import { hostAndPort, parseEndpoint } from "./backends/http.ts";

/** What every backend's worker has. */
export interface CommonInferenceOptions {
  /** For logs and errors. */
  readonly name: string;
  /** The only models to offer, by their announced names. @default all */
  readonly models?: readonly string[];
  /** Announced name → the backend's own name. An aliased model is offered under its aliases alone. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Tokens of prompt and answer together, where the backend tells more, or nothing. */
  readonly contextLength?: number;
  /** What the models that write can do besides what the backend tells of them. @default none */
  readonly features?: readonly Feature[];
  /** Answers at the same time. @default 16; 4 if embedded */
  readonly maxConcurrent?: number;
  /** Requests that may wait; one more is refused as `overloaded`. @default 64 */
  readonly maxQueue?: number;
  /**
   * How long a client that has no answer under way waits, while another has several, before one of
   * those is cut short for it. @default 15000
   */
  readonly patienceMs?: number;
  /** Requests accepted per minute; one more is refused as `rate_limited`. @default no limit */
  readonly requestsPerMinute?: number;
  /** One whole answer, from its start. @default 600000 */
  readonly totalTimeoutMs?: number;
  /**
   * Takes from the worker every permission that it does not need. Works only where the process runs
   * with `--unstable-worker-options`; elsewhere Deno exits. @default false
   */
  readonly sandbox?: boolean;
}

/** A model server with OpenAI's API. */
export interface ServerInferenceOptions extends CommonInferenceOptions {
  /** Which server it is. */
  readonly kind: ServerKind;
  /** Its address, with or without a final `/v1`. */
  readonly endpoint: string;
  /** The environment variable that holds the API key; read inside the worker. */
  readonly apiKeyEnv?: string;
  /** The API key itself, where it does not come from the environment. */
  readonly apiKey?: string;
  /**
   * Fields of requests that the server gets besides those known to be harmless, unchecked: anybody
   * may send them. @default none
   */
  readonly extraFields?: readonly string[];
  /** From a request to the head of its answer. Long, as servers load models on demand. @default 60000 */
  readonly connectTimeoutMs?: number;
  /** Between two pieces of an answer. @default 60000 */
  readonly idleTimeoutMs?: number;
}

/** The engine that comes with Lloom, inside the worker. */
export interface EmbeddedInferenceOptions extends CommonInferenceOptions {
  /** No server at all. */
  readonly kind: "embedded";
  /** A GGUF file. Copied to the worker, and kept for another start after a crash. */
  readonly weights: Uint8Array;
}

/** Settings of one backend's worker. */
export type InferenceOptions = ServerInferenceOptions | EmbeddedInferenceOptions;

/** Settings with the defaults filled in. */
export type ResolvedOptions<T extends InferenceOptions = InferenceOptions> =
  & T
  & Required<
    Pick<CommonInferenceOptions, "maxConcurrent" | "maxQueue" | "totalTimeoutMs" | "patienceMs">
  >;

/** Longest of all timeouts: setTimeout's own limit. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

function checkInteger(field: string, value: number | undefined, low: number, high: number): void {
  if (value === undefined) return;
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new LloomError("config_invalid", `read ${field}: not an integer from ${low} to ${high}`);
  }
}

/** Checks settings and fills in the defaults. @throws {LloomError} `config_invalid` */
export function resolveOptions<T extends InferenceOptions>(options: T): ResolvedOptions<T> {
  checkInteger("maxConcurrent", options.maxConcurrent, 1, 4096);
  checkInteger("maxQueue", options.maxQueue, 0, 65_536);
  checkInteger("requestsPerMinute", options.requestsPerMinute, 1, 1_000_000);
  checkInteger("contextLength", options.contextLength, 1, 2 ** 31 - 1);
  checkInteger("patienceMs", options.patienceMs, 1, MAX_TIMEOUT_MS);
  checkInteger("totalTimeoutMs", options.totalTimeoutMs, 1, MAX_TIMEOUT_MS);
  if (options.kind === "embedded") {
    if (options.weights.length === 0) {
      throw new LloomError("config_invalid", "read weights: empty");
    }
  } else {
    checkServer(options);
  }
  return {
    ...options,
    maxConcurrent: options.maxConcurrent ?? (options.kind === "embedded" ? 4 : 16),
    maxQueue: options.maxQueue ?? 64,
    totalTimeoutMs: options.totalTimeoutMs ?? 600_000,
    patienceMs: options.patienceMs ?? 15_000,
  };
}

function checkServer(options: ServerInferenceOptions): void {
  const kinds: readonly string[] = SERVER_KINDS;
  if (!kinds.includes(options.kind)) {
    throw new LloomError("config_invalid", `read kind: none of ${kinds.join(", ")}, embedded`);
  }
  parseEndpoint(options.endpoint);
  checkInteger("connectTimeoutMs", options.connectTimeoutMs, 1, MAX_TIMEOUT_MS);
  checkInteger("idleTimeoutMs", options.idleTimeoutMs, 1, MAX_TIMEOUT_MS);
  if (options.apiKey !== undefined && options.apiKeyEnv !== undefined) {
    throw new LloomError("config_invalid", "read API key: both apiKey and apiKeyEnv are set");
  }
}

/** All that a backend's worker needs to be allowed. */
export function permissionsOf(options: InferenceOptions): Deno.PermissionOptions {
  if (options.kind === "embedded") return "none";
  return {
    net: [hostAndPort(options.endpoint)],
    env: options.apiKeyEnv === undefined ? false : [options.apiKeyEnv],
  };
}
