/** The validator's settings. @module */
import {
  GONE_AFTER_MS,
  MAX_EXECUTORS,
  MAX_MODELS_PER_EXECUTOR,
  STALE_AFTER_MS,
} from "@lloom/core/protocol";
import {
  checkBlockchain,
  commonSettings,
  networkSettings,
  type PeerConfig,
  withListenAddress,
} from "./common_settings.ts";
import type { RoleSettings } from "./role_settings.ts";
import { type Group, integer, setting } from "./setting.ts";

/** `[registry]` */
export interface RegistryConfig {
  /** Silence after which an executor counts as unavailable. */
  readonly staleSecs: number;
  /** Silence after which an executor is forgotten. */
  readonly goneSecs: number;
  /** Executors kept at once. */
  readonly maxExecutors: number;
  /** At most what an announcement may hold. */
  readonly maxModelsPerExecutor: number;
}

/** A validator's configuration. */
export interface ValidatorConfig extends PeerConfig {
  /** `[registry]` */
  readonly registry: RegistryConfig;
}

const REGISTRY: Group<RegistryConfig> = {
  kind: "group",
  doc: "What this validator remembers of executors.",
  table: {
    staleSecs: setting(
      integer(10, 86_400, "seconds"),
      STALE_AFTER_MS / 1000,
      "An executor not heard of for this long is listed as unavailable.",
    ),
    goneSecs: setting(
      integer(10, 604_800, "seconds"),
      GONE_AFTER_MS / 1000,
      "An executor not heard of for this long is forgotten.",
    ),
    maxExecutors: setting(integer(1, 100_000), MAX_EXECUTORS, "Executors remembered at once."),
    maxModelsPerExecutor: setting(
      integer(1, MAX_MODELS_PER_EXECUTOR),
      MAX_MODELS_PER_EXECUTOR,
      "An executor that announces more models is not listed.",
    ),
  },
};

/** The validator's settings and their rules. */
export const VALIDATOR_SETTINGS: RoleSettings<ValidatorConfig> = {
  role: "validator",
  complete: withListenAddress,
  table: {
    network: networkSettings({
      port: 9000,
      portFlag: "--p2p-port <number>",
      maxConnections: 2000,
      relay: true,
    }),
    ...commonSettings({ logLevel: "info" }),
    registry: REGISTRY,
  },
  check(config, refuse) {
    checkBlockchain(config, refuse);
    if (config.registry.goneSecs < config.registry.staleSecs) {
      refuse("registry.gone_secs", "must be at least registry.stale_secs");
    }
  },
};
