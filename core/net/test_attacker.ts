/** Peers that keep to libp2p as far as it suits them, for tests. @module */
import type { Connection, Stream } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import type { LloomNode } from "./node.ts";

/** A bare libp2p node with no limits of its own. Not on WebSockets. */
export class Attacker implements AsyncDisposable {
  readonly #libp2p: Libp2p;

  private constructor(libp2p: Libp2p) {
    this.#libp2p = libp2p;
  }

  static async start(): Promise<Attacker> {
    const [{ createLibp2p }, { tcp }, { noise }, { yamux }, { identify }, keys] = await Promise.all(
      [
        import("libp2p"),
        import("@libp2p/tcp"),
        import("@libp2p/noise"),
        import("@libp2p/yamux"),
        import("@libp2p/identify"),
        import("@libp2p/crypto/keys"),
      ],
    );
    return new Attacker(
      await createLibp2p({
        privateKey: await keys.generateKeyPair("secp256k1"),
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux({ maxOutboundStreams: 5000 })],
        services: { identify: identify() },
        connectionMonitor: { enabled: false },
      }),
    );
  }

  /** The multihash of its PeerId. */
  get multihash(): Uint8Array {
    return this.#libp2p.peerId.toMultihash().bytes;
  }

  /** Its PeerId as text. */
  get peerId(): string {
    return this.#libp2p.peerId.toString();
  }

  async dial(node: LloomNode): Promise<Connection> {
    const { multiaddr } = await import("@multiformats/multiaddr");
    return await this.#libp2p.dial(multiaddr(node.multiaddrs()[0]!));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#libp2p.stop();
  }
}

/** Opens a stream without regard to how many there are. */
export async function openStream(connection: Connection, protocol: string): Promise<Stream> {
  return await connection.newStream(protocol, { maxOutboundStreams: 5000 });
}

/** Yamux' flags: the sender ends, or resets, the stream. */
export const YAMUX = { FIN: 4, RST: 8 } as const;

/** Sends data and flags in one frame, which libp2p itself never does. */
export function sendFlagged(stream: Stream, flag: number, data: Uint8Array): void {
  const muxed = stream as unknown as {
    readonly streamId: number;
    sendFrame(header: Record<string, number>, data: Uint8Array): boolean;
  };
  const header = { type: 0, flag, streamID: muxed.streamId, length: data.length };
  muxed.sendFrame(header, data);
}

/** Resolves once nothing more comes from the other side. */
export function ended(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.readableEnded || stream.status !== "open") return resolve();
    stream.addEventListener("end", () => resolve());
    stream.addEventListener("close", () => resolve());
  });
}
