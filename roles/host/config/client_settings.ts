/** The client's settings. @module */
import { MAX_MODEL_NAME_BYTES } from "@lloom/core/protocol";
import {
  checkBlockchain,
  commonSettings,
  networkSettings,
  type PeerConfig,
} from "./common_settings.ts";
import { GATEWAY, type GatewayConfig } from "./gateway_settings.ts";
import { CLIENT_PAYMENTS, type ClientPaymentsConfig } from "./payment_settings.ts";
import type { RoleSettings } from "./role_settings.ts";
import {
  executorName,
  type Group,
  integer,
  list,
  number,
  oneOf,
  price,
  setting,
  text,
} from "./setting.ts";

/** `[client.defaults]`: what a request takes that does not say otherwise. */
export interface RequestDefaults {
  /** The model to ask; absent: it must be named. */
  readonly model: string | undefined;
  /** Absent: the model's own. */
  readonly temperature: number | undefined;
  /** The most tokens of answer. */
  readonly maxTokens: number;
  /** Said to the model first; absent for none. */
  readonly systemPrompt: string | undefined;
  /** For the whole answer. */
  readonly requestTimeoutSecs: number;
}

/** `[client.retry]`: how often, and when, executors are asked again after all have failed. */
export interface RetryConfig {
  /** Rounds over all executors, the first one counted. */
  readonly maxAttempts: number;
  /** The longest wait before the second round. */
  readonly initialDelayMs: number;
  /** The longest wait before any round. */
  readonly maxDelayMs: number;
  /** How many times longer each further wait may be. */
  readonly exponentialBase: number;
}

/** How an executor is chosen among those that serve the model at an acceptable price. */
export type SelectionStrategy =
  | "best-price"
  | "fastest"
  | "latency"
  | "throughput"
  | "balanced"
  | "sticky"
  | "specific";

/** How much each quality counts in the strategies `balanced` and `sticky`; only their ratios matter. */
export interface SelectionWeights {
  /** For what the request costs. */
  readonly price: number;
  /** For how long the answer takes. */
  readonly latency: number;
  /** For requests that ended badly. */
  readonly reliability: number;
  /** Few requests under way. */
  readonly load: number;
}

/** `[executor_selection]` */
export interface SelectionConfig {
  /** How one is chosen. */
  readonly strategy: SelectionStrategy;
  /** PeerIds or Ethereum addresses. */
  readonly preferredExecutors: readonly string[];
  /** PeerIds or Ethereum addresses. */
  readonly excludedExecutors: readonly string[];
  /** Base units per 1,000,000 tokens; absent for no bound. */
  readonly maxInboundPrice: bigint | undefined;
  /** Base units per 1,000,000 tokens; absent for no bound. */
  readonly maxOutboundPrice: bigint | undefined;
  /** For the strategies `balanced` and `sticky`. */
  readonly weights: SelectionWeights;
}

/** A client's configuration. */
export interface ClientConfig extends PeerConfig {
  /** `[client]` */
  readonly client: { readonly defaults: RequestDefaults; readonly retry: RetryConfig };
  /** `[executor_selection]` */
  readonly executorSelection: SelectionConfig;
  /** `[payments]` */
  readonly payments: ClientPaymentsConfig;
  /** `[gateway]` */
  readonly gateway: GatewayConfig;
}

const DEFAULTS: Group<RequestDefaults> = {
  kind: "group",
  doc: "What a request takes that does not say otherwise.",
  table: {
    model: setting(text(MAX_MODEL_NAME_BYTES, "a model name"), undefined, "The model to ask.", {
      env: "LLOOM_DEFAULT_MODEL",
      flag: "--model <name>",
    }),
    temperature: setting(number(0, 2), undefined, "Sampling temperature.", {
      flag: "--temperature <number>",
      fallbackText: "the model's own",
    }),
    maxTokens: setting(
      integer(1, 1_000_000, "tokens"),
      1024,
      "The longest answer to accept, and to pay for.",
      { flag: "--max-tokens <number>" },
    ),
    systemPrompt: setting(text(65_536), undefined, "Instructions put before every prompt.", {
      flag: "--system-prompt <text>",
    }),
    requestTimeoutSecs: setting(
      integer(1, 3600, "seconds"),
      300,
      "The longest a request may take, from asking to its receipt.",
      { env: "LLOOM_REQUEST_TIMEOUT", flag: "--timeout-secs <seconds>", alias: "request_timeout" },
    ),
  },
};

const RETRY: Group<RetryConfig> = {
  kind: "group",
  doc:
    "How often, and when, executors are asked again after all have failed for reasons that pass.",
  table: {
    maxAttempts: setting(integer(1, 20), 3, "Rounds over all executors, the first one counted."),
    initialDelayMs: setting(
      integer(1, 60_000, "milliseconds"),
      500,
      "The longest wait before the second round; the wait itself is random.",
    ),
    maxDelayMs: setting(
      integer(1, 600_000, "milliseconds"),
      10_000,
      "The longest wait before any round. Executors that say when to come again are waited for longer.",
    ),
    exponentialBase: setting(
      number(1, 10),
      2,
      "How many times longer each further wait may be.",
    ),
  },
};

const SELECTION: Group<SelectionConfig> = {
  kind: "group",
  doc: "How an executor is chosen.",
  table: {
    strategy: setting(
      oneOf<SelectionStrategy>([
        "best-price",
        "fastest",
        "latency",
        "throughput",
        "balanced",
        "sticky",
        "specific",
      ]),
      "balanced",
      "Which executor to ask. `fastest` takes the one expected to give the whole answer soonest, " +
        "`latency` the first token, `throughput` the most tokens a second. `balanced` weighs price, " +
        "time, reliability and load; `sticky` does so too, and keeps each conversation on its " +
        "executor. `specific` asks nobody but the preferred ones.",
      { env: "LLOOM_SELECTION_STRATEGY", flag: "--strategy <name>" },
    ),
    preferredExecutors: setting(
      list(executorName(), 64),
      [],
      "Executors to try first: PeerIds or Ethereum addresses.",
      { flag: "--executor <id...>" },
    ),
    excludedExecutors: setting(
      list(executorName(), 64),
      [],
      "Executors never to ask: PeerIds or Ethereum addresses.",
      { flag: "--exclude-executor <id...>", alias: "blacklist" },
    ),
    maxInboundPrice: setting(
      price(),
      undefined,
      "The highest price to pay for prompts, in base units per 1,000,000 tokens.",
      { env: "LLOOM_MAX_INBOUND_PRICE", flag: "--max-inbound-price <price>" },
    ),
    maxOutboundPrice: setting(
      price(),
      undefined,
      "The highest price to pay for answers, in base units per 1,000,000 tokens.",
      { env: "LLOOM_MAX_OUTBOUND_PRICE", flag: "--max-outbound-price <price>" },
    ),
    weights: {
      kind: "group",
      doc:
        "How much each quality counts in the strategies `balanced` and `sticky`; only the ratios matter.",
      table: {
        price: setting(number(0, 1000), 3, "Low price."),
        latency: setting(number(0, 1000), 3, "Short time to the whole answer."),
        reliability: setting(number(0, 1000), 3, "Few failures."),
        load: setting(number(0, 1000), 1, "Few requests under way."),
      },
    },
  },
};

/** The client's settings and their rules. */
export const CLIENT_SETTINGS: RoleSettings<ClientConfig> = {
  role: "client",
  table: {
    network: networkSettings({
      port: undefined,
      portFlag: "--p2p-port <number>",
      maxConnections: 100,
      relay: true,
    }),
    ...commonSettings({ logLevel: "warning" }),
    client: {
      kind: "group",
      doc: "What the client asks for.",
      table: { defaults: DEFAULTS, retry: RETRY },
    },
    executorSelection: SELECTION,
    payments: CLIENT_PAYMENTS,
    gateway: GATEWAY,
  },
  check(config, refuse) {
    checkBlockchain(config, refuse);
    const { strategy, preferredExecutors, weights } = config.executorSelection;
    if (strategy === "specific" && preferredExecutors.length === 0) {
      refuse("executor_selection.preferred_executors", "must not be empty for strategy specific");
    }
    if (weights.price + weights.latency + weights.reliability + weights.load === 0) {
      refuse("executor_selection.weights", "must not all be 0");
    }
    if (config.payments.closeDelay > config.payments.maxCloseDelay) {
      refuse("payments.close_delay", "must be at most payments.max_close_delay");
    }
  },
};
