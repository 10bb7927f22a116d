import assert from "node:assert/strict";
import { Attacker, ended, openStream, sendFlagged, YAMUX } from "./test_attacker.ts";
import { NETWORK_TEST, TestNetwork } from "./test_network.ts";

const PING = "/ipfs/ping/1.0.0";

for (const [name, flag, length] of [["FIN", YAMUX.FIN, 32], ["RST", YAMUX.RST, 0]] as const) {
  Deno.test({
    name: `a ping with ${name} in the frame of its data ends that stream, and nothing else`,
    ...NETWORK_TEST,
    fn: async () => {
      await using network = new TestNetwork();
      const node = await network.node();
      await using attacker = await Attacker.start();
      const connection = await attacker.dial(node);
      const stream = await openStream(connection, PING);
      let received = 0;
      stream.addEventListener("message", ({ data }) => received += data.byteLength);
      // Both sides have settled on the protocol once a first ping is answered.
      stream.send(new Uint8Array(32));
      await new Promise((resolve) => stream.addEventListener("message", resolve, { once: true }));
      sendFlagged(stream, flag, new Uint8Array(32));
      if (flag === YAMUX.FIN) await ended(stream);
      const next = await openStream(connection, PING);
      next.send(new Uint8Array(32));
      await new Promise((resolve) => next.addEventListener("message", resolve, { once: true }));
      assert.equal(received, 32 + length);
    },
  });
}
