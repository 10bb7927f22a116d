/** From where a request comes, as far as that can be believed. @module */

/** More hops than any real chain of proxies has. */
const MAX_HOPS = 32;

/**
 * The source that a request is counted for: an IPv4 address, or the /64 that an IPv6 address is of,
 * since whoever has one address of it has all.
 * @param remoteAddress the other end of the connection
 * @param forwardedFor the header `X-Forwarded-For`, believed only as far as trusted proxies wrote it
 * @param trustedProxies addresses, in any spelling
 */
export function sourceOf(
  remoteAddress: string,
  forwardedFor: string | null,
  trustedProxies: readonly string[],
): string {
  const trusted = new Set(trustedProxies.map(canonical));
  let source = canonical(remoteAddress);
  // Each proxy appends whom it heard: from the right, up to the first that is not one of ours.
  const hops = (forwardedFor ?? "").split(",").slice(-MAX_HOPS).map((hop) => hop.trim());
  while (trusted.has(source)) {
    const before = canonical(hops.pop() ?? "");
    if (before === undefined) break;
    source = before;
  }
  return network(source ?? "");
}

/** One spelling for every address, mapped IPv4 addresses as IPv4; undefined if it is none. */
function canonical(text: string): string | undefined {
  const [address = ""] = text.split("%"); // a link-local address may name its interface
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(address)) {
    return address.split(".").every((part) => Number(part) <= 255) ? address : undefined;
  }
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(address) || !URL.canParse(`http://[${address}]`)) {
    return undefined;
  }
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain);
  if (mapped === null) return plain;
  const words = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
  return words.flatMap((word) => [word >> 8, word & 255]).join(".");
}

function network(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const words = [...before, ...new Array<string>(zeros).fill("0"), ...after];
  return `${words.slice(0, 4).join(":")}::/64`;
}
