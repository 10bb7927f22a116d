/** Finding executors, over registries in memory and a DHT that a test decides. */
import assert from "node:assert/strict";
import { executor, offer, type TestExecutor, verifier } from "../../tests/support/executor.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { memoryStreams } from "../../tests/support/memory_stream.ts";
import { LloomError } from "../errors.ts";
import { decodeSignedAnnouncement } from "../protocol/announcement.ts";
import { Registry, RegistryServer } from "../registry/mod.ts";
import { Directory, type DirectoryComponents, type Wanted } from "./directory.ts";
import type { PeerAddresses } from "./options.ts";

/** Peers with registries, of which some are connected and some are only in the DHT. */
class World {
  readonly clock = new ManualClock();
  readonly registries = new Map<string, Registry>();
  readonly connected = new Set<string>();
  readonly inDht: string[] = [];
  dhtQueries = 0;
  registry = new Registry({}, { clock: this.clock });

  /** A peer whose registry holds what these executors announce. */
  async peer(name: string, executors: readonly TestExecutor[], model = "model"): Promise<void> {
    const registry = new Registry({}, { clock: this.clock });
    for (const one of executors) {
      const models = [offer({ id: model })];
      const announcement = one.announcement({ timestamp: this.clock.now(), models });
      registry.apply(await one.sign(announcement), announcement);
    }
    this.registries.set(name, registry);
  }

  directory(): Directory {
    const { clock, registry } = this;
    const node: DirectoryComponents["node"] = {
      connections: () =>
        [...this.connected].map((peerId) => ({
          peerId,
          remoteAddress: "",
          direction: "outbound",
          limited: false,
          streams: 0,
        })),
      onPeerConnected: () => () => {},
      openStream: ({ peerId }) => {
        const registry = this.registries.get(peerId);
        if (registry === undefined) {
          return Promise.reject(new LloomError("peer_unreachable", "open stream: nobody"));
        }
        const [near, far] = memoryStreams();
        new RegistryServer({}, { registry, clock }).serve(far);
        return Promise.resolve(near);
      },
      findProviders: () => this.#providers(),
    };
    return new Directory({ node, registry, clock, verifier });
  }

  async *#providers(): AsyncGenerator<PeerAddresses> {
    this.dhtQueries++;
    for (const peerId of this.inDht) yield await Promise.resolve({ peerId, multiaddrs: [] });
  }

  async find(wanted: Wanted = { model: "model" }): Promise<string[]> {
    const search = new AbortController();
    const found = this.directory().find(wanted, search.signal);
    // Pauses end as fast as they are made: the clock moves whenever all that can happen has.
    const moving = setInterval(() => this.clock.advance(250), 1);
    try {
      return (await found).map(({ announcement }) => announcement.peerId).sort();
    } finally {
      clearInterval(moving);
    }
  }
}

Deno.test("executors of all registries are found, each once", async () => {
  const world = new World();
  const [a, b] = [executor(), executor()];
  await world.peer("v1", [a, b]);
  await world.peer("v2", [b]);
  world.connected.add("v1").add("v2");
  assert.deepEqual(await world.find(), [a.peerId, b.peerId].sort());
  assert.equal(world.dhtQueries, 0);
});

Deno.test("a registry that cannot be reached keeps nobody from the others", async () => {
  const world = new World();
  const a = executor();
  await world.peer("v1", [a]);
  world.connected.add("gone").add("v1");
  assert.deepEqual(await world.find(), [a.peerId]);
});

Deno.test("where no registry knows any, the DHT names executors, who answer for themselves", async () => {
  const world = new World();
  const a = executor();
  await world.peer("v1", []);
  await world.peer(a.peerId, [a]);
  world.connected.add("v1");
  world.inDht.push(a.peerId);
  assert.deepEqual(await world.find(), [a.peerId]);
  assert.ok(world.dhtQueries > 0);
});

Deno.test("one executor is looked for beyond registries that know only others", async () => {
  const world = new World();
  const [a, b] = [executor(), executor()];
  await world.peer("v1", [a]);
  await world.peer(b.peerId, [b]);
  world.connected.add("v1");
  world.inDht.push(b.peerId);
  assert.deepEqual(await world.find({ executor: b.address }), [b.peerId]);
  assert.deepEqual(await world.find({ executor: executor().address }), []);
});

Deno.test("an executor of another model is not found", async () => {
  const world = new World();
  await world.peer("v1", [executor()], "other");
  world.connected.add("v1");
  assert.deepEqual(await world.find(), []);
});

Deno.test("an executor that announces itself during the search is found", async () => {
  const world = new World();
  const a = executor();
  await world.peer("v1", []);
  world.connected.add("v1");
  const found = world.find();
  const announcement = a.announcement({ timestamp: world.clock.now() });
  const signed = decodeSignedAnnouncement(
    await a.announce({ timestamp: announcement.timestamp }),
  );
  world.registries.get("v1")!.apply(signed, announcement);
  assert.deepEqual(await found, [a.peerId]);
});

Deno.test("what all deny for a while is believed, and the search ends before its time", async () => {
  const world = new World();
  await world.peer("v1", []);
  world.connected.add("v1");
  const startMs = world.clock.now();
  assert.deepEqual(await world.find(), []);
  assert.ok(world.clock.now() - startMs < 8_000);
});

Deno.test("one peer that names executors without number hides nobody that another names", async () => {
  const world = new World();
  const small = new Registry({ maxExecutors: 4 }, { clock: world.clock });
  const honest = executor();
  await world.peer("liar", Array.from({ length: 8 }, executor));
  await world.peer("v1", [honest]);
  world.connected.add("liar").add("v1");
  world.registry = small;
  assert.equal((await world.find()).length, 9);
  assert.equal(small.size, 4);
  assert.ok(small.get(honest.peerId));
});
