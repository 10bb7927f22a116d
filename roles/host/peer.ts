/** What every role is at heart: an identity, crypto workers, and a node of the network. @module */
import type { Identity } from "@lloom/core/identity";
import { areLoopback, createNode, type LloomNode } from "@lloom/core/net";
import type { Clock } from "@lloom/core/ports";
import type { SigningDomain } from "@lloom/core/signing";
import { type CryptoWorkers, startCryptoWorkers } from "@lloom/workers/crypto";
import { systemClock } from "./clock.ts";
import type { NetworkConfig } from "./config/common_settings.ts";

/** Listens at whatever relay is found. */
const RELAYED = "/p2p-circuit";

/** How a role takes part in the network. */
export interface PeerOptions {
  /** Where it listens, and how it joins. */
  readonly network: NetworkConfig;
  /** Whether it keeps the DHT's records, or only asks. */
  readonly dht: "server" | "client";
  /** Whether it relays for others, or is reached through relays. */
  readonly relay: "server" | "client";
  /** Whether it hears, forwards and publishes announcements. */
  readonly gossip: boolean;
  /** Whether workers run with no permissions but those that each needs. */
  readonly sandboxWorkers: boolean;
  /** Where its payments count; absent without a chain. */
  readonly payment?: SigningDomain;
}

/** A running peer. */
export interface Peer {
  /** Who it is. */
  readonly identity: Identity;
  /** Where its payments count; absent without a chain. */
  readonly paymentDomain?: SigningDomain;
  /** The system's. */
  readonly clock: Clock;
  /** Signs and checks in workers. */
  readonly crypto: CryptoWorkers;
  /** Its node. */
  readonly node: LloomNode;
  /** Ends the node, then the workers. */
  stop(): Promise<void>;
}

/** Makes a peer; its node is not yet started, so that protocols can be registered first. */
export async function createPeer(identity: Identity, options: PeerOptions): Promise<Peer> {
  const { network, sandboxWorkers, payment } = options;
  // The workers start while libp2p loads.
  const crypto = startCryptoWorkers({
    identity,
    sandbox: sandboxWorkers,
    ...(payment && { payment }),
  });
  const relay = network.enableRelay ? options.relay : "none";
  try {
    const node = await createNode({
      listen: [
        ...new Set([
          ...network.listenAddresses,
          ...(relay === "client" && network.listenAddresses.length > 0 ? [RELAYED] : []),
        ]),
      ],
      announce: network.externalAddresses,
      bootstrap: network.bootstrapNodes,
      dht: options.dht,
      relay,
      mdns: network.enableMdns,
      gossip: options.gossip,
      loopbackOnly: await namesLoopbackOnly(network),
      maxConnections: network.maxConnections,
    }, { privateKey: identity.exportPrivateKey(), clock: systemClock });
    return {
      identity,
      ...(payment && { paymentDomain: payment }),
      clock: systemClock,
      crypto,
      node,
      async stop() {
        await node.stop();
        crypto.stop();
      },
    };
  } catch (error) {
    crypto.stop();
    throw error;
  }
}

/** No node dials beyond its own machine unless its user names an address there, or asks for mDNS. */
async function namesLoopbackOnly(network: NetworkConfig): Promise<boolean> {
  const { bootstrapNodes, listenAddresses, externalAddresses, enableMdns } = network;
  const named = [...bootstrapNodes, ...listenAddresses, ...externalAddresses];
  return !enableMdns && await areLoopback(named.filter((address) => address !== RELAYED));
}
