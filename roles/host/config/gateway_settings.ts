/** The settings of the client's gateway. @module */
import { MAX_BODY_BYTES, MAX_MODEL_NAME_BYTES } from "@lloom/core/protocol";
import { flag, type Group, integer, list, pattern, setting, text, textMap } from "./setting.ts";

/** `[gateway.cache]`: answers kept for identical requests. */
export interface GatewayCacheConfig {
  /** Whether answers are kept. */
  readonly enabled: boolean;
  /** The most disk space for them. */
  readonly maxSizeMb: number;
  /** How long one is kept. */
  readonly ttlSecs: number;
}

/** `[gateway]` */
export interface GatewayConfig {
  /** Address of this machine to listen on. */
  readonly host: string;
  /** TCP port; 0 for any free one. */
  readonly port: number;
  /** Keys that clients must show one of; empty for none. */
  readonly apiKeys: readonly string[];
  /** Web pages elsewhere that may use it, by origin. */
  readonly corsOrigins: readonly string[];
  /** Names besides `localhost` and its addresses under which it is reached. */
  readonly allowedHosts: readonly string[];
  /** The longest request. */
  readonly maxBodyBytes: number;
  /** Connections at once. */
  readonly maxConnections: number;
  /** Requests being answered at once. */
  readonly maxConcurrentRequests: number;
  /** Names that clients use, each with the model that is asked. */
  readonly modelAliases: Readonly<Record<string, string>>;
  /** For requests that name no model. */
  readonly defaultModel: string | undefined;
  /** Asks the next executor too when the first is silent for so long; absent for never. */
  readonly hedgeAfterMs: number | undefined;
  /** Whether another executor continues a broken plain-text answer. */
  readonly continueBroken: boolean;
  /** `[gateway.cache]` */
  readonly cache: GatewayCacheConfig;
}

/** The subcommand whose flags these are. */
const command = "gateway";
const modelName = () => text(MAX_MODEL_NAME_BYTES, "a model name");

/** The gateway's settings. */
export const GATEWAY: Group<GatewayConfig> = {
  kind: "group",
  doc: "The HTTP server of `lloom-client gateway`.",
  table: {
    host: setting(
      pattern(/^(?:localhost|[0-9a-fA-F:.]{2,45})$/, "an IP address or localhost"),
      "127.0.0.1",
      "Address of this machine to listen on; beyond loopback only with `api_keys`.",
      { env: "LLOOM_GATEWAY_HOST", flag: "--host <address>", command },
    ),
    port: setting(integer(0, 65_535), 4141, "TCP port to listen on; 0 for any free one.", {
      env: "LLOOM_GATEWAY_PORT",
      flag: "--port <number>",
      command,
    }),
    apiKeys: setting(
      list(pattern(/^[\x21-\x2b\x2d-\x7e]{8,256}$/, "8 to 256 visible ASCII characters"), 64),
      [],
      "Keys of which clients must show one, as bearer token or `x-api-key`.",
      {
        env: "LLOOM_GATEWAY_KEYS",
        notInFile: "keys do not belong in a configuration file; use LLOOM_GATEWAY_KEYS",
      },
    ),
    corsOrigins: setting(
      list(pattern(/^[a-z][a-z0-9+.-]*:\/\/[^\s/,*]{1,253}$/, "an origin, scheme://host:port"), 64),
      [],
      "Origins of web pages that may use the gateway, besides its own page.",
      { flag: "--cors-origin <origin...>", command },
    ),
    allowedHosts: setting(
      list(pattern(/^[a-zA-Z0-9.:-]{1,253}$/, "a host name or an address, without port"), 64),
      [],
      "Names in the `Host` header that are answered, besides localhost and the address listened on.",
      { flag: "--allowed-host <name...>", command },
    ),
    maxBodyBytes: setting(
      integer(1024, MAX_BODY_BYTES, "bytes"),
      MAX_BODY_BYTES,
      "The longest request.",
    ),
    maxConnections: setting(integer(1, 65_536), 2048, "Connections kept at once."),
    maxConcurrentRequests: setting(
      integer(1, 65_536),
      1024,
      "Requests answered at once; further ones are told to come back later.",
    ),
    modelAliases: setting(
      textMap(256),
      {},
      "Names that clients use, each with the model to ask instead.",
      { fallbackText: "none" },
    ),
    defaultModel: setting(modelName(), undefined, "The model for requests that name none."),
    hedgeAfterMs: setting(
      integer(1, 3_600_000, "milliseconds"),
      undefined,
      "Ask the next executor too when the first is silent for so long; both may have to be paid.",
      { flag: "--hedge-after-ms <ms>", command },
    ),
    continueBroken: setting(
      flag(),
      false,
      "Have another executor continue a plain-text answer that broke off.",
      { flag: "--continue-broken", command },
    ),
    cache: {
      kind: "group",
      doc: "Answers kept for identical requests that can only have one: at temperature 0, and " +
        "embeddings.",
      table: {
        enabled: setting(flag(), false, "Keep answers, and give them again.", {
          flag: "--cache",
          command,
        }),
        maxSizeMb: setting(integer(1, 65_536, "MiB"), 256, "The most disk space for them."),
        ttlSecs: setting(integer(1, 31_536_000, "seconds"), 86_400, "How long one is kept."),
      },
    },
  },
};
