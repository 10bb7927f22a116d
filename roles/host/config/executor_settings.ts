/** The executor's settings. @module */
import {
  type Feature,
  FEATURES,
  MAX_MODEL_NAME_BYTES,
  MAX_MODELS_PER_EXECUTOR,
} from "@lloom/core/protocol";
import {
  checkBlockchain,
  commonSettings,
  networkSettings,
  type PeerConfig,
  withListenAddress,
} from "./common_settings.ts";
import { EXECUTOR_PAYMENTS, type ExecutorPaymentsConfig } from "./payment_settings.ts";
import type { RoleSettings } from "./role_settings.ts";
import {
  type Group,
  type Groups,
  httpUrl,
  integer,
  list,
  oneOf,
  pattern,
  price,
  required,
  setting,
  text,
  textMap,
} from "./setting.ts";

/** What speaks at a backend's endpoint. */
export type BackendKind =
  | "openai"
  | "ollama"
  | "lmstudio"
  | "vllm"
  | "llamacpp"
  | "custom"
  | "embedded";

/** One `[[llm_backends]]`. */
export interface BackendConfig {
  /** How messages and logs call it. */
  readonly name: string;
  /** What speaks there. */
  readonly kind: BackendKind;
  /** Absent for an embedded model only. */
  readonly endpoint: string | undefined;
  /** The variable that holds the API key; absent for none. */
  readonly apiKeyEnv: string | undefined;
  /** The API key itself, from the environment or a flag only. */
  readonly apiKey: string | undefined;
  /** Empty for all that the backend offers. */
  readonly supportedModels: readonly string[];
  /** From the name announced to the backend's own. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Tokens of prompt and answer together; absent: as the backend says. */
  readonly contextLength: number | undefined;
  /** Requests per minute. */
  readonly rateLimit: number | undefined;
  /** Requests that the backend serves at once. */
  readonly maxConcurrent: number;
  /** Requests that may wait for it. */
  readonly maxQueue: number;
  /** How long it may take to connect, or be silent. */
  readonly timeoutSecs: number;
  /** What its models that write can do besides what it tells. */
  readonly features: readonly Feature[];
  /** Fields of requests passed on besides those known to be harmless. */
  readonly extraFields: readonly string[];
}

/** Prices in base units per 1,000,000 tokens. */
export interface ModelPrice {
  /** Of prompts; absent for the default. */
  readonly inboundPrice: bigint | undefined;
  /** Of answers; absent for the default. */
  readonly outboundPrice: bigint | undefined;
}

/** `[pricing]` */
export interface PricingConfig {
  /** Base units per 1,000,000 tokens of prompt. */
  readonly defaultInboundPrice: bigint;
  /** Base units per 1,000,000 tokens of answer. */
  readonly defaultOutboundPrice: bigint;
  /** By model; what is absent there takes the default. */
  readonly models: ReadonlyMap<string, ModelPrice>;
}

/** `[executor]` */
export interface ServiceConfig {
  /** Requests under way or waiting, over all backends. */
  readonly maxConcurrentRequests: number;
  /** For one whole answer. */
  readonly requestTimeoutSecs: number;
  /** Between two heartbeats. */
  readonly announceIntervalSecs: number;
  /** Between two looks at what the backends offer. */
  readonly modelRefreshSecs: number;
}

/** An executor's configuration. */
export interface ExecutorConfig extends PeerConfig {
  /** `[[llm_backends]]` */
  readonly llmBackends: readonly BackendConfig[];
  /** `[pricing]` */
  readonly pricing: PricingConfig;
  /** `[executor]` */
  readonly executor: ServiceConfig;
  /** `[payments]` */
  readonly payments: ExecutorPaymentsConfig;
}

/** A model's name. */
const MODEL = text(MAX_MODEL_NAME_BYTES, "a model name");

const BACKENDS: Groups<BackendConfig> = {
  kind: "groups",
  doc: "A language-model server, or the embedded model. Repeat the section for each.",
  max: 32,
  table: {
    name: required(
      pattern(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 letters, digits, dots, dashes or underscores"),
      "What the log calls this backend.",
    ),
    kind: setting(
      oneOf<BackendKind>([
        "openai",
        "ollama",
        "lmstudio",
        "vllm",
        "llamacpp",
        "custom",
        "embedded",
      ]),
      "openai",
      "What runs there: it decides how models are listed and tokens counted. `custom` is any " +
        "other server with OpenAI's API; `embedded` is the small model that comes with Lloom.",
    ),
    endpoint: setting(
      httpUrl(),
      undefined,
      "Base URL, such as `http://127.0.0.1:11434`. Required unless the kind is `embedded`. Plain " +
        "HTTP goes there directly, whatever `HTTP_PROXY` says; HTTPS may pass through a proxy.",
    ),
    apiKeyEnv: setting(
      pattern(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "the name of an environment variable"),
      undefined,
      "Environment variable that holds the API key. The executor must be allowed to read it.",
    ),
    apiKey: setting(
      text(4096),
      undefined,
      "The API key itself. Prefer `api_key_env`: files are copied and backed up.",
    ),
    supportedModels: setting(list(MODEL, MAX_MODELS_PER_EXECUTOR), [], "Models to serve.", {
      fallbackText: "all that the backend offers",
    }),
    aliases: setting(
      textMap(MAX_MODELS_PER_EXECUTOR),
      {},
      "From the name to announce to the backend's own name.",
      { fallbackText: "none" },
    ),
    contextLength: setting(
      integer(1, 100_000_000, "tokens"),
      undefined,
      "Tokens of prompt and answer together.",
      { fallbackText: "what the backend says" },
    ),
    rateLimit: setting(
      integer(1, 1_000_000, "requests per minute"),
      undefined,
      "Requests sent to this backend in a minute; more are refused with `rate_limited`.",
      { fallbackText: "no limit" },
    ),
    maxConcurrent: setting(integer(1, 1024), 16, "Requests that this backend answers at once."),
    maxQueue: setting(integer(0, 65_536), 64, "Requests that may wait for this backend."),
    timeoutSecs: setting(
      integer(1, 3600, "seconds"),
      120,
      "The longest silence of the backend: before its answer, and between two parts of it.",
      { alias: "timeout" },
    ),
    features: setting(
      list({ ...oneOf(FEATURES), allowed: "a feature of docs/protocol.md" }, FEATURES.length),
      [],
      "What its models that write can do besides what the server tells and is documented to do, such " +
        "as `tools` of a vLLM that was started for them. Clients ask for nothing that is not announced.",
      { fallbackText: "none" },
    ),
    extraFields: setting(
      list(pattern(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, "a field's name"), 64),
      [],
      "Fields of requests to pass on besides those in docs/protocol.md, such as " +
        "`chat_template_kwargs`. Anybody on the network may send them, with any value.",
      { fallbackText: "none" },
    ),
  },
};

const PRICING: Group<PricingConfig> = {
  kind: "group",
  doc: "Prices in base units of the payment asset per 1,000,000 tokens. Free by default.",
  table: {
    defaultInboundPrice: setting(
      price(),
      0n,
      "Price of 1,000,000 tokens of prompt, in base units.",
      {
        env: "LLOOM_INBOUND_PRICE",
        flag: "--inbound-price <price>",
      },
    ),
    defaultOutboundPrice: setting(
      price(),
      0n,
      "Price of 1,000,000 tokens of answer, in base units.",
      {
        env: "LLOOM_OUTBOUND_PRICE",
        flag: "--outbound-price <price>",
      },
    ),
    models: {
      kind: "named",
      doc: 'Prices of one model, such as `[pricing.models."llama3.2:3b"]`.',
      max: MAX_MODELS_PER_EXECUTOR,
      table: {
        inboundPrice: setting(price(), undefined, "Price of the prompt.", {
          fallbackText: "default_inbound_price",
        }),
        outboundPrice: setting(price(), undefined, "Price of the answer.", {
          fallbackText: "default_outbound_price",
        }),
      },
    },
  },
};

const SERVICE: Group<ServiceConfig> = {
  kind: "group",
  doc: "How much this executor takes on.",
  table: {
    maxConcurrentRequests: setting(
      integer(1, 1_000_000),
      320,
      "Requests under way or waiting, over all backends; more are refused with `overloaded`.",
      { env: "LLOOM_MAX_CONCURRENT_REQUESTS" },
    ),
    requestTimeoutSecs: setting(
      integer(1, 3600, "seconds"),
      600,
      "The longest a request may take, waiting included.",
      { env: "LLOOM_REQUEST_TIMEOUT", alias: "request_timeout" },
    ),
    announceIntervalSecs: setting(
      integer(5, 60, "seconds"),
      30,
      "Between two announcements. Others take an executor for unavailable after 90 silent seconds.",
    ),
    modelRefreshSecs: setting(
      integer(1, 86_400, "seconds"),
      60,
      "Between two looks at which models the backends offer.",
    ),
  },
};

/** The executor's settings and their rules, for its service. */
export const EXECUTOR_SETTINGS: RoleSettings<ExecutorConfig> = {
  role: "executor",
  complete: withListenAddress,
  table: {
    network: networkSettings({
      port: 9001,
      maxConnections: 1000,
      relay: true,
    }),
    ...commonSettings({ logLevel: "info" }),
    llmBackends: BACKENDS,
    pricing: PRICING,
    executor: SERVICE,
    payments: EXECUTOR_PAYMENTS,
  },
  check(config, refuse, warn) {
    checkBlockchain(config, refuse);
    const names = new Set<string>();
    for (const [index, backend] of config.llmBackends.entries()) {
      const at = `llm_backends[${index}]`;
      if (names.has(backend.name)) refuse(`${at}.name`, "must differ from all other backends'");
      names.add(backend.name);
      const embedded = backend.kind === "embedded";
      if (embedded && backend.endpoint !== undefined) {
        refuse(`${at}.endpoint`, "must be absent for kind embedded");
      }
      if (!embedded && backend.endpoint === undefined) {
        refuse(`${at}.endpoint`, `must be given for kind ${backend.kind}`);
      }
      if (backend.apiKey === undefined) continue;
      if (backend.apiKeyEnv !== undefined) {
        refuse(`${at}.api_key`, "must be absent where api_key_env is given");
      }
      warn(`${at}.api_key`, "a secret in a configuration file; prefer api_key_env");
    }
  },
};

/** The same for its commands that only look, whose answer a log would clutter. */
export const EXECUTOR_QUERY_SETTINGS: RoleSettings<ExecutorConfig> = {
  ...EXECUTOR_SETTINGS,
  table: { ...EXECUTOR_SETTINGS.table, ...commonSettings({ logLevel: "warning" }) },
};
