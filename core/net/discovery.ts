/** Provider records in the DHT: who can be found as what. @module */
import { sha256 } from "@noble/hashes/sha2";
import type { KadDHT, QueryEvent } from "@libp2p/kad-dht";
import { CID } from "multiformats/cid";
import { create } from "multiformats/hashes/digest";
import { LloomError } from "../errors.ts";
import { MAX_PROVIDERS } from "../protocol/limits.ts";
import type { ProviderKey } from "../protocol/ids.ts";
import { usableAddresses } from "./addresses.ts";
import type { Modules } from "./modules.ts";
import type { PeerAddresses } from "./options.ts";

/** Multicodec of bytes without further meaning, and of sha-256. */
const RAW = 0x55;
const SHA2_256 = 0x12;

function cidOf(key: ProviderKey): CID {
  return CID.createV1(RAW, create(SHA2_256, sha256(new TextEncoder().encode(key))));
}

/** Provider records, over one node's DHT. */
export class Discovery {
  readonly #dht: KadDHT;
  readonly #modules: Modules;
  readonly #self: string;
  readonly #loopbackOnly: boolean;

  constructor(dht: KadDHT, modules: Modules, self: string, loopbackOnly: boolean) {
    this.#dht = dht;
    this.#modules = modules;
    this.#self = self;
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
    for await (const event of coded(this.#dht.provide(cidOf(key), { signal }), signal, "provide")) {
      if (event.name === "PEER_RESPONSE" && event.messageName === "ADD_PROVIDER") takers++;
    }
    return takers;
  }

  /** Publishes no more. Records already given out expire by themselves. */
  async unprovide(key: ProviderKey): Promise<void> {
    await this.#dht.cancelReprovide(cidOf(key));
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
    const found = new Set([this.#self]);
    const events = this.#dht.findProviders(cidOf(key), { signal });
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
