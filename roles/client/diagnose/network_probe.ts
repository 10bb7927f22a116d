/** A node that looks at the network itself: who can be reached, who answers, and what they say. @module */
import { LloomError } from "@lloom/core/errors";
import type { Identity } from "@lloom/core/identity";
import type { PeerTarget } from "@lloom/core/net";
import {
  type Announcement,
  decodeAnnouncement,
  MAX_ANSWER_BYTES,
  REGISTRY_PROTOCOL,
  roleKey,
} from "@lloom/core/protocol";
import { queryPages, verifyAnnouncement } from "@lloom/core/registry";
import type { NetworkConfig } from "@lloom/host/config";
import { createPeer, type Peer } from "@lloom/host/peer";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["lloom", "probe"]);

/** How long one peer may take to be reached, and to answer. */
const ANSWER_MS = 5_000;
/** How long the DHT is asked for executors that no peer names. */
const DHT_MS = 3_000;
/** Executors that are looked at: enough to tell how the network is. */
const MAX_LOOKED_AT = 500;
/** Signatures that are checked at once. */
const AT_ONCE = 32;

/** A bootstrap node that was dialled. */
export interface Dialled {
  /** As the settings name it. */
  readonly address: string;
  /** How long it took, in milliseconds. */
  readonly ms: number;
  /** Why it was not reached; absent if it was. */
  readonly error?: LloomError;
}

/** A peer that this node is connected to. */
export interface ConnectedPeer {
  /** Who. */
  readonly peerId: string;
  /** Its multiaddr. */
  readonly address: string;
  /** Whether the connection goes through a relay. */
  readonly relayed: boolean;
}

/** A peer that was asked which executors it knows. */
export interface AskedPeer {
  /** Who. */
  readonly peerId: string;
  /** How long its answer took, in milliseconds. */
  readonly ms: number;
  /** PeerIds of the executors that it named: none, or its own alone, if it keeps no registry. */
  readonly named: readonly string[];
  /**
   * This machine's clock less that of the peer, in milliseconds: the median of what its entries say, each
   * being dated by its executor. Absent without entries.
   */
  readonly clockMs?: number;
  /** Why it did not answer; absent if it did. */
  readonly error?: LloomError;
}

/** An executor, as it last announced itself. */
export interface SeenExecutor {
  /** What it says, with its signature checked. */
  readonly announcement: Announcement;
  /** When it was last heard of, by this machine's clock: Unix milliseconds. */
  readonly lastSeen: number;
}

/** Looks at the network. */
export class NetworkProbe {
  readonly #peer: Peer;
  readonly #bootstrapNodes: readonly string[];
  readonly #executors = new Map<string, SeenExecutor>();

  private constructor(peer: Peer, bootstrapNodes: readonly string[]) {
    this.#peer = peer;
    this.#bootstrapNodes = bootstrapNodes;
  }

  /** Starts a node. */
  static async open(
    identity: Identity,
    network: NetworkConfig,
    sandboxWorkers: boolean,
  ): Promise<NetworkProbe> {
    const peer = await createPeer(identity, {
      network: { ...network, listenAddresses: [] },
      dht: "client",
      relay: "client",
      gossip: false,
      sandboxWorkers,
    });
    return new NetworkProbe(peer, network.bootstrapNodes);
  }

  /** Dials all bootstrap nodes, once. With mDNS, who answers it is dialled meanwhile. */
  async join(signal: AbortSignal): Promise<readonly Dialled[]> {
    const { node } = this.#peer;
    await node.start();
    return await Promise.all(this.#bootstrapNodes.map(async (address) => {
      const { ms, error } = await timed((within) => node.dial(address, within), signal);
      return { address, ms, ...(error && { error }) };
    }));
  }

  /** Peers that it is connected to now. */
  peers(): readonly ConnectedPeer[] {
    const peers = new Map<string, ConnectedPeer>();
    for (const { peerId, remoteAddress, limited } of this.#peer.node.connections()) {
      if (peers.get(peerId)?.relayed === false) continue;
      peers.set(peerId, { peerId, address: remoteAddress, relayed: limited });
    }
    return [...peers.values()];
  }

  /** Executors that peers have named so far. */
  executors(): readonly SeenExecutor[] {
    return [...this.#executors.values()];
  }

  /** Asks all connected peers for executors; where they name none, those too that the DHT knows. */
  async askAll(signal: AbortSignal): Promise<readonly AskedPeer[]> {
    const askEach = (peers: readonly PeerTarget[]) =>
      Promise.all(peers.map((peer) => this.ask(peer, signal)));
    const asked = await askEach(this.peers());
    if (this.#executors.size > 0 || asked.length === 0) return asked;
    return [...asked, ...await askEach(await this.#fromDht(signal))];
  }

  /** Asks one peer which executors it knows; executors answer for themselves. */
  async ask(peer: PeerTarget, signal: AbortSignal): Promise<AskedPeer> {
    const { peerId } = peer;
    const named: string[] = [];
    const clocks: number[] = [];
    const { ms, error } = await timed(async (within) => {
      const { node, clock } = this.#peer;
      const stream = await node.openStream(peer, REGISTRY_PROTOCOL, {
        signal: within,
        maxFrameBytes: MAX_ANSWER_BYTES,
      });
      try {
        for await (const { executors } of queryPages(stream, { type: "search" }, within)) {
          const now = clock.now();
          const room = MAX_LOOKED_AT - named.length;
          for (let at = 0; at < Math.min(room, executors.length); at += AT_ONCE) {
            const some = executors.slice(at, Math.min(at + AT_ONCE, room));
            await Promise.all(some.map(async ({ signed, lastSeenMsAgo }) => {
              const announcement = decodeAnnouncement(signed.body);
              await verifyAnnouncement(signed, announcement, { verifier: this.#peer.crypto });
              if (announcement.kind === "removal") return;
              named.push(announcement.peerId);
              clocks.push(now - (announcement.timestamp + lastSeenMsAgo));
              this.#note({ announcement, lastSeen: now - lastSeenMsAgo });
            }));
          }
          if (named.length >= MAX_LOOKED_AT) break;
        }
      } finally {
        await stream.close();
      }
    }, signal);
    const clockMs = median(clocks);
    return {
      peerId,
      ms,
      named,
      ...(clockMs !== undefined && { clockMs }),
      ...(error && { error }),
    };
  }

  /** Leaves the network. */
  close(): Promise<void> {
    return this.#peer.stop();
  }

  #note(seen: SeenExecutor): void {
    const { peerId, sequence } = seen.announcement;
    const known = this.#executors.get(peerId);
    if (known !== undefined && known.announcement.sequence >= sequence) return;
    this.#executors.set(peerId, seen);
  }

  async #fromDht(signal: AbortSignal): Promise<readonly PeerTarget[]> {
    const found: PeerTarget[] = [];
    const { error } = await timed(
      async (within) => {
        for await (const peer of this.#peer.node.findProviders(roleKey("executor"), within)) {
          found.push(peer);
          if (found.length === AT_ONCE) return;
        }
      },
      signal,
      DHT_MS,
    );
    if (error !== undefined) log.debug("the DHT was asked in vain: {code}", { code: error.code });
    return found;
  }
}

/** The middle of some numbers; undefined of none. */
export function median(numbers: readonly number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/** How long something took, within a bound, and whether it failed. @throws as the signal says */
async function timed(
  act: (within: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
  boundMs = ANSWER_MS,
): Promise<{ readonly ms: number; readonly error?: LloomError }> {
  const startMs = performance.now();
  const within = AbortSignal.any([signal, AbortSignal.timeout(boundMs)]);
  let error: LloomError | undefined;
  try {
    await act(within);
  } catch (thrown) {
    signal.throwIfAborted();
    error = LloomError.wrap(thrown);
  }
  const ms = Math.round(performance.now() - startMs);
  return { ms, ...(error && { error }) };
}
