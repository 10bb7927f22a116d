/** What a node is told when it is made. @module */
import type { Clock } from "../ports.ts";
import type { ByteBudget } from "./byte_budget.ts";

/** How a node takes part in the network. */
export interface NodeOptions {
  /** Addresses to listen on. `/p2p-circuit` asks a relay among the peers for one (`relay: "client"`). */
  readonly listen: readonly string[];
  /** Addresses to announce besides those listened on, where others see this node elsewhere. @default none */
  readonly announce?: readonly string[];
  /** Nodes to dial first; a `/p2p/…` at the end is not needed. @default none */
  readonly bootstrap?: readonly string[];
  /** Whether this node answers the questions of others. @default "client" */
  readonly dht?: "server" | "client";
  /** `server` carries others' connections; `client` reaches peers, and may be reached, through servers. @default "none" */
  readonly relay?: "server" | "client" | "none";
  /** Dials and listens on WebSockets besides TCP. @default true */
  readonly webSockets?: boolean;
  /** Finds nodes on the local network. @default false */
  readonly mdns?: boolean;
  /** Hears, forwards and publishes announcements. @default false */
  readonly gossip?: boolean;
  /** Never dials, nor accepts a connection from, another machine. @default false */
  readonly loopbackOnly?: boolean;
  /** Connections at once, in both directions. @default DEFAULT_MAX_CONNECTIONS */
  readonly maxConnections?: number;
}

/** What a node works with. */
export interface NodeComponents {
  /** 32 bytes: the secp256k1 key that PeerId and Ethereum address follow from. */
  readonly privateKey: Uint8Array;
  /** Times the attempts to reach bootstrap nodes. */
  readonly clock: Clock;
  /** What large messages from peers are counted in until they are whole. @default what this process' nodes share */
  readonly budget?: ByteBudget;
}

/**
 * Judges an announcement before it is forwarded: `ignore` drops it, `reject` also counts against
 * the peer it came from.
 * @param from who passed it on, which need not be who made it
 */
export type AnnouncementValidator = (
  announcement: Uint8Array,
  from: string,
) => Verdict | Promise<Verdict>;

/** What to do with an announcement. */
export type Verdict = "accept" | "ignore" | "reject";

/** A peer, and where it may be reached. */
export interface PeerAddresses {
  /** Who. */
  readonly peerId: string;
  /** Where. */
  readonly multiaddrs: readonly string[];
}

/** One connection, for people to look at. */
export interface ConnectionInfo {
  /** Who is at the other end. */
  readonly peerId: string;
  /** The multiaddr of the other end. */
  readonly remoteAddress: string;
  /** Which side dialled: `inbound` if the other. */
  readonly direction: "inbound" | "outbound";
  /** Through a relay, with its limits on bytes and time. */
  readonly limited: boolean;
}
