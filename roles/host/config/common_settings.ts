/** The settings that every role has, and those that every peer has. @module */
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { type Address, ZERO_ADDRESS } from "@lloom/core/bytes";
import {
  address,
  flag,
  type Group,
  integer,
  list,
  listenAddress,
  multiaddr,
  oneOf,
  pattern,
  setting,
  text,
} from "./setting.ts";

/** The roles a node can have. */
export type RoleName = "client" | "executor" | "validator" | "faucet";

/** Severity below which log records are dropped. */
export type LogLevel = "trace" | "debug" | "info" | "warning" | "error" | "fatal";

/** `[network]` */
export interface NetworkConfig {
  /** Multiaddrs to join through. */
  readonly bootstrapNodes: readonly string[];
  /** Never empty for a role that listens: {@linkcode NetworkConfig.port} gives the default. */
  readonly listenAddresses: readonly string[];
  /** Multiaddrs to announce besides those that are found. */
  readonly externalAddresses: readonly string[];
  /** TCP port to listen on, where no listen address is named. */
  readonly port: number;
  /** Whether peers are looked for on the local network. */
  readonly enableMdns: boolean;
  /** Whether the node relays, or is reached through relays. */
  readonly enableRelay: boolean;
  /** Connections at once. */
  readonly maxConnections: number;
}

/** `[identity]` */
export interface IdentityConfig {
  /** Hex text, from the environment or a flag only. */
  readonly privateKey: string | undefined;
  /** The key's file; absent: `identity.key` in the data directory. */
  readonly privateKeyPath: string | undefined;
  /** Whether a key is made where there is no file. */
  readonly generateIfMissing: boolean;
}

/** `[logging]` */
export interface LoggingConfig {
  /** Records below it are dropped. */
  readonly level: LogLevel;
  /** How records are written. */
  readonly format: "text" | "json";
  /** Where they are written; absent: standard error. */
  readonly file: string | undefined;
}

/** `[storage]` */
export interface StorageConfig {
  /** Absolute, or relative to the working directory. */
  readonly dataDir: string;
}

/** `[blockchain]` */
export interface BlockchainConfig {
  /** URLs of nodes of the chain, in order of preference; empty on a network without a chain. */
  readonly rpcUrls: readonly string[];
  /** Number of the chain, as in EIP-155; absent where there is no chain. */
  readonly chainId: number | undefined;
  /** Address of `LloomChannels`, lower-case. */
  readonly contractAddress: Address;
  /** The ERC-20 token that is paid with, lower-case; zero for the chain's native coin. */
  readonly asset: Address;
  /** How people call the native coin. */
  readonly coin: string;
  /** Blocks from the one with a transaction on, that one included, until it counts as final. */
  readonly confirmations: number;
  /** Between two looks at the chain while something is awaited, in milliseconds. */
  readonly pollMs: number;
  /** The most that is paid for a unit of gas, in gwei: above it, transactions wait. */
  readonly maxFeePerGas: number;
}

/** What every role's configuration has. */
export interface CommonConfig {
  /** `[identity]` */
  readonly identity: IdentityConfig;
  /** `[logging]` */
  readonly logging: LoggingConfig;
  /** `[storage]` */
  readonly storage: StorageConfig;
  /** `[blockchain]` */
  readonly blockchain: BlockchainConfig;
}

/** What the configuration of a role that is a peer has besides. */
export interface PeerConfig extends CommonConfig {
  /** `[network]` */
  readonly network: NetworkConfig;
}

/** What differs between roles in the common settings. */
export interface CommonDefaults {
  /** Least severe log record shown by default: a command's output should not drown in its log. */
  readonly logLevel: LogLevel;
}

/** What differs between roles that are peers in the settings of the network. */
export interface NetworkDefaults {
  /** TCP port to listen on by default; undefined for a role that does not listen. */
  readonly port: number | undefined;
  /** The flag that sets the port. @default `--port <number>` */
  readonly portFlag?: string;
  /** Connections at once by default. */
  readonly maxConnections: number;
  /** Whether the role takes part in relaying by default. */
  readonly relay: boolean;
}

/** A path that need not exist yet. */
const PATH = text(4096, "a path");

/** `[network]`, with one role's defaults. */
export function networkSettings(defaults: NetworkDefaults): Group<NetworkConfig> {
  return {
    kind: "group",
    doc: "How this node reaches others, and they it.",
    table: {
      bootstrapNodes: setting(
        list(multiaddr(), 64),
        [],
        "Nodes to join the network through. `/p2p/<PeerId>` at the end pins who answers there.",
        { env: "LLOOM_BOOTSTRAP_NODES", flag: "--bootstrap-nodes <multiaddr...>" },
      ),
      listenAddresses: setting(
        list(listenAddress(), 16),
        [],
        "Where to accept connections; `/p2p-circuit` alone, to be reached through relays only.",
        {
          env: "LLOOM_LISTEN_ADDRESS",
          flag: "--listen <multiaddr...>",
          alias: "listen_address",
          fallbackText: defaults.port === undefined ? "does not listen" : "/ip4/0.0.0.0/tcp/<port>",
        },
      ),
      externalAddresses: setting(
        list(multiaddr(), 16),
        [],
        "Addresses to announce besides those found, such as one a router forwards.",
        {
          env: "LLOOM_EXTERNAL_ADDRESS",
          flag: "--external-addr <multiaddr...>",
          alias: "external_address",
        },
      ),
      port: setting(
        integer(0, 65_535),
        defaults.port ?? 0,
        "TCP port to listen on, if no listen address is given; 0 for any free one.",
        { env: "LLOOM_PORT", flag: defaults.portFlag ?? "--port <number>" },
      ),
      enableMdns: setting(flag(), false, "Find nodes on the local network by multicast DNS.", {
        env: "LLOOM_ENABLE_MDNS",
      }),
      enableRelay: setting(
        flag(),
        defaults.relay,
        "Use circuit relays, so that nodes behind a router can be reached; a validator serves as one.",
        { env: "LLOOM_ENABLE_RELAY" },
      ),
      maxConnections: setting(
        integer(1, 100_000),
        defaults.maxConnections,
        "Connections kept at once; further ones are refused.",
      ),
    },
  };
}

/** The common tables of one role. */
export type CommonTable = { readonly [K in keyof CommonConfig]: Group<CommonConfig[K]> };

/** The settings that every role has, with one role's defaults. */
export function commonSettings(defaults: CommonDefaults): CommonTable {
  const identity: Group<IdentityConfig> = {
    kind: "group",
    doc: "The key that is both this node's PeerId and its Ethereum address.",
    table: {
      privateKey: setting(
        pattern(/^(?:0x)?[0-9a-fA-F]{64}$/, "64 hexadecimal digits"),
        undefined,
        "The private key itself. Prefer a key file: other users of the machine can see flags.",
        {
          env: "LLOOM_PRIVATE_KEY",
          flag: "--private-key <hex>",
          notInFile: "a key does not belong in a configuration file; name its file instead",
        },
      ),
      privateKeyPath: setting(
        PATH,
        undefined,
        "File with the private key in hexadecimal, readable by its owner alone.",
        {
          env: "LLOOM_IDENTITY_PATH",
          flag: "--private-key-file <file>",
          fallbackText: "<data_dir>/identity.key",
        },
      ),
      generateIfMissing: setting(flag(), true, "Write a new key to that file if there is none.", {
        env: "LLOOM_GENERATE_IDENTITY",
        alias: "auto_generate",
      }),
    },
  };
  const logging: Group<LoggingConfig> = {
    kind: "group",
    doc: "The log goes to standard error. It never holds prompts, answers or keys.",
    table: {
      level: setting(
        oneOf<LogLevel>(["trace", "debug", "info", "warning", "error", "fatal"], {
          warn: "warning",
        }),
        defaults.logLevel,
        "Least severe record shown. `--debug` is short for `debug`.",
        { env: "LLOOM_LOG_LEVEL", flag: "--log-level <level>" },
      ),
      format: setting(
        oneOf(["text", "json"] as const),
        "text",
        "Text for people, or one JSON object a line.",
        { env: "LLOOM_LOG_FORMAT", flag: "--log-format <format>" },
      ),
      file: setting(PATH, undefined, "Append the log to this file instead.", {
        env: "LLOOM_LOG_FILE",
        flag: "--log-file <file>",
        fallbackText: "standard error",
      }),
    },
  };
  const blockchain: Group<BlockchainConfig> = {
    kind: "group",
    doc:
      "The chain that payments settle on. Without `rpc_urls` there is none, and nothing is paid.",
    table: {
      rpcUrls: setting(
        list(
          pattern(/^(?:https?|wss?):\/\/[^\s,]{1,2040}$/, "an http, https, ws or wss URL"),
          8,
        ),
        [],
        "JSON-RPC endpoints of the chain, in order of preference.",
        { env: "LLOOM_RPC_URL", flag: "--rpc-url <url...>", alias: "rpc_url" },
      ),
      chainId: setting(
        integer(1, Number.MAX_SAFE_INTEGER),
        undefined,
        "Chain id; required with `rpc_urls`, and every endpoint must be of this chain.",
        { env: "LLOOM_CHAIN_ID", flag: "--chain-id <number>" },
      ),
      contractAddress: setting(
        address(),
        LLOOM_CHANNELS_ADDRESS.toLowerCase() as Address,
        "Address of the payment contract.",
        { env: "LLOOM_CONTRACT_ADDRESS", flag: "--contract-address <address>" },
      ),
      asset: setting(
        address(),
        ZERO_ADDRESS,
        "The ERC-20 token to pay with.",
        { env: "LLOOM_ASSET", flag: "--asset <address>", fallbackText: "the chain's native coin" },
      ),
      coin: setting(
        pattern(/^[A-Za-z]{1,16}$/, "1 to 16 letters"),
        "ETH",
        "How the chain's native coin is called, for display.",
      ),
      confirmations: setting(
        integer(1, 1000, "blocks"),
        3,
        "Blocks until a transaction counts as final, its own included; 1 for a chain of tests.",
        { env: "LLOOM_CONFIRMATIONS" },
      ),
      pollMs: setting(
        integer(10, 600_000, "milliseconds"),
        1000,
        "Time between two looks at the chain while something is awaited there.",
      ),
      maxFeePerGas: setting(
        integer(1, 1_000_000, "gwei"),
        500,
        "The most that is paid for a unit of gas, in gwei; while it costs more, transactions wait.",
        { env: "LLOOM_MAX_FEE_PER_GAS" },
      ),
    },
  };
  return {
    identity,
    logging,
    storage: {
      kind: "group",
      doc: "What this node keeps on disk.",
      table: {
        // The default needs the home directory, which only `loadConfig` may look up.
        dataDir: setting(PATH, "", "Directory for the key, the databases and `config.toml`.", {
          env: "LLOOM_DATA_DIR",
          flag: "--data-dir <dir>",
          fallbackText: "~/.lloom/<role>",
        }),
      },
    },
    blockchain,
  };
}

/** The rule of `[blockchain]`, for a role's `check`. */
export function checkBlockchain(
  { blockchain }: CommonConfig,
  refuse: (key: string, problem: string) => never,
): void {
  if (blockchain.rpcUrls.length > 0 && blockchain.chainId === undefined) {
    refuse("blockchain.chain_id", "must be given with blockchain.rpc_urls");
  }
}

/** A configuration that says where to listen, if only by its port. */
export function withListenAddress<T extends PeerConfig>(config: T): T {
  if (config.network.listenAddresses.length > 0) return config;
  const listenAddresses = [`/ip4/0.0.0.0/tcp/${config.network.port}`];
  return { ...config, network: { ...config.network, listenAddresses } };
}
