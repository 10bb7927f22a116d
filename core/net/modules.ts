/**
 * Loads libp2p: only what a node uses, all of it at once, and only when a node is made.
 * @module
 */

/** libp2p's parts; those that only some nodes have may be absent. */
export interface Modules {
  readonly libp2p: typeof import("libp2p");
  readonly keys: typeof import("@libp2p/crypto/keys");
  readonly peerId: typeof import("@libp2p/peer-id");
  readonly multiaddr: typeof import("@multiformats/multiaddr");
  readonly tcp: typeof import("@libp2p/tcp");
  readonly noise: typeof import("@libp2p/noise");
  readonly yamux: typeof import("@libp2p/yamux");
  readonly identify: typeof import("@libp2p/identify");
  readonly ping: typeof import("@libp2p/ping");
  readonly dht: typeof import("@libp2p/kad-dht");
  readonly datastore: typeof import("./bounded_datastore.ts");
  readonly webSockets: typeof import("./web_sockets.ts") | undefined;
  readonly gossip: typeof import("./gossip.ts") | undefined;
  readonly relay: typeof import("@libp2p/circuit-relay-v2") | undefined;
  readonly dcutr: typeof import("@libp2p/dcutr") | undefined;
  readonly mdns: typeof import("@libp2p/mdns") | undefined;
}

/** Which of the optional parts are needed. */
export interface ModuleChoice {
  readonly webSockets: boolean;
  readonly gossip: boolean;
  readonly relay: boolean;
  readonly dcutr: boolean;
  readonly mdns: boolean;
}

/** The channel name of `mortice`, the lock library of libp2p's peer store. */
const LOCK_CHANNEL = "mortice";

/** A channel without other ends. */
class DeafChannel extends EventTarget {
  readonly name = LOCK_CHANNEL;
  postMessage(): void {}
  close(): void {}
}

let silenced = false;

/**
 * libp2p's peer store locks through a BroadcastChannel to other threads, which Deno cannot unref: no
 * process would ever end. Its locks are for one thread anyway. Other channels are left alone.
 */
function silenceLockChannel(): void {
  if (silenced) return;
  silenced = true;
  globalThis.BroadcastChannel = new Proxy(globalThis.BroadcastChannel, {
    construct: (target, args: [string], newTarget): object =>
      args[0] === LOCK_CHANNEL ? new DeafChannel() : Reflect.construct(target, args, newTarget),
  });
}

/** Loads what `choice` needs. */
export async function loadModules(choice: ModuleChoice): Promise<Modules> {
  silenceLockChannel();
  const [
    [libp2p, keys, peerId, multiaddr, tcp, noise, yamux, identify, ping, dht, datastore],
    [webSockets, gossip, relay, dcutr, mdns],
  ] = await Promise.all([
    Promise.all([
      import("libp2p"),
      import("@libp2p/crypto/keys"),
      import("@libp2p/peer-id"),
      import("@multiformats/multiaddr"),
      import("@libp2p/tcp"),
      import("@libp2p/noise"),
      import("@libp2p/yamux"),
      import("@libp2p/identify"),
      import("@libp2p/ping"),
      import("@libp2p/kad-dht"),
      import("./bounded_datastore.ts"),
    ]),
    Promise.all([
      choice.webSockets ? import("./web_sockets.ts") : undefined,
      choice.gossip ? import("./gossip.ts") : undefined,
      choice.relay ? import("@libp2p/circuit-relay-v2") : undefined,
      choice.dcutr ? import("@libp2p/dcutr") : undefined,
      choice.mdns ? import("@libp2p/mdns") : undefined,
    ]),
  ]);
  return {
    libp2p,
    keys,
    peerId,
    multiaddr,
    tcp,
    noise,
    yamux,
    identify,
    ping,
    dht,
    datastore,
    webSockets,
    gossip,
    relay,
    dcutr,
    mdns,
  };
}
