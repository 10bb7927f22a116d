/** Multiaddrs from outside. @module */
import type { ConnectionGater } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { LloomError } from "../errors.ts";
import { MAX_ADDRESSES_TO_DIAL } from "../protocol/limits.ts";
import type { Modules } from "./modules.ts";

/** Longest multiaddr taken from outside: two PeerIds, a name of 253 letters and some protocols. */
const MAX_MULTIADDR_LENGTH = 512;

/** A multiaddr from a setting. @throws {LloomError} `config_invalid` */
export function parseAddress(text: string, { multiaddr }: Modules): Multiaddr {
  try {
    return multiaddr.multiaddr(text);
  } catch (cause) {
    throw new LloomError("config_invalid", "read address: not a multiaddr", { cause });
  }
}

/** Whether an address leads, in its first step, to this machine. Names do not count: to resolve one asks another machine. */
export function isLoopback(address: Multiaddr): boolean {
  const { name, value } = address.getComponents()[0] ?? {};
  return (name === "ip4" && value?.startsWith("127.") === true) ||
    (name === "ip6" && value === "::1");
}

/** Denies every connection, either way, that leaves this machine, and forgets such addresses. */
export const loopbackGater: ConnectionGater = {
  denyDialMultiaddr: (address) => !isLoopback(address),
  denyInboundConnection: ({ remoteAddr }) => !isLoopback(remoteAddr),
  filterMultiaddrForPeer: (_peer, address) => isLoopback(address),
};

/** The usable ones of a peer's addresses, as given by anybody: bounded, no two alike, all of that peer. */
export function usableAddresses(
  peerId: string,
  given: Iterable<string | Multiaddr>,
  modules: Modules,
  loopbackOnly: boolean,
): string[] {
  const usable = new Set<string>();
  for (const one of given) {
    if (usable.size === MAX_ADDRESSES_TO_DIAL) break;
    if (typeof one === "string" && one.length > MAX_MULTIADDR_LENGTH) continue;
    const address = addressOf(peerId, one, modules);
    if (address === undefined || (loopbackOnly && !isLoopback(address))) continue;
    usable.add(address.toString());
  }
  return [...usable];
}

function addressOf(peerId: string, given: string | Multiaddr, { multiaddr }: Modules) {
  let address: Multiaddr;
  try {
    address = multiaddr.multiaddr(given);
  } catch {
    return undefined; // A peer's rubbish is no failure of ours: its other addresses may do.
  }
  const last = address.getComponents().at(-1);
  if (last?.name !== "p2p") return address.encapsulate(`/p2p/${peerId}`);
  return last.value === peerId ? address : undefined;
}
