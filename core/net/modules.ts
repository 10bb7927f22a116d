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
export type ModuleChoice = {
  readonly [K in "webSockets" | "gossip" | "relay" | "dcutr" | "mdns"]: boolean;
};

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
  const loading: { readonly [K in keyof Modules]: Promise<Modules[K]> | undefined } = {
    libp2p: import("libp2p"),
    keys: import("@libp2p/crypto/keys"),
    peerId: import("@libp2p/peer-id"),
    multiaddr: import("@multiformats/multiaddr"),
    tcp: import("@libp2p/tcp"),
    noise: import("@libp2p/noise"),
    yamux: import("@libp2p/yamux"),
    identify: import("@libp2p/identify"),
    ping: import("@libp2p/ping"),
    dht: import("@libp2p/kad-dht"),
    datastore: import("./bounded_datastore.ts"),
    webSockets: choice.webSockets ? import("./web_sockets.ts") : undefined,
    gossip: choice.gossip ? import("./gossip.ts") : undefined,
    relay: choice.relay ? import("@libp2p/circuit-relay-v2") : undefined,
    dcutr: choice.dcutr ? import("@libp2p/dcutr") : undefined,
    mdns: choice.mdns ? import("@libp2p/mdns") : undefined,
  };
  const loaded = await Promise.all(
    Object.entries(loading).map(async ([name, module]) => [name, await module]),
  );
  return Object.fromEntries(loaded) as Modules;
}
