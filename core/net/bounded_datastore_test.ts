import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2";
import type { Stream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import fc from "fast-check";
import { CID } from "multiformats/cid";
import { create } from "multiformats/hashes/digest";
import { concat } from "../bytes.ts";
import { type ErrorCode, LloomError } from "../errors.ts";
import { encodeFrames } from "../protocol/framing.ts";
import { KAD_PROTOCOL } from "../protocol/ids.ts";
import { MAX_BYTES_PER_KNOWN_PEER, MAX_PROVIDER_RECORDS_PER_PEER } from "../protocol/limits.ts";
import { BoundedDatastore } from "./bounded_datastore.ts";
import { Attacker, openStream } from "./test_attacker.ts";
import { NETWORK_TEST, TestNetwork } from "./test_network.ts";

type Key = Parameters<BoundedDatastore["put"]>[0];

const keyOf = (text: string): Key => ({ toString: () => text }) as Key;
const providerKey = (key: unknown, peer: unknown) => keyOf(`/dht/provider/${key}/${peer}`);
const peerKey = (peer: unknown) => keyOf(`/peers/${peer}`);

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

async function keysAt(store: BoundedDatastore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.query({ prefix })) keys.push(key.toString());
  return keys.sort();
}

const LIMITS = {
  maxProviders: 12,
  maxProvidersPerPeer: 4,
  maxProvidersPerKey: 3,
  maxPeers: 5,
  maxPeerBytes: 200,
} as const;

interface Entry {
  readonly key: string;
  readonly peer: string;
  readonly text: string;
}

/** Provider records as they should be kept, the plain and slow way. */
class Model {
  entries: Entry[] = [];

  put(entry: Entry): void {
    this.delete(entry.text);
    this.entries.push(entry);
    this.#trim(LIMITS.maxProvidersPerKey, (other) => other.key === entry.key);
    this.#trim(LIMITS.maxProvidersPerPeer, (other) => other.peer === entry.peer);
    this.#trim(LIMITS.maxProviders, () => true);
  }

  delete(text: string): void {
    this.entries = this.entries.filter((entry) => entry.text !== text);
  }

  #trim(max: number, belongs: (entry: Entry) => boolean): void {
    const of = this.entries.filter(belongs);
    if (of.length > max) this.delete(of[0]!.text);
  }
}

Deno.test("of provider records the oldest go first: of a key, of a peer, of all; never our own", async () => {
  const step = fc.record({
    key: fc.nat(7).map((n) => `k${n}`),
    peer: fc.nat(7).map((n) => n === 0 ? "self" : `p${n}`),
    remove: fc.nat(4).map((n) => n === 0),
  });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
    const store = new BoundedDatastore(LIMITS, ["self"]);
    const model = new Model();
    const own = new Set<string>();
    for (const { key, peer, remove } of steps) {
      const text = `/dht/provider/${key}/${peer}`;
      if (remove) {
        store.delete(keyOf(text));
        model.delete(text);
        own.delete(text);
      } else {
        store.put(keyOf(text), Uint8Array.of(1));
        if (peer === "self") own.add(text);
        else model.put({ key, peer, text });
      }
      assert.equal(store.has(keyOf(text)), !remove);
    }
    const expected = [...model.entries.map(({ text }) => text), ...own].sort();
    assert.deepEqual(await keysAt(store, "/dht/provider"), expected);
    for (let n = 0; n <= 7; n++) {
      const prefix = `/dht/provider/k${n}`;
      assert.deepEqual(
        await keysAt(store, prefix),
        expected.filter((text) => text.startsWith(prefix)),
      );
    }
  }));
});

Deno.test("peers are kept within their number and bytes, the newest of all, and always ourselves", async () => {
  const step = fc.record({ peer: fc.nat(20), size: fc.nat(80) });
  await fc.assert(fc.asyncProperty(fc.array(step), async (steps) => {
    const store = new BoundedDatastore(LIMITS, ["self"]);
    store.put(peerKey("self"), new Uint8Array(500));
    for (const { peer, size } of steps) {
      store.put(peerKey(peer), new Uint8Array(size));
      assert.equal(store.get(peerKey(peer)).length, size);
      const kept = (await keysAt(store, "/peers/")).filter((text) => text !== "/peers/self");
      const bytes = kept.map((text) => text.length + store.get(keyOf(text)).length);
      assert.ok(kept.length <= LIMITS.maxPeers);
      assert.ok(bytes.reduce((sum, n) => sum + n, 0) <= LIMITS.maxPeerBytes);
    }
    assert.equal(store.get(peerKey("self")).length, 500);
  }));
});

Deno.test("what is neither a provider record nor a peer, or is too long, is not kept", () => {
  const store = new BoundedDatastore({}, ["self"]);
  assert.throws(
    () => store.put(keyOf("/dht/record/x"), Uint8Array.of(1)),
    hasCode("frame_unsupported"),
  );
  for (const [key, length] of [["k".repeat(300), 6], ["k", 17]] as const) {
    assert.throws(
      () => store.put(providerKey(key, "p"), new Uint8Array(length)),
      hasCode("frame_too_large"),
    );
  }
  assert.throws(() => store.get(keyOf("/dht/record/x")), { name: "NotFoundError" });
});

Deno.test("a peer whose entry grew too large begins anew", () => {
  const store = new BoundedDatastore({}, ["self"]);
  store.put(peerKey("p"), new Uint8Array(MAX_BYTES_PER_KNOWN_PEER));
  store.put(peerKey("p"), new Uint8Array(MAX_BYTES_PER_KNOWN_PEER + 1));
  assert.equal(store.has(peerKey("p")), false);
  store.put(peerKey("p"), new Uint8Array(10));
  assert.equal(store.get(peerKey("p")).length, 10);
});

const ADD_PROVIDER = 2;
const GET_PROVIDERS = 3;

/** A protobuf field that holds bytes. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return concat([Uint8Array.of((number << 3) | 2), encodeFrames([bytes])]);
}

function message(type: number, cid: CID, provider?: Uint8Array): Uint8Array {
  const peer = provider && concat([
    field(1, provider),
    field(2, multiaddr("/ip4/127.0.0.1/tcp/1").bytes),
  ]);
  const parts = [Uint8Array.of(8, type), field(2, cid.bytes), ...peer ? [field(9, peer)] : []];
  return encodeFrames([concat(parts)]);
}

/** Asks who provides something, on a stream of its own. */
async function ask(stream: Stream, cid: CID): Promise<string> {
  let answer = "";
  stream.addEventListener("message", ({ data }) => {
    answer += String.fromCharCode(...data.subarray());
  });
  const closed = new Promise((resolve) => stream.addEventListener("close", resolve));
  stream.send(message(GET_PROVIDERS, cid));
  await stream.close();
  await closed;
  return answer;
}

Deno.test({
  name: "a peer that stores ever more in the DHT pushes out only its own",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const node = await network.node({ dht: "server" });
    await using attacker = await Attacker.start();
    await using other = await Attacker.start();
    const [flood, quiet] = [await attacker.dial(node), await other.dial(node)];
    const cid = (n: number) => CID.createV1(0x55, create(0x12, sha256(Uint8Array.of(n))));
    const long = CID.createV1(0x55, create(0, new Uint8Array(60_000)));

    const stored = await openStream(quiet, KAD_PROTOCOL);
    stored.send(message(ADD_PROVIDER, cid(0), other.multihash));
    await stored.close();
    await openStream(flood, KAD_PROTOCOL).then((stream) => {
      stream.send(message(ADD_PROVIDER, long, attacker.multihash));
    });
    const stream = await openStream(flood, KAD_PROTOCOL);
    for (let n = 0; n <= MAX_PROVIDER_RECORDS_PER_PEER; n++) {
      stream.send(message(ADD_PROVIDER, cid(n), attacker.multihash));
    }
    stream.send(message(GET_PROVIDERS, cid(0)));
    await new Promise((resolve) => stream.addEventListener("message", resolve, { once: true }));

    const asked = async (cid: CID) => await ask(await openStream(quiet, KAD_PROTOCOL), cid);
    const id = (peer: Attacker) => String.fromCharCode(...peer.multihash);
    const first = await asked(cid(0));
    assert.ok(first.includes(id(other)) && !first.includes(id(attacker)));
    assert.ok((await asked(cid(MAX_PROVIDER_RECORDS_PER_PEER))).includes(id(attacker)));
    assert.ok(!(await asked(long)).includes(id(attacker)));
  },
});
