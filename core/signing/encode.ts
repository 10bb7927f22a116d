/**
 * EIP-712 encoding of Lloom's messages. Each type is compiled once to writers into a buffer of its
 * own, which makes hashing about thirty times faster than a general encoder.
 * Rules: https://eips.ethereum.org/EIPS/eip-712
 * @module
 */
import { type Messages, type MessageType, type SigningDomain, TYPES } from "./typed_data.ts";

/** keccak256 over all parts, one after the other: 32 bytes of its own. */
export type Keccak256 = (...parts: readonly Uint8Array[]) => Uint8Array<ArrayBuffer>;

/**
 * Hashes messages within one domain.
 * All methods throw `TypeError` or `RangeError` for a field that its EIP-712 type cannot hold.
 */
export interface TypedDataHasher {
  /** EIP-712's hashStruct of the domain, 32 bytes. */
  readonly domainSeparator: Uint8Array;
  /** EIP-712's hashStruct of a message, 32 bytes: independent of the domain. */
  hashStruct<T extends MessageType>(type: T, message: Messages[T]): Uint8Array<ArrayBuffer>;
  /** What is signed: keccak256(0x1901 ‖ domain separator ‖ hashStruct). */
  digest<T extends MessageType>(type: T, message: Messages[T]): Uint8Array<ArrayBuffer>;
  /** {@linkcode TypedDataHasher.digest} where hashStruct is known already. */
  digestOfStruct(hashStruct: Uint8Array): Uint8Array<ArrayBuffer>;
}

type Field = { readonly name: string; readonly type: string };
type Fields = { readonly [name: string]: unknown };
/** Writes one value into the 32-byte word at `at`. */
type Write = (word: Uint8Array, view: DataView, at: number, value: unknown, name: string) => void;

const WORD = 32;
const DOMAIN_FIELDS: readonly Field[] = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
];

/** The value of a lower-case hex digit by its character code; 255 for any other character. */
const NIBBLES = new Uint8Array(128).fill(255);
for (let i = 0; i < 16; i++) NIBBLES[i.toString(16).charCodeAt(0)] = i;

function hexWriter(length: number): Write {
  const skip = WORD - length; // bytes32 fills its word, an address stands at its end
  return (word, _view, at, value, name) => {
    if (typeof value !== "string" || value.length !== 2 + 2 * length || !value.startsWith("0x")) {
      throw new TypeError(`encode ${name}: not 0x and ${2 * length} hex digits`);
    }
    for (let i = 0; i < length; i++) {
      const high = NIBBLES[value.charCodeAt(2 + 2 * i)] ?? 255;
      const low = NIBBLES[value.charCodeAt(3 + 2 * i)] ?? 255;
      if (high > 15 || low > 15) throw new TypeError(`encode ${name}: not lower-case hex`);
      word[at + skip + i] = high << 4 | low;
    }
  };
}

/** Up to 32 bits as `number`, above as `bigint`: as the interfaces of the messages have it. */
function uintWriter(bits: number): Write {
  if (bits <= 32) {
    return (_word, view, at, value, name) => {
      if (typeof value !== "number") throw new TypeError(`encode ${name}: not a number`);
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
        throw new RangeError(`encode ${name}: not a uint${bits}`);
      }
      view.setUint32(at + WORD - 4, value);
    };
  }
  return (_word, view, at, value, name) => {
    if (typeof value !== "bigint") throw new TypeError(`encode ${name}: not a bigint`);
    if (value < 0n || value >> BigInt(bits) !== 0n) {
      throw new RangeError(`encode ${name}: not a uint${bits}`);
    }
    view.setBigUint64(at + 24, value); // takes the lowest 64 bits
    for (let shift = 64; shift < bits; shift += 64) {
      view.setBigUint64(at + 24 - shift / 8, value >> BigInt(shift));
    }
  };
}

const writeBool: Write = (word, _view, at, value, name) => {
  if (typeof value !== "boolean") throw new TypeError(`encode ${name}: not a boolean`);
  word[at + WORD - 1] = value ? 1 : 0;
};

function writerOf(type: string, hashText: (text: string) => Uint8Array): Write {
  if (type === "bool") return writeBool;
  if (type === "address") return hexWriter(20);
  if (type === "bytes32") return hexWriter(32);
  if (type === "string") {
    return (word, _view, at, value, name) => {
      // TextEncoder would turn different ill-formed texts into the same bytes.
      if (typeof value !== "string" || !value.isWellFormed()) {
        throw new TypeError(`encode ${name}: not a well-formed text`);
      }
      word.set(hashText(value), at);
    };
  }
  const bits = /^uint(\d+)$/.exec(type)?.[1];
  if (bits === undefined) throw new TypeError(`encode: no writer for ${type}`);
  return uintWriter(Number(bits));
}

/** A function that gives hashStruct of one type; its buffer is reused, so it must stay synchronous. */
function compile(keccak256: Keccak256, type: string, fields: readonly Field[]) {
  const encoder = new TextEncoder();
  const hashText = (text: string) => keccak256(encoder.encode(text));
  const members = fields.map((field) => `${field.type} ${field.name}`).join(",");
  const writes = fields.map((field) => ({
    name: field.name,
    write: writerOf(field.type, hashText),
  }));
  const buffer = new Uint8Array(WORD * (1 + fields.length));
  const view = new DataView(buffer.buffer);
  buffer.set(hashText(`${type}(${members})`));
  return (message: Fields): Uint8Array<ArrayBuffer> => {
    let at = 0;
    for (const { name, write } of writes) write(buffer, view, at += WORD, message[name], name);
    return keccak256(buffer);
  };
}

/**
 * A hasher for one domain.
 * @throws {TypeError | RangeError} for a domain that EIP-712 cannot hold
 */
export function createTypedDataHasher(
  keccak256: Keccak256,
  domain: SigningDomain,
): TypedDataHasher {
  const domainSeparator = compile(keccak256, "EIP712Domain", DOMAIN_FIELDS)({ ...domain });
  const hashers = new Map<MessageType, (message: Fields) => Uint8Array<ArrayBuffer>>();
  for (const type of Object.keys(TYPES) as MessageType[]) {
    hashers.set(type, compile(keccak256, type, TYPES[type]));
  }
  const prefix = new Uint8Array([0x19, 0x01]);
  const hashStruct: TypedDataHasher["hashStruct"] = (type, message) => {
    const hasher = hashers.get(type);
    if (hasher === undefined) throw new TypeError("encode: unknown message type");
    return hasher(message as unknown as Fields);
  };
  const digestOfStruct = (hash: Uint8Array) => keccak256(prefix, domainSeparator, hash);
  return {
    domainSeparator,
    hashStruct,
    digestOfStruct,
    digest: (type, message) => digestOfStruct(hashStruct(type, message)),
  };
}
