/** Multiaddrs from outside. @module */
import type { ConnectionGater } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { MAX_ADDRESSES_TO_DIAL, MAX_MULTIADDR_BYTES } from "../protocol/limits.ts";
import type { Modules } from "./modules.ts";

/** A multiaddr from a setting. @throws {LloomError} `config_invalid` */
export function parseAddress(
  text: string,
  { multiaddr }: Pick<Modules, "multiaddr">,
): Multiaddr {
  try {
    return multiaddr.multiaddr(text);
  } catch (cause) {
    throw new LloomError("config_invalid", "read address: not a multiaddr", { cause });
  }
}

/** Multicodec of the protocols that an IP address begins with. */
const IP4 = 4;
const IP6 = 41;
const NAMES: ReadonlySet<string> = new Set(["dns", "dns4", "dns6"]);
/** The first 12 bytes of an IPv6 address that stands for an IPv4 one (RFC 4291, 2.5.5.2). */
const MAPPED = "0".repeat(20) + "ffff";

/**
 * Whether an address leads, in its first step, to this machine. Of names only `localhost` does
 * (RFC 6761): to resolve any other asks another machine.
 */
export function isLoopback(address: Multiaddr): boolean {
  const { name, value } = address.getComponents()[0] ?? {};
  if (name !== undefined && NAMES.has(name)) return value?.toLowerCase() === "localhost";
  const { bytes } = address;
  if (bytes[0] === IP4) return bytes[1] === 127;
  if (bytes[0] !== IP6) return false;
  const ip = toHex(bytes.subarray(1, 17)).slice(2);
  return ip === "1".padStart(32, "0") || ip.startsWith(MAPPED + "7f");
}

/** Whether none of some addresses from settings leads off this machine. @throws {LloomError} `config_invalid` */
export async function areLoopback(addresses: readonly string[]): Promise<boolean> {
  const modules = { multiaddr: await import("@multiformats/multiaddr") };
  return addresses.every((text) => isLoopback(parseAddress(text, modules)));
}

/**
 * What tells one host from another, as far as an address does: an IPv4 address, or the 64 bits of an
 * IPv6 one that a network is given. Undefined for this machine, and for what begins with no IP address.
 */
export function hostOf(address: Multiaddr): string | undefined {
  if (isLoopback(address)) return undefined;
  const { bytes } = address;
  if (bytes[0] === IP4) return toHex(bytes.subarray(1, 5));
  if (bytes[0] !== IP6) return undefined;
  const ip = toHex(bytes.subarray(1, 17));
  return ip.startsWith("0x" + MAPPED) ? `0x${ip.slice(-8)}` : ip.slice(0, 18);
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
    if (typeof one === "string" && one.length > MAX_MULTIADDR_BYTES) continue;
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
