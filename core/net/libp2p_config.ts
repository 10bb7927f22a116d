/** How libp2p is set up for Lloom. @module */
import type { GossipSub } from "@libp2p/gossipsub";
import type { PrivateKey } from "@libp2p/interface";
import type { KadDHT } from "@libp2p/kad-dht";
import type { Ping } from "@libp2p/ping";
import type { Libp2pOptions, ServiceFactoryMap } from "libp2p";
import { KAD_PROTOCOL } from "../protocol/ids.ts";
import {
  DEFAULT_MAX_CONNECTIONS,
  DIAL_TIMEOUT_MS,
  MAX_ADDRESSES_TO_DIAL,
  MAX_CONNECTIONS_PER_HOST_PER_S,
  MAX_DHT_STREAMS_PER_PEER,
  MAX_EARLY_STREAMS,
  MAX_PENDING_CONNECTIONS,
  MAX_STREAM_WINDOW_BYTES,
  MAX_STREAMS_PER_CONNECTION,
  PROVIDER_RECORD_MS,
  REPROVIDE_MS,
} from "../protocol/limits.ts";
import { loopbackGater } from "./addresses.ts";
import type { Modules } from "./modules.ts";
import { relayServer } from "./relay.ts";
import type { NodeOptions } from "./options.ts";
import { quietMuxer } from "./quiet_muxer.ts";

/** What {@linkcode LloomNode} uses of libp2p's services. */
export interface Services extends Record<string, unknown> {
  readonly dht: KadDHT;
  readonly ping: Ping;
  readonly gossip?: GossipSub;
}

/** libp2p's options for a node. */
export function libp2pConfig(
  options: NodeOptions,
  privateKey: PrivateKey,
  modules: Modules,
): Libp2pOptions<Services> {
  const { tcp, noise, yamux, webSockets, relay, mdns } = modules;
  const loopbackOnly = options.loopbackOnly ?? false;
  return {
    start: false,
    privateKey,
    datastore: new modules.datastore.BoundedDatastore({}, namesOf(privateKey, modules)),
    nodeInfo: { name: "lloom", version: "2", userAgent: "lloom/2" },
    addresses: { listen: [...options.listen], appendAnnounce: [...options.announce ?? []] },
    transports: [
      tcp.tcp(),
      ...webSockets === undefined ? [] : [webSockets.fastWebSockets()],
      ...relay === undefined ? [] : [relay.circuitRelayTransport()],
    ],
    connectionEncrypters: [noise.noise()],
    streamMuxers: [
      quietMuxer(yamux.yamux({
        maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
        maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
        maxEarlyStreams: MAX_EARLY_STREAMS,
        streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES },
      })),
    ],
    connectionManager: {
      maxConnections: options.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING_CONNECTIONS,
      inboundConnectionThreshold: MAX_CONNECTIONS_PER_HOST_PER_S,
      maxPeerAddrsToDial: MAX_ADDRESSES_TO_DIAL,
      dialTimeout: DIAL_TIMEOUT_MS,
      // To resolve a name is to ask another machine.
      ...loopbackOnly && { resolvers: {} },
    },
    // A busy machine answers a ping late: that is no reason to cut the answers under way.
    connectionMonitor: { abortConnectionOnPingFailure: false },
    ...loopbackOnly && { connectionGater: loopbackGater },
    ...mdns !== undefined && { peerDiscovery: [mdns.mdns()] },
    services: services(options, modules),
  };
}

/** How libp2p names this node in its datastore: as a provider, and as a peer. */
function namesOf(privateKey: PrivateKey, { peerId }: Modules): string[] {
  const self = peerId.peerIdFromPrivateKey(privateKey);
  return [self.toString(), self.toCID().toString()];
}

function services(options: NodeOptions, modules: Modules): ServiceFactoryMap<Services> {
  const { identify, ping, dht, gossip, relay, dcutr } = modules;
  return {
    identify: identify.identify(),
    identifyPush: identify.identifyPush(),
    ping: ping.ping(),
    dht: dht.kadDHT({
      protocol: KAD_PROTOCOL,
      clientMode: options.dht !== "server",
      maxInboundStreams: MAX_DHT_STREAMS_PER_PEER,
      // Networks on one machine or behind one router are networks too.
      peerInfoMapper: dht.passthroughMapper,
      reprovide: {
        validity: PROVIDER_RECORD_MS,
        interval: REPROVIDE_MS,
        threshold: PROVIDER_RECORD_MS,
      },
    }),
    ...gossip !== undefined && { gossip: gossip.announcementGossip() },
    ...relay !== undefined && options.relay === "server" && {
      relay: relayServer(relay),
    },
    ...dcutr !== undefined && { dcutr: dcutr.dcutr() },
  };
}
