import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { addressOfPeerId } from "../identity/mod.ts";
import { type ErrorCode, LloomError } from "../errors.ts";
import { FrameStream } from "./frame_stream.ts";
import { createNode } from "./node.ts";
import {
  CLOCK,
  echo,
  NETWORK_TEST,
  PROTOCOL,
  targetOf,
  TCP,
  TestNetwork,
  until,
} from "./test_network.ts";

const LIMIT = 1 << 20;
const WS = "/ip4/127.0.0.1/tcp/0/ws";
const KEY = new Uint8Array(32).fill(1);

function hasCode(code: ErrorCode): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LloomError && thrown.code === code;
}

function test(name: string, fn: (network: TestNetwork) => Promise<void>): void {
  Deno.test({
    name,
    ...NETWORK_TEST,
    fn: async () => {
      await using network = new TestNetwork();
      await fn(network);
    },
  });
}

for (const [transport, listen] of [["TCP", TCP], ["WebSockets", WS]] as const) {
  test(`two nodes exchange messages over ${transport}`, async (network) => {
    const webSockets = listen === WS;
    const server = await network.node({ listen: [listen], webSockets });
    const client = await network.node({ listen: [], webSockets });
    const callers: unknown[] = [];
    await server.handle(PROTOCOL, async (stream, peer) => {
      callers.push(peer);
      await echo(stream);
    }, { maxFrameBytes: LIMIT });

    const own = globalThis.WebSocket;
    // Deno's own client, which is slow, must not be used.
    globalThis.WebSocket = class {
      constructor() {
        throw new Error("the platform's WebSocket was used");
      }
    } as unknown as typeof WebSocket;
    let stream: FrameStream;
    try {
      stream = await client.openStream(targetOf(server), PROTOCOL, { maxFrameBytes: LIMIT });
    } finally {
      globalThis.WebSocket = own;
    }
    assert.ok(stream instanceof FrameStream);
    assert.equal(stream.remotePeer, server.peerId);
    stream.send(Uint8Array.of(1, 2, 3));
    assert.deepEqual(await stream.next(), Uint8Array.of(1, 2, 3));
    await stream.close();
    assert.equal(await stream.next(), undefined);
    await stream.closed;
    assert.deepEqual(callers, [{
      peerId: client.peerId,
      address: addressOfPeerId(client.peerId),
    }]);
    const [connection] = client.connections();
    assert.equal(connection?.peerId, server.peerId);
    assert.equal(connection.direction, "outbound");
    assert.equal(connection.limited, false);
  });
}

test("streams to one peer share one connection", async (network) => {
  const server = await network.node();
  const client = await network.node({ listen: [] });
  await server.handle(PROTOCOL, echo, { maxFrameBytes: LIMIT });
  const streams = await Promise.all(
    [1, 2, 3].map(() => client.openStream(targetOf(server), PROTOCOL, { maxFrameBytes: LIMIT })),
  );
  assert.equal(client.connections().length, 1);
  assert.equal(new Set(streams).size, 3);
  for (const stream of streams) stream.abort(new Error("test is over"));
});

test("a bootstrap address without a PeerId is enough", async (network) => {
  const server = await network.node();
  const bootstrap = server.multiaddrs().map((address) => address.replace(/\/p2p\/.*$/, ""));
  const client = await createNode({ listen: [], bootstrap, loopbackOnly: true }, {
    privateKey: KEY,
    clock: CLOCK,
  });
  const connected = Promise.withResolvers<string>();
  client.onPeerConnected(connected.resolve);
  await client.start();
  assert.equal(await connected.promise, server.peerId);
  await client.stop();
});

test("a node whose last connection is lost finds its way back", async (network) => {
  const server = await network.node({}, { privateKey: KEY });
  const bootstrap = server.multiaddrs();
  const client = await network.node({ listen: [], bootstrap });
  const connected = () => client.connections().length > 0;
  await until(connected, (listener) => client.onPeerConnected(listener));
  await server.stop();
  await until(() => !connected(), (listener) => client.onPeerDisconnected(listener));
  const listen = bootstrap.map((address) => address.replace(/\/p2p\/.*$/, ""));
  await network.node({ listen }, { privateKey: KEY });
  await until(connected, (listener) => client.onPeerConnected(listener));
});

test("what cannot be reached or is not spoken is peer_unreachable", async (network) => {
  const server = await network.node();
  const client = await network.node({ listen: [] });
  const options = { maxFrameBytes: LIMIT };
  await assert.rejects(
    client.openStream(targetOf(server), PROTOCOL, options),
    hasCode("peer_unreachable"),
  );
  const gone = targetOf(server);
  await server.stop();
  await assert.rejects(
    client.openStream(gone, PROTOCOL, options),
    hasCode("peer_unreachable"),
  );
  await assert.rejects(client.dial(gone.multiaddrs[0]!), hasCode("peer_unreachable"));
  await assert.rejects(client.dial("rubbish"), hasCode("config_invalid"));
  await assert.rejects(client.dial(gone, AbortSignal.abort()), hasCode("aborted"));
});

test("a peer may open no more streams than the protocol admits", async (network) => {
  const server = await network.node();
  const client = await network.node({ listen: [] });
  await server.handle(PROTOCOL, echo, { maxFrameBytes: LIMIT, maxInboundStreams: 2 });
  const open = () => client.openStream(targetOf(server), PROTOCOL, { maxFrameBytes: LIMIT });
  const streams = [await open(), await open()];
  for (const stream of streams) {
    stream.send(Uint8Array.of(1));
    await stream.next();
  }
  await assert.rejects(async () => {
    const third = await open();
    third.send(Uint8Array.of(1));
    await third.next();
  }, LloomError);
  streams[0]!.abort(new Error("room for another"));
  await streams[0]!.closed;
  streams[1]!.send(Uint8Array.of(2));
  assert.deepEqual(await streams[1]!.next(), Uint8Array.of(2));
  streams[1]!.abort(new Error("test is over"));
});

test("a handler that throws breaks its stream, and one that returns ends it", async (network) => {
  const server = await network.node();
  const client = await network.node({ listen: [] });
  await server.handle(PROTOCOL, async (stream) => {
    if ((await stream.next())?.[0] === 1) throw new Error("handler failed");
  }, { maxFrameBytes: LIMIT });
  const ask = async (byte: number) => {
    const stream = await client.openStream(targetOf(server), PROTOCOL, { maxFrameBytes: LIMIT });
    stream.send(Uint8Array.of(byte));
    return await stream.next();
  };
  await assert.rejects(ask(1), hasCode("stream_broken"));
  assert.equal(await ask(2), undefined);
});

test("peers without a secp256k1 key can neither ask nor be asked", async (network) => {
  const { createLibp2p } = await import("libp2p");
  const { tcp } = await import("@libp2p/tcp");
  const { noise } = await import("@libp2p/noise");
  const { yamux } = await import("@libp2p/yamux");
  const { multiaddr } = await import("@multiformats/multiaddr");
  const server = await network.node();
  let served = 0;
  await server.handle(PROTOCOL, () => {
    served++;
    return Promise.resolve();
  }, { maxFrameBytes: LIMIT });
  // Without a key given, libp2p makes an Ed25519 key.
  const stranger = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
  try {
    const address = multiaddr(server.multiaddrs()[0]!);
    const stream = new FrameStream(await stranger.dialProtocol(address, PROTOCOL), {
      maxFrameBytes: LIMIT,
      remotePeer: server.peerId,
    });
    await assert.rejects(stream.next(), hasCode("stream_broken"));
    assert.equal(served, 0);
    await assert.rejects(
      server.openStream({ peerId: stranger.peerId.toString() }, PROTOCOL, { maxFrameBytes: 1 }),
      hasCode("identity_invalid"),
    );
  } finally {
    await stranger.stop();
  }
});

test("a node for this machine alone dials no other, wherever the address comes from", async (network) => {
  const server = await network.node();
  const client = await network.node({ listen: [] });
  const elsewhere = [
    "/ip4/192.0.2.1/tcp/4001",
    "/dns4/localhost.example/tcp/4001",
    "/dnsaddr/example.com",
    `/ip4/192.0.2.1/tcp/4001/p2p/${server.peerId}/p2p-circuit`,
  ];
  for (const address of elsewhere) {
    await assert.rejects(client.dial(address), hasCode("peer_unreachable"), address);
    await assert.rejects(
      client.openStream({ peerId: server.peerId, multiaddrs: [address] }, PROTOCOL, {
        maxFrameBytes: LIMIT,
      }),
      hasCode("peer_unreachable"),
      address,
    );
  }
  for (
    const options of [
      { listen: ["/ip4/0.0.0.0/tcp/0"] },
      { listen: [], bootstrap: ["/ip4/192.0.2.1/tcp/4001"] },
      { listen: [], announce: ["/dns4/example.com/tcp/4001"] },
      { listen: [], mdns: true },
    ]
  ) {
    await assert.rejects(
      createNode({ loopbackOnly: true, ...options }, { privateKey: KEY, clock: CLOCK }),
      hasCode("config_invalid"),
    );
  }
});

test("settings and keys that cannot be are refused with a code", async () => {
  await assert.rejects(
    createNode({ listen: ["somewhere"] }, { privateKey: KEY, clock: CLOCK }),
    hasCode("config_invalid"),
  );
  await assert.rejects(
    createNode({ listen: [] }, { privateKey: new Uint8Array(32), clock: CLOCK }),
    hasCode("identity_invalid"),
  );
});

test("an address in use is config_invalid, and told in one line", async (network) => {
  const { multiaddrs: [taken] } = targetOf(await network.node());
  const listen = [taken!.replace(/\/p2p\/.*$/, "")];
  const second = await createNode({ listen, loopbackOnly: true }, {
    privateKey: KEY,
    clock: CLOCK,
  });
  await assert.rejects(second.start(), (error) => {
    assert.ok(error instanceof LloomError && error.cause instanceof Error);
    assert.equal(error.code, "config_invalid");
    const state = `cannot listen on ${listen}: the address is in use, or not this machine's; ` +
      "choose another port, or address with --listen";
    assert.equal(error.message, `start node: ${state}`);
    return true;
  });
});

test("a process ends by itself once its node has stopped", async (network) => {
  const server = await network.node({ dht: "server", gossip: true });
  await server.handle(PROTOCOL, echo, { maxFrameBytes: LIMIT });
  const script = `
    import { createNode } from ${JSON.stringify(new URL("./mod.ts", import.meta.url).href)};
    import { CLOCK } from ${JSON.stringify(new URL("./test_network.ts", import.meta.url).href)};
    const options = { listen: [${JSON.stringify(TCP)}], gossip: true, loopbackOnly: true };
    const privateKey = new Uint8Array(32).fill(9);
    const node = await createNode(options, { privateKey, clock: CLOCK });
    await node.start();
    const stream = await node.openStream(
      ${JSON.stringify(targetOf(server))}, ${JSON.stringify(PROTOCOL)}, { maxFrameBytes: 10 });
    stream.send(Uint8Array.of(7));
    const [answer] = await stream.next();
    await stream.close();
    await node.stop();
    console.log("answer", answer);
    globalThis.addEventListener("unload", () => console.log("ended"));
    // Whatever still runs then would keep the process for longer than its worst timer of a second.
    const late = setTimeout(() => Deno.exit(1), 5000);
    Deno.unrefTimer(late);
  `;
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "-c",
      fileURLToPath(new URL("../../deno.json", import.meta.url)),
      "-",
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = output.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { code, stdout } = await output.output();
  assert.deepEqual([code, new TextDecoder().decode(stdout)], [0, "answer 7\nended\n"]);
});
