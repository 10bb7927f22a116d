/** Small helpers over byte arrays and hex text. @module */

/** `0x` and lower-case hex digits, two a byte. */
export type Hex = `0x${string}`;
/** 32 bytes as {@linkcode Hex}. */
export type Hash = Hex;
/** A 20-byte Ethereum address as lower-case {@linkcode Hex}: comparable with `===`. */
export type Address = Hex;

/** 32 zero bytes: "none" wherever a message has a hash that may be absent. */
export const ZERO_HASH: Hash = `0x${"0".repeat(64)}`;
/** 20 zero bytes. */
export const ZERO_ADDRESS: Address = `0x${"0".repeat(40)}`;

/** Bytes as `0x…` text. */
export function toHex(bytes: Uint8Array): Hex {
  return `0x${bytes.toHex()}`;
}

/** `0x…` text, of either case, as bytes. @throws {TypeError} if it is not hex of whole bytes */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (!text.startsWith("0x")) throw new TypeError("parse hex: no 0x before it");
  try {
    return Uint8Array.fromHex(text.slice(2));
  } catch (cause) {
    throw new TypeError("parse hex: not byte pairs", { cause });
  }
}

/** All parts, one after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Whether two arrays hold the same bytes. Not constant-time: never for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
