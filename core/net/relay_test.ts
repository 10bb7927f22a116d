import assert from "node:assert/strict";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import type { PeerId } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { relayServer } from "./relay.ts";
import { NETWORK_TEST, PROTOCOL, targetOf, TestNetwork, until } from "./test_network.ts";

Deno.test({
  name: "an executor that listens only through a relay is reached, and streams 2 MB",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const validator = await network.node({ dht: "server", relay: "server" });
    const bootstrap = validator.multiaddrs();
    const executor = await network.node({ listen: ["/p2p-circuit"], relay: "client", bootstrap });
    await until(
      () => executor.multiaddrs().length > 0,
      (listener) => executor.onAddressesChanged(listener),
    );
    assert.ok(executor.multiaddrs().every((address) => address.includes("/p2p-circuit")));

    const total = 2 << 20;
    await executor.handle(PROTOCOL, async (stream) => {
      const asked = await stream.next();
      for (let sent = 0; sent < total; sent += 16_384) {
        if (!stream.send(new Uint8Array(16_384).fill(asked![0]!))) await stream.drained();
      }
    }, { maxFrameBytes: 1024 });

    const client = await network.node({ listen: [], relay: "client" });
    const stream = await client.openStream(targetOf(executor), PROTOCOL, { maxFrameBytes: 20_000 });
    assert.deepEqual(
      client.connections().filter(({ peerId }) => peerId === executor.peerId).map((c) => c.limited),
      [true],
    );
    stream.send(Uint8Array.of(42));
    await stream.close();
    let received = 0;
    for (let m = await stream.next(); m !== undefined; m = await stream.next()) {
      assert.ok(m.every((byte) => byte === 42));
      received += m.length;
    }
    assert.equal(received, total);
  },
});

Deno.test("no host reserves more places at a relay than its share; this machine has no limit", async () => {
  const addresses = new Map<PeerId, string>();
  const gater: { denyInboundRelayReservation?(source: PeerId): Promise<boolean> | boolean } = {};
  const log = Object.assign(() => undefined, { error() {}, trace() {} });
  const server = relayServer(await import("@libp2p/circuit-relay-v2"), 2)(
    {
      connectionGater: gater,
      connectionManager: {
        getConnections: (peer: PeerId) => [{ remoteAddr: multiaddr(addresses.get(peer)) }],
      },
      logger: { forComponent: () => log },
    } as unknown as Parameters<ReturnType<typeof relayServer>>[0],
  );
  const reserve = async (address: string): Promise<boolean> => {
    const peer = peerIdFromPrivateKey(await generateKeyPair("secp256k1"));
    addresses.set(peer, address);
    if (await gater.denyInboundRelayReservation!(peer)) return false;
    const reservation = { addr: multiaddr(address), expiry: new Date() };
    server.reservations.set(peer, reservation as never);
    assert.equal(await gater.denyInboundRelayReservation!(peer), false, "it may be renewed");
    return true;
  };
  for (let port = 1; port <= 5; port++) {
    assert.equal(await reserve(`/ip4/192.0.2.1/tcp/${port}`), port <= 2);
    assert.equal(await reserve(`/ip6/2001:db8::${port}/tcp/1`), port <= 2);
    assert.equal(await reserve(`/ip4/192.0.2.${port + 1}/tcp/1`), true);
    assert.equal(await reserve(`/ip4/127.0.0.1/tcp/${port}`), true);
  }
});
