/** A peer that keeps to libp2p, and to nothing else. @module */
import type { Stream } from "@libp2p/interface";
import { generateIdentity, type Identity } from "@lloom/core/identity";
import { FrameStream } from "@lloom/core/net";
import { encodeFrames } from "@lloom/core/protocol";
import { createSigner, noblePrimitives } from "@lloom/core/signing";
import type { Signer } from "@lloom/core/ports";
import type { Libp2p } from "libp2p";
import { libp2pConfig } from "../../core/net/libp2p_config.ts";
import { loadModules, type Modules } from "../../core/net/modules.ts";

/** What is read at most as one frame. */
const MAX_FRAME_BYTES = 4 << 20;

/** One stream, of which any bytes can be sent. */
export interface RawStream {
  /** Reads whole frames. */
  readonly frames: FrameStream;
  /** Sends bytes as they are. */
  sendBytes(bytes: Uint8Array): void;
  /** Sends one frame. */
  sendFrame(body: Uint8Array): void;
  /** Says that no more will be sent. */
  end(): Promise<void>;
}

/** A libp2p node and the key that it signs with. */
export class RawPeer implements AsyncDisposable {
  readonly identity: Identity;
  readonly signer: Signer;
  readonly #libp2p: Libp2p;
  readonly #modules: Modules;

  private constructor(identity: Identity, libp2p: Libp2p, modules: Modules) {
    this.identity = identity;
    this.signer = createSigner(noblePrimitives, {}, identity.exportPrivateKey());
    this.#libp2p = libp2p;
    this.#modules = modules;
  }

  /** Starts a peer that listens nowhere. */
  static async start(): Promise<RawPeer> {
    const modules = await loadModules({
      ...{ webSockets: false, gossip: false, relay: false, dcutr: false, mdns: false },
    });
    const identity = generateIdentity();
    const key = modules.keys.privateKeyFromRaw(identity.exportPrivateKey());
    const options = { listen: [], loopbackOnly: true };
    const libp2p = await modules.libp2p.createLibp2p(libp2pConfig(options, key, modules));
    await libp2p.start();
    return new RawPeer(identity, libp2p, modules);
  }

  /** Opens a stream to an address. */
  async open(address: string, protocol: string): Promise<RawStream> {
    const target = this.#modules.multiaddr.multiaddr(address);
    return rawStream(await this.#libp2p.dialProtocol(target, protocol));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#libp2p.stop();
  }
}

function rawStream(stream: Stream): RawStream {
  const remotePeer = "";
  return {
    frames: new FrameStream(stream, { maxFrameBytes: MAX_FRAME_BYTES, remotePeer }),
    sendBytes: (bytes) => void stream.send(bytes),
    sendFrame: (body) => void stream.send(encodeFrames([body])),
    end: () => stream.close(),
  };
}
