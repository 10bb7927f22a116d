/** What libp2p remembers of others, in memory and within limits. @module */
import { NotFoundError } from "@libp2p/interface";
import { BaseDatastore } from "datastore-core/base";
import { LloomError } from "../errors.ts";
import {
  MAX_BYTES_PER_KNOWN_PEER,
  MAX_KNOWN_PEER_BYTES,
  MAX_KNOWN_PEERS,
  MAX_PROVIDER_KEY_LENGTH,
  MAX_PROVIDER_RECORDS,
  MAX_PROVIDER_RECORDS_PER_KEY,
  MAX_PROVIDER_RECORDS_PER_PEER,
} from "../protocol/limits.ts";

type Key = Parameters<BaseDatastore["put"]>[0];
type Query = Parameters<BaseDatastore["query"]>[0];
type KeyQuery = Parameters<BaseDatastore["queryKeys"]>[0];

/** One entry. */
interface Pair {
  readonly key: Key;
  readonly value: Uint8Array;
}

/** `/dht/provider/<key>/<peer>`: who provides what. */
const PROVIDERS = "/dht/provider/";
/** `/peers/<peer>`: where a peer is, and what it speaks. */
const PEERS = "/peers/";

/** Limits of a {@linkcode BoundedDatastore}. */
export interface DatastoreLimits {
  /** @default MAX_PROVIDER_RECORDS */
  readonly maxProviders?: number;
  /** @default MAX_PROVIDER_RECORDS_PER_PEER */
  readonly maxProvidersPerPeer?: number;
  /** @default MAX_PROVIDER_RECORDS_PER_KEY */
  readonly maxProvidersPerKey?: number;
  /** @default MAX_KNOWN_PEERS */
  readonly maxPeers?: number;
  /** @default MAX_KNOWN_PEER_BYTES */
  readonly maxPeerBytes?: number;
}

/**
 * Keeps provider records and peers, and nothing else: no part of Lloom puts values into the DHT.
 * What was written longest ago is forgotten first; what this node wrote of itself never is.
 */
export class BoundedDatastore extends BaseDatastore {
  readonly #self: ReadonlySet<string>;
  readonly #own = new Map<string, Pair>();
  readonly #providers: Shelf;
  readonly #peers: Shelf;

  /** @param self this node's names: the last parts of the keys of what it wrote of itself */
  constructor(limits: DatastoreLimits, self: readonly string[]) {
    super();
    this.#self = new Set(self);
    this.#providers = new Shelf({
      maxEntries: limits.maxProviders ?? MAX_PROVIDER_RECORDS,
      maxBytes: Infinity,
      groupLimits: [
        limits.maxProvidersPerKey ?? MAX_PROVIDER_RECORDS_PER_KEY,
        limits.maxProvidersPerPeer ?? MAX_PROVIDER_RECORDS_PER_PEER,
      ],
    });
    this.#peers = new Shelf({
      maxEntries: limits.maxPeers ?? MAX_KNOWN_PEERS,
      maxBytes: limits.maxPeerBytes ?? MAX_KNOWN_PEER_BYTES,
      groupLimits: [],
    });
  }

  /** Keeps a value. @throws {LloomError} `frame_unsupported`, `frame_too_large` */
  override put(key: Key, value: Uint8Array): Key {
    const text = key.toString();
    const pair = { key, value };
    if (this.#isOwn(text)) {
      this.#own.set(text, pair);
    } else if (text.startsWith(PROVIDERS)) {
      if (text.length > MAX_PROVIDER_KEY_LENGTH || value.length > 16) {
        throw new LloomError("frame_too_large", "keep provider record: too long");
      }
      this.#providers.put(text, pair, groupsOf(text));
    } else if (text.startsWith(PEERS)) {
      // Others can make a peer's entry grow, with addresses that it may not have. To refuse what
      // follows would keep the peer's own word out, so it begins anew.
      if (value.length > MAX_BYTES_PER_KNOWN_PEER) this.#peers.delete(text);
      else this.#peers.put(text, pair, []);
    } else {
      throw new LloomError("frame_unsupported", "keep record: neither a provider nor a peer");
    }
    return key;
  }

  /** A value. @throws {NotFoundError} if there is none */
  override get(key: Key): Uint8Array {
    const pair = this.#find(key.toString());
    if (pair === undefined) throw new NotFoundError();
    return pair.value;
  }

  /** Whether there is a value. */
  override has(key: Key): boolean {
    return this.#find(key.toString()) !== undefined;
  }

  /** Forgets a value, if there is one. */
  override delete(key: Key): void {
    const text = key.toString();
    this.#own.delete(text);
    this.#shelf(text).delete(text);
  }

  /** All that may match a query; the caller filters. It lasts while entries are written and deleted. */
  override *_all({ prefix = "" }: Query): Generator<Pair> {
    if (!prefix.startsWith(PEERS)) {
      // Asked for by anybody, and so not by going through all.
      const key = prefix.startsWith(PROVIDERS) ? prefix.slice(PROVIDERS.length) : "";
      yield* key === "" ? this.#providers.all() : this.#providers.group(0, key.split("/")[0]!);
    }
    if (!prefix.startsWith(PROVIDERS)) yield* this.#peers.all();
    yield* [...this.#own.values()];
  }

  /** The keys of {@linkcode BoundedDatastore._all}. */
  override *_allKeys({ prefix = "" }: KeyQuery): Generator<Key> {
    for (const { key } of this._all({ prefix })) yield key;
  }

  #isOwn(text: string): boolean {
    return this.#self.has(text.slice(text.lastIndexOf("/") + 1));
  }

  #shelf(text: string): Shelf {
    return text.startsWith(PROVIDERS) ? this.#providers : this.#peers;
  }

  #find(text: string): Pair | undefined {
    return this.#own.get(text) ?? this.#shelf(text).get(text);
  }
}

/** What is provided, and by whom. */
function groupsOf(text: string): string[] {
  const [key = "", peer = ""] = text.slice(PROVIDERS.length).split("/");
  return [key, peer];
}

/** Limits of a {@linkcode Shelf}. */
interface ShelfLimits {
  readonly maxEntries: number;
  /** Keys and values together. */
  readonly maxBytes: number;
  /** Entries in one group, for each of the ways in which entries are grouped. */
  readonly groupLimits: readonly number[];
}

/** Entries, oldest first, in all and in each group. */
class Shelf {
  readonly #limits: ShelfLimits;
  readonly #entries = new Map<string, Pair & { readonly groups: readonly string[] }>();
  readonly #groups: readonly Map<string, Set<string>>[];
  #bytes = 0;

  constructor(limits: ShelfLimits) {
    this.#limits = limits;
    this.#groups = limits.groupLimits.map(() => new Map());
  }

  get(text: string): Pair | undefined {
    return this.#entries.get(text);
  }

  all(): Pair[] {
    return [...this.#entries.values()];
  }

  /** Those of one group, in the n-th way of grouping. */
  group(n: number, name: string): Pair[] {
    return [...this.#groups[n]?.get(name) ?? []].map((text) => this.#entries.get(text)!);
  }

  put(text: string, pair: Pair, groups: readonly string[]): void {
    this.delete(text);
    this.#entries.set(text, { ...pair, groups });
    this.#bytes += text.length + pair.value.length;
    this.#groups.forEach((byName, n) => {
      const group = byName.get(groups[n]!) ?? new Set();
      byName.set(groups[n]!, group.add(text));
      if (group.size > this.#limits.groupLimits[n]!) this.#deleteFirst(group);
    });
    const { maxEntries, maxBytes } = this.#limits;
    while (this.#entries.size > maxEntries || this.#bytes > maxBytes) {
      this.#deleteFirst(this.#entries.keys());
    }
  }

  delete(text: string): void {
    const entry = this.#entries.get(text);
    if (entry === undefined) return;
    this.#entries.delete(text);
    this.#bytes -= text.length + entry.value.length;
    this.#groups.forEach((byName, n) => {
      const group = byName.get(entry.groups[n]!)!;
      group.delete(text);
      if (group.size === 0) byName.delete(entry.groups[n]!);
    });
  }

  #deleteFirst(texts: Iterable<string>): void {
    for (const text of texts) return this.delete(text);
  }
}
