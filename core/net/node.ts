/** A node of the network. @module */
import type { Connection, Libp2p, PeerId, PrivateKey, Stream } from "@libp2p/interface";
import type { Subscription, SubscriptionChangeData } from "@libp2p/gossipsub";
import { getLogger } from "@logtape/logtape";
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { addressOfPeerId } from "../identity/mod.ts";
import { ANNOUNCEMENTS_TOPIC, type ProviderKey } from "../protocol/ids.ts";
import {
  DEFAULT_MAX_CONNECTIONS,
  MAX_SIGNED_ANNOUNCEMENT_BYTES,
  MAX_STREAMS_PER_PEER,
} from "../protocol/limits.ts";
import { isLoopback, parseAddress, usableAddresses } from "./addresses.ts";
import { Bootstrapper } from "./bootstrap.ts";
import { type ByteBudget, INBOUND_BUDGET } from "./byte_budget.ts";
import { withDeadline } from "./deadline.ts";
import { Discovery } from "./discovery.ts";
import { FrameStream } from "./frame_stream.ts";
import { libp2pConfig, type Services } from "./libp2p_config.ts";
import { loadModules, type Modules } from "./modules.ts";
import { answerPings } from "./pong.ts";
import type {
  AnnouncementValidator,
  ConnectionInfo,
  NodeComponents,
  NodeOptions,
  PeerAddresses,
} from "./options.ts";

const log = getLogger(["lloom", "net"]);

/** How long connections may take to close in order when the node stops. */
const STOP_TIMEOUT_MS = 500;

/** Who opened a stream to us. */
export interface RemotePeer {
  /** Proved by the connection's handshake. */
  readonly peerId: string;
  /** The Ethereum address of the same key. */
  readonly address: Address;
}

/** Serves one stream. The stream is closed when it returns, and aborted if it throws. */
export type StreamHandler = (stream: FrameStream, peer: RemotePeer) => Promise<void>;

/** What is accepted on a protocol. */
export interface HandleOptions {
  /** Streams that one connection may have open at once. @default MAX_STREAMS_PER_PEER */
  readonly maxInboundStreams?: number;
  /** Largest message accepted. */
  readonly maxFrameBytes: number;
}

/** How a stream is opened. */
export interface OpenOptions {
  /** Gives up opening it. */
  readonly signal?: AbortSignal;
  /** Largest message accepted. */
  readonly maxFrameBytes: number;
}

/** A peer to reach; without addresses, those already known are used, and the DHT is asked. */
export type PeerTarget = { readonly peerId: string; readonly multiaddrs?: readonly string[] };

/**
 * Makes a node, not yet started.
 * @throws {LloomError} `config_invalid`, `identity_invalid`
 */
export async function createNode(
  options: NodeOptions,
  components: NodeComponents,
): Promise<LloomNode> {
  const relay = options.relay ?? "none";
  const loopbackOnly = options.loopbackOnly ?? false;
  const modules = await loadModules({
    webSockets: options.webSockets ?? true,
    gossip: options.gossip ?? false,
    relay: relay !== "none",
    dcutr: relay === "client" && !loopbackOnly,
    mdns: options.mdns ?? false,
  });
  checkOptions(options, modules);
  const key = privateKey(components.privateKey, modules);
  return new LloomNode(
    await modules.libp2p.createLibp2p<Services>(libp2pConfig(options, key, modules)),
    options,
    modules,
    components,
  );
}

function privateKey(raw: Uint8Array, { keys }: Modules): PrivateKey {
  try {
    return keys.privateKeyFromRaw(raw);
  } catch (cause) {
    throw new LloomError("identity_invalid", "make node: not a secp256k1 key", { cause });
  }
}

function checkOptions(options: NodeOptions, modules: Modules): void {
  const addresses = [options.listen, options.announce ?? [], options.bootstrap ?? []]
    .flat().map((text) => parseAddress(text, modules));
  if (options.loopbackOnly !== true) return;
  if (options.mdns === true) {
    throw new LloomError("config_invalid", "make node: mdns speaks to other machines");
  }
  for (const address of addresses) {
    if (isLoopback(address) || address.toString() === "/p2p-circuit") continue;
    throw new LloomError("config_invalid", "make node: an address is not on this machine");
  }
}

/** A node of the network: connections, streams, gossip and provider records. */
export class LloomNode {
  /** This node's PeerId. */
  readonly peerId: string;
  /** The Ethereum address of this node's key. */
  readonly address: Address;
  readonly #libp2p: Libp2p<Services>;
  readonly #modules: Modules;
  readonly #listen: readonly string[];
  readonly #loopbackOnly: boolean;
  readonly #maxConnections: number;
  readonly #budget: ByteBudget;
  readonly #bootstrapper: Bootstrapper;
  readonly #discovery: Discovery;

  /** @ignore Made by {@linkcode createNode}. */
  constructor(
    libp2p: Libp2p<Services>,
    options: NodeOptions,
    modules: Modules,
    { clock, budget = INBOUND_BUDGET }: Omit<NodeComponents, "privateKey">,
  ) {
    this.#budget = budget;
    this.#libp2p = libp2p;
    this.#modules = modules;
    this.#listen = options.listen;
    this.#loopbackOnly = options.loopbackOnly ?? false;
    this.#maxConnections = options.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
    this.peerId = libp2p.peerId.toString();
    this.address = addressOfPeerId(this.peerId);
    this.#discovery = new Discovery(libp2p, modules, this.#loopbackOnly);
    this.#bootstrapper = new Bootstrapper(options.bootstrap ?? [], {
      clock,
      dial: (address, signal) => this.dial(address, signal),
      isConnected: () => libp2p.getConnections().length > 0,
    });
    this.onPeerDisconnected(() => this.#bootstrapper.onDisconnected());
    // Nothing is forwarded that nobody has judged.
    this.onAnnouncement(() => "ignore");
  }

  /** Listens, and dials the bootstrap nodes without waiting for them. @throws {LloomError} `config_invalid` if it cannot listen */
  async start(): Promise<void> {
    try {
      await this.#libp2p.start();
      await answerPings(this.#libp2p);
    } catch (cause) {
      if (!(cause instanceof Error && cause.name === "UnsupportedListenAddressesError")) {
        throw LloomError.wrap(cause, "config_invalid", "start node");
      }
      // libp2p's own message is advice on its settings, with a stack for each address.
      const state = `cannot listen on ${this.#listen.join(", ")}: the address is in use, or not ` +
        "this machine's; choose another port, or address with --listen";
      throw new LloomError("config_invalid", `start node: ${state}`, { cause });
    }
    this.#libp2p.services.gossip?.subscribe(ANNOUNCEMENTS_TOPIC);
    this.#bootstrapper.start();
    log.info("node {peerId} listens on {addresses}", {
      peerId: this.peerId,
      addresses: this.multiaddrs(),
    });
  }

  /**
   * Closes all connections and listeners. A peer that does not answer is not waited for long.
   * libp2p leaves timers behind that keep a process from ending by itself: of one second, and of ten
   * after answering as a DHT server.
   */
  async stop(): Promise<void> {
    await this.#bootstrapper.stop();
    // libp2p would close them too, but leaves a running timer for each.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), STOP_TIMEOUT_MS);
    const { signal } = late;
    try {
      const peers = this.#libp2p.getPeers();
      await Promise.all(peers.map((peer) => this.#libp2p.hangUp(peer, { signal })));
    } finally {
      clearTimeout(timer);
      await this.#libp2p.stop();
    }
  }

  /** Where this node may be reached, each with its PeerId. */
  multiaddrs(): string[] {
    return this.#libp2p.getMultiaddrs().map((address) => address.toString());
  }

  /** Serves a protocol. Peers whose key is not secp256k1, which have no Ethereum address, are refused. */
  async handle(protocol: string, handler: StreamHandler, options: HandleOptions): Promise<void> {
    const { maxFrameBytes, maxInboundStreams = MAX_STREAMS_PER_PEER } = options;
    await this.#libp2p.handle(protocol, (stream, connection) => {
      void this.#serve(stream, connection.remotePeer, handler, maxFrameBytes);
    }, {
      maxInboundStreams,
      maxOutboundStreams: MAX_STREAMS_PER_PEER,
      runOnLimitedConnection: true,
    });
  }

  /**
   * Opens a stream, over a connection that exists or a new one.
   * @throws {LloomError} `peer_unreachable`; `overloaded` with too many streams open to that peer;
   * `identity_invalid` for a peer without an Ethereum address; `aborted` or `timeout`
   */
  async openStream(
    peer: PeerTarget,
    protocol: string,
    options: OpenOptions,
  ): Promise<FrameStream> {
    addressOfPeerId(peer.peerId);
    return await withDeadline(options.signal, "open stream", async (signal) => {
      const connection = await this.#connect(peer, signal);
      const stream = await connection.newStream(protocol, {
        signal,
        maxOutboundStreams: MAX_STREAMS_PER_PEER,
        runOnLimitedConnection: true,
      });
      const { maxFrameBytes } = options;
      return new FrameStream(stream, { maxFrameBytes, remotePeer: peer.peerId });
    });
  }

  /**
   * Connects to an address, or to a peer.
   * @returns the PeerId at the other end
   * @throws {LloomError} `peer_unreachable`, `config_invalid` for a malformed address, `aborted` or `timeout`
   */
  async dial(target: string | PeerTarget, signal?: AbortSignal): Promise<string> {
    const address = typeof target === "string" ? parseAddress(target, this.#modules) : undefined;
    return await withDeadline(signal, "dial", async (signal) => {
      const connection = typeof target === "string"
        ? await this.#libp2p.dial(address!, { signal })
        : await this.#connect(target, signal);
      return connection.remotePeer.toString();
    });
  }

  /** {@linkcode Discovery.provide} */
  provide(key: ProviderKey, signal: AbortSignal): Promise<number> {
    return this.#discovery.provide(key, signal);
  }

  /** {@linkcode Discovery.unprovide} */
  unprovide(key: ProviderKey): Promise<void> {
    return this.#discovery.unprovide(key);
  }

  /** {@linkcode Discovery.findProviders} */
  findProviders(key: ProviderKey, signal: AbortSignal): AsyncIterable<PeerAddresses> {
    return this.#discovery.findProviders(key, signal);
  }

  /** {@linkcode Discovery.onPeer} */
  onDhtPeer(listener: (peerId: string) => void): () => void {
    return this.#discovery.onPeer(listener);
  }

  /**
   * Gossips an announcement.
   * @returns to how many peers it went at once; with 0, nobody heard it
   * @throws {LloomError} `frame_too_large`; `config_invalid` on a node without gossip
   */
  async publish(announcement: Uint8Array): Promise<number> {
    const { gossip } = this.#libp2p.services;
    if (gossip === undefined) throw new LloomError("config_invalid", "publish: gossip is off");
    if (announcement.length > MAX_SIGNED_ANNOUNCEMENT_BYTES) {
      throw new LloomError(
        "frame_too_large",
        `publish: above ${MAX_SIGNED_ANNOUNCEMENT_BYTES} bytes`,
      );
    }
    return (await gossip.publish(ANNOUNCEMENTS_TOPIC, announcement)).recipients.length;
  }

  /** Sets who judges announcements of others. Until then all are ignored. Does nothing on a node without gossip. */
  onAnnouncement(validator: AnnouncementValidator): void {
    const { gossip } = this.#libp2p.services;
    if (gossip !== undefined) {
      this.#modules.gossip?.validateGossip(gossip, validator, this.#maxConnections);
    }
  }

  /** Peers that would hear an announcement now. */
  announcementPeers(): string[] {
    const { gossip } = this.#libp2p.services;
    return gossip?.getSubscribers(ANNOUNCEMENTS_TOPIC).map((id) => id.toString()) ?? [];
  }

  /** Calls back when a peer begins to hear announcements. @returns a function that ends it */
  onAnnouncementPeer(listener: (peerId: string) => void): () => void {
    const { gossip } = this.#libp2p.services;
    const listen = ({ detail }: CustomEvent<SubscriptionChangeData>): void => {
      const here = ({ topic, subscribe }: Subscription) =>
        topic === ANNOUNCEMENTS_TOPIC && subscribe;
      if (detail.subscriptions.some(here)) listener(detail.peerId.toString());
    };
    gossip?.addEventListener("subscription-change", listen);
    return () => gossip?.removeEventListener("subscription-change", listen);
  }

  /** All connections. */
  connections(): ConnectionInfo[] {
    return this.#libp2p.getConnections().map((connection) => ({
      peerId: connection.remotePeer.toString(),
      remoteAddress: connection.remoteAddr.toString(),
      direction: connection.direction,
      limited: connection.limits !== undefined,
    }));
  }

  /** Calls back when the first connection to a peer opens. @returns a function that ends it */
  onPeerConnected(listener: (peerId: string) => void): () => void {
    return this.#on("peer:connect", listener);
  }

  /** Calls back when the last connection to a peer is gone. @returns a function that ends it */
  onPeerDisconnected(listener: (peerId: string) => void): () => void {
    return this.#on("peer:disconnect", listener);
  }

  /** Calls back when this node's own addresses change, as when a relay is found. @returns a function that ends it */
  onAddressesChanged(listener: () => void): () => void {
    this.#libp2p.addEventListener("self:peer:update", listener);
    return () => this.#libp2p.removeEventListener("self:peer:update", listener);
  }

  #on(type: "peer:connect" | "peer:disconnect", listener: (peerId: string) => void): () => void {
    const listen = (event: CustomEvent<PeerId>): void => listener(event.detail.toString());
    this.#libp2p.addEventListener(type, listen);
    return () => this.#libp2p.removeEventListener(type, listen);
  }

  async #serve(
    stream: Stream,
    remote: PeerId,
    handler: StreamHandler,
    maxFrameBytes: number,
  ): Promise<void> {
    const peerId = remote.toString();
    let frames: FrameStream | undefined;
    try {
      const address = addressOfPeerId(peerId);
      const account = this.#budget.account(address);
      frames = new FrameStream(stream, { maxFrameBytes, remotePeer: peerId, account });
      await handler(frames, { peerId, address });
      await frames.close();
    } catch (thrown) {
      const error = LloomError.wrap(thrown);
      (frames ?? stream).abort(error);
      const level = error.code === "internal" ? "error" : "debug";
      log[level]("serve stream of {peerId}: {code}", { peerId, code: error.code, error });
    }
  }

  async #connect(peer: PeerTarget, signal: AbortSignal): Promise<Connection> {
    const id = this.#parsePeerId(peer.peerId);
    const open = this.#libp2p.getConnections(id).filter(({ status }) => status === "open");
    const existing = open.find(({ limits }) => limits === undefined) ?? open[0];
    if (existing !== undefined) return existing;
    const { multiaddr } = this.#modules.multiaddr;
    const known = usableAddresses(
      peer.peerId,
      peer.multiaddrs ?? [],
      this.#modules,
      this.#loopbackOnly,
    );
    const addresses = known.map((one) => multiaddr(one));
    if (addresses.length > 0) await this.#libp2p.peerStore.merge(id, { multiaddrs: addresses });
    // Without any peer, the DHT would wait for one to ask.
    if (this.#libp2p.getConnections().length === 0 && !await this.#libp2p.peerStore.has(id)) {
      throw new LloomError("peer_unreachable", "dial: no address is known, and nobody to ask");
    }
    return await this.#libp2p.dial(id, { signal });
  }

  #parsePeerId(text: string): PeerId {
    try {
      return this.#modules.peerId.peerIdFromString(text);
    } catch (cause) {
      throw new LloomError("identity_invalid", "read peer id: malformed", { cause });
    }
  }
}
