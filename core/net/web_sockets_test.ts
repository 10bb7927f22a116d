import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { LloomError } from "../errors.ts";
import { MAX_PENDING_CONNECTIONS } from "../protocol/limits.ts";
import type { LloomNode } from "./node.ts";
import { fastWebSockets } from "./web_sockets.ts";
import { NETWORK_TEST, TestNetwork } from "./test_network.ts";

const HOST = { hostname: "127.0.0.1" } as const;
const UPGRADE = [
  "GET / HTTP/1.1",
  "Host: x",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "\r\n",
].join("\r\n");

const FRAMES = {
  "a length of 64 bits": [0x82, 0xff, 0x7f, ...new Array(7).fill(0xff), 1, 2, 3, 4],
  "a reserved bit": [0xf2, 0x81, 1, 1, 1, 1, 1],
  "a message above the limit": [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4],
  "an operation that is none": [0x83, 0x81, 1, 1, 1, 1, 1],
  "a close code that is none": [0x88, 0x82, 0, 0, 0, 0, 0xff, 0xff],
} as const;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Reads until the other side is gone. @returns what it said */
async function readAll(connection: Deno.Conn): Promise<string> {
  const bytes = new Uint8Array(4096);
  let text = "";
  try {
    for (let n = await connection.read(bytes); n !== null; n = await connection.read(bytes)) {
      text += new TextDecoder().decode(bytes.subarray(0, n));
    }
  } catch (thrown) {
    assert.ok(thrown instanceof Deno.errors.ConnectionReset, String(thrown));
  }
  connection.close();
  return text;
}

/** Reads until an answer's head is complete. */
async function readHead(connection: Deno.Conn): Promise<string> {
  const bytes = new Uint8Array(4096);
  let text = "";
  while (!text.includes("\r\n\r\n")) {
    const n = await connection.read(bytes);
    assert.ok(n !== null, "the handshake was refused");
    text += new TextDecoder().decode(bytes.subarray(0, n));
  }
  return text;
}

function portOf(node: LloomNode): number {
  return Number(/tcp\/(\d+)/.exec(node.multiaddrs()[0]!)![1]);
}

/** A bare libp2p node with our transport and little patience. */
async function impatientNode() {
  const [{ createLibp2p }, { noise }, { yamux }] = await Promise.all([
    import("libp2p"),
    import("@libp2p/noise"),
    import("@libp2p/yamux"),
  ]);
  const libp2p = await createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0/ws"] },
    transports: [fastWebSockets({ handshakeMs: 100 })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundUpgradeTimeout: 100 },
  });
  const port = Number(/tcp\/(\d+)/.exec(libp2p.getMultiaddrs()[0]!.toString())![1]);
  return { libp2p, port };
}

for (const [name, frame] of Object.entries(FRAMES)) {
  Deno.test({
    name: `a WebSocket frame with ${name} ends its own connection, at a listener and at a dialler`,
    ...NETWORK_TEST,
    fn: async () => {
      await using network = new TestNetwork();
      const listener = await network.node({
        listen: ["/ip4/127.0.0.1/tcp/0/ws"],
        webSockets: true,
      });
      const port = portOf(listener);
      const client = await Deno.connect({ ...HOST, port });
      await client.write(encode(UPGRADE));
      await readHead(client);
      await client.write(Uint8Array.from(frame));
      await readAll(client);

      using server = Deno.listen({ ...HOST, port: 0 });
      const serving = serveFrame(server, Uint8Array.from(frame));
      const { port: hostile } = server.addr as Deno.NetAddr;
      await assert.rejects(
        listener.dial(`/ip4/127.0.0.1/tcp/${hostile}/ws`),
        (error) => error instanceof LloomError && error.code === "peer_unreachable",
      );
      await readAll(await serving);
      // Still there.
      (await Deno.connect({ ...HOST, port })).close();
    },
  });
}

/** Takes one WebSocket, answers its handshake, and sends bytes after it. */
async function serveFrame(server: Deno.Listener, frame: Uint8Array): Promise<Deno.Conn> {
  const connection = await server.accept();
  const key = /sec-websocket-key: (.*)\r/i.exec(await readHead(connection))![1]!;
  const accept = createHash("sha1").update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  await connection.write(encode([
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept.digest("base64")}`,
    "\r\n",
  ].join("\r\n")));
  await connection.write(frame);
  return connection;
}

Deno.test({
  name: "an unmasked WebSocket frame from a client ends its own connection",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const node = await network.node({ listen: ["/ip4/127.0.0.1/tcp/0/ws"], webSockets: true });
    const connection = await Deno.connect({ ...HOST, port: portOf(node) });
    await connection.write(encode(UPGRADE));
    await readHead(connection);
    await connection.write(Uint8Array.of(0x82, 0x01, 0x01));
    await readAll(connection);
    (await Deno.connect({ ...HOST, port: portOf(node) })).close();
  },
});

Deno.test({
  name: "a dial that fails after the WebSocket is open leaves no connection behind",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const node = await network.node({ listen: [], webSockets: true });
    using server = Deno.listen({ ...HOST, port: 0 });
    // A whole message, of one byte, which is no beginning of libp2p.
    const serving = serveFrame(server, Uint8Array.of(0x82, 0x01, 0x01));
    const { port } = server.addr as Deno.NetAddr;
    const leaving = new AbortController();
    const dialled = node.dial(`/ip4/127.0.0.1/tcp/${port}/ws`, leaving.signal);
    const connection = await serving;
    leaving.abort();
    await assert.rejects(dialled, LloomError);
    await readAll(connection);
  },
});

for (
  const [name, first] of [
    ["says nothing", ""],
    ["begins a request", "GET / HTTP/1.1\r\n"],
    ["asks over HTTP and stays", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["says nothing after the handshake", UPGRADE],
  ] as const
) {
  Deno.test({
    name: `a connection that ${name} is cut before long`,
    ...NETWORK_TEST,
    fn: async () => {
      const { libp2p, port } = await impatientNode();
      try {
        const connection = await Deno.connect({ ...HOST, port });
        await connection.write(encode(first));
        await readAll(connection);
      } finally {
        await libp2p.stop();
      }
    },
  });
}

Deno.test({
  name: "connections that are no WebSockets yet are limited in number",
  ...NETWORK_TEST,
  fn: async () => {
    await using network = new TestNetwork();
    const node = await network.node({ listen: ["/ip4/127.0.0.1/tcp/0/ws"], webSockets: true });
    const port = portOf(node);
    const silent = [];
    for (let i = 0; i < MAX_PENDING_CONNECTIONS; i++) {
      silent.push(await Deno.connect({ ...HOST, port }));
    }
    // With all places taken for far longer than this test, only a refusal ends this.
    assert.equal(await readAll(await Deno.connect({ ...HOST, port })), "");
    for (const connection of silent) connection.close();
  },
});
