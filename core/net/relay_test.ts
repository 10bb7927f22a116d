import assert from "node:assert/strict";
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
