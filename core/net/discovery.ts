/** Provider records in the DHT: who can be found as what. @module */
import { sha256 } from "@noble/hashes/sha2";
import type { Libp2p, Peer, PeerUpdate } from "@libp2p/interface";
import type { QueryEvent } from "@libp2p/kad-dht";
import { CID } from "multiformats/cid";
import { create } from "multiformats/hashes/digest";
import { LloomError } from "../errors.ts";
import { MAX_PROVIDERS } from "../protocol/limits.ts";
import type { ProviderKey } from "../protocol/ids.ts";
import { usableAddresses } from "./addresses.ts";
import type { Services } from "./libp2p_config.ts";
import type { Modules } from "./modules.ts";
import type { PeerAddresses } from "./options.ts";

/** Multicodec of bytes without further meaning, and of sha-256. */
const RAW = 0x55;
const SHA2_256 = 0x12;
/** How libp2p's DHT tags the peers in its routing table. */
const DHT_PEER_TAG = "kad-peer";

function cidOf(key: ProviderKey): CID {
  return CID.createV1(RAW, create(SHA2_256, sha256(new TextEncoder().encode(key))));
}

/** Provider records, over one node's DHT. */
export class Discovery {
  readonly #libp2p: Libp2p<Services>;
  readonly #modules: Modules;
  readonly #loopbackOnly: boolean;

  constructor(libp2p: Libp2p<Services>, modules: Modules, loopbackOnly: boolean) {
    this.#libp2p = libp2p;
    this.#modules = modules;
    this.#loopbackOnly = loopbackOnly;
  }

  /**
   * Publishes that this node is to be found under a key, and again every `REPROVIDE_MS` until
   * {@linkcode Discovery.unprovide}.
   * @returns how many nodes took the record
   * @throws {LloomError} `aborted` or `timeout`, as `signal` says
   */
  async provide(key: ProviderKey, signal: AbortSignal): Promise<number> {
    let takers = 0;
    const events = this.#libp2p.services.dht.provide(cidOf(key), { signal });
    for await (const event of coded(events, signal, "provide")) {
      if (event.name === "PEER_RESPONSE" && event.messageName === "ADD_PROVIDER") takers++;
    }
    return takers;
  }

  /** Publishes no more. Records already given out expire by themselves. */
  async unprovide(key: ProviderKey): Promise<void> {
    await this.#libp2p.services.dht.cancelReprovide(cidOf(key));
  }

  /** Calls back when the DHT takes a node into its routing table. @returns a function that ends it */
  onPeer(listener: (peerId: string) => void): () => void {
    const isTagged = (peer: Peer | undefined): boolean => peer?.tags.has(DHT_PEER_TAG) ?? false;
    const listen = ({ detail: { peer, previous } }: CustomEvent<PeerUpdate>): void => {
      if (isTagged(peer) && !isTagged(previous)) listener(peer.id.toString());
    };
    this.#libp2p.addEventListener("peer:update", listen);
    return () => this.#libp2p.removeEventListener("peer:update", listen);
  }

  /**
   * Peers found under a key, each once, as they are found, up to `MAX_PROVIDERS`; this node never.
   * @param signal ends the search; without an end, one in an empty network waits for the first peer
   * @throws {LloomError} `aborted` or `timeout`, as the signal says
   */
  async *findProviders(
    key: ProviderKey,
    signal: AbortSignal,
  ): AsyncGenerator<PeerAddresses, void> {
    const found = new Set([this.#libp2p.peerId.toString()]);
    const events = this.#libp2p.services.dht.findProviders(cidOf(key), { signal });
    for await (const event of coded(events, signal, "find providers")) {
      if (event.name !== "PROVIDER") continue;
      for (const { id, multiaddrs } of event.providers) {
        const peerId = id.toString();
        const usable = usableAddresses(peerId, multiaddrs, this.#modules, this.#loopbackOnly);
        if (found.has(peerId) || usable.length === 0) continue;
        found.add(peerId);
        yield { peerId, multiaddrs: usable };
        if (found.size > MAX_PROVIDERS) return;
      }
    }
  }
}

/** A query's events, its failures coded. */
async function* coded(
  events: AsyncIterable<QueryEvent>,
  signal: AbortSignal,
  action: string,
): AsyncGenerator<QueryEvent, void> {
  try {
    yield* events;
    // An aborted query may also just end.
    signal.throwIfAborted();
  } catch (thrown) {
    throw LloomError.wrap(signal.aborted ? signal.reason : thrown, "internal", action);
  }
}
