import assert from "node:assert/strict";
import type { Libp2p } from "@libp2p/interface";
import { type ErrorCode, LloomError } from "../errors.ts";
import { generateIdentity } from "../identity/mod.ts";
import { modelKey, type ProviderKey, roleKey } from "../protocol/ids.ts";
import { MAX_MODELS_PER_EXECUTOR, MAX_PROVIDERS } from "../protocol/limits.ts";
import { Discovery } from "./discovery.ts";
import type { Services } from "./libp2p_config.ts";
import { loadModules } from "./modules.ts";
import type { LloomNode } from "./node.ts";
import type { PeerAddresses } from "./options.ts";
import { ProviderRecords } from "./provider_records.ts";
import { NETWORK_TEST, targetOf, TestNetwork } from "./test_network.ts";

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

/** A signal for what must not take long. Its timer ends with the test. */
class Patience implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer = setTimeout(() => this.#controller.abort(new Error("out of patience")), 20_000);
  readonly signal = this.#controller.signal;

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

async function find(
  node: LloomNode,
  key: ProviderKey,
  signal: AbortSignal,
): Promise<PeerAddresses[]> {
  return await Array.fromAsync(node.findProviders(key, signal));
}

Deno.test({
  name: "providers are found by key, also once the bootstrap node is gone",
  ...NETWORK_TEST,
  fn: async () => {
    using patience = new Patience();
    const { signal } = patience;
    await using network = new TestNetwork();
    const first = await network.node({ dht: "server" });
    const bootstrap = first.multiaddrs();
    const [executor, other, asker] = await Promise.all(
      [1, 2, 3].map(() => network.node({ dht: "server", bootstrap })),
    ) as [LloomNode, LloomNode, LloomNode];

    const key = modelKey("llama3.2:1b");
    // The nodes get to know each other through the first one; only then do all keep the record.
    while (await executor.provide(key, signal) < 3);
    const found = await find(asker, key, signal);
    assert.deepEqual(found, [targetOf(executor)]);

    await first.stop();
    assert.deepEqual(await find(other, key, signal), [targetOf(executor)]);
    assert.deepEqual(await find(other, modelKey("another"), signal), []);
  },
});

Deno.test({
  name: "all records that too few hold are given to a node that comes later",
  ...NETWORK_TEST,
  fn: async () => {
    using patience = new Patience();
    const { signal } = patience;
    await using network = new TestNetwork();
    const executor = await network.node({ dht: "server" });
    const models = Array.from(
      { length: MAX_MODELS_PER_EXECUTOR },
      (_, i) => modelKey(`model ${i}`),
    );
    const takers = new Map<ProviderKey, number>();
    const publications = new EventTarget();
    const records = new ProviderRecords({
      onDhtPeer: (listener) => executor.onDhtPeer(listener),
      unprovide: (key) => executor.unprovide(key),
      provide: async (key, within) => {
        takers.set(key, await executor.provide(key, within));
        publications.dispatchEvent(new Event("end"));
        return takers.get(key)!;
      },
    });
    const allTakenBy = (count: number) =>
      new Promise<void>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        publications.addEventListener("end", () => {
          if (models.every((key) => takers.get(key) === count)) resolve();
        });
      });
    records.keep(models);

    const bootstrap = executor.multiaddrs();
    const one = allTakenBy(1);
    await network.node({ dht: "server", bootstrap });
    await one;
    const two = allTakenBy(2);
    const late = await network.node({ dht: "server", bootstrap });
    await two;
    records.stop();
    assert.deepEqual(await find(late, models.at(-1)!, signal), [targetOf(executor)]);
  },
});

Deno.test({
  name: "a search never yields the searcher, and can be aborted",
  ...NETWORK_TEST,
  fn: async () => {
    using patience = new Patience();
    const { signal } = patience;
    await using network = new TestNetwork();
    const server = await network.node({ dht: "server" });
    const bootstrap = server.multiaddrs();
    const clients = await Promise.all([1, 2, 3].map(() => network.node({ bootstrap })));
    const key = roleKey("executor");
    for (const client of clients) assert.equal(await client.provide(key, signal), 1);

    const asker = clients[0]!;
    const all = (await find(asker, key, signal)).map(({ peerId }) => peerId);
    assert.deepEqual(all.toSorted(), clients.slice(1).map(({ peerId }) => peerId).toSorted());

    await asker.unprovide(key);
    const lonely = await network.node();
    const stop = new AbortController();
    const waiting = find(lonely, key, stop.signal);
    stop.abort();
    await assert.rejects(waiting, hasCode("aborted"));
    await assert.rejects(lonely.provide(key, AbortSignal.abort()), hasCode("aborted"));
  },
});

Deno.test("a search ends after so many providers, and yields each once", async () => {
  const modules = await loadModules({
    webSockets: false,
    gossip: false,
    relay: false,
    dcutr: false,
    mdns: false,
  });
  const multiaddrs = [modules.multiaddr.multiaddr("/ip4/127.0.0.1/tcp/1")];
  const peerIds = Array.from({ length: MAX_PROVIDERS + 1 }, () => generateIdentity().peerId);
  let asked = 0;
  const dht = {
    async *findProviders() {
      for (const peerId of peerIds) {
        asked++;
        const provider = { id: modules.peerId.peerIdFromString(peerId), multiaddrs };
        yield { name: "PROVIDER", providers: [provider, provider] };
      }
    },
  };
  const peerId = modules.peerId.peerIdFromString(generateIdentity().peerId);
  const libp2p = { peerId, services: { dht } } as unknown as Libp2p<Services>;
  const discovery = new Discovery(libp2p, modules, true);
  const { signal } = new AbortController();
  const found = await Array.fromAsync(discovery.findProviders(roleKey("executor"), signal));
  assert.deepEqual(found.map(({ peerId }) => peerId), peerIds.slice(0, MAX_PROVIDERS));
  assert.equal(asked, MAX_PROVIDERS);
});
