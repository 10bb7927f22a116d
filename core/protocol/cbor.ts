/**
 * CBOR messages: maps with text keys. Decoding is strict where it protects us (one item, no
 * duplicate keys, no indefinite lengths) and lenient where it lets the protocol grow: unknown
 * fields are ignored, unless the sender lists them in `crit` as required (JOSE's rule, RFC 7515).
 * @module
 */
import { decode, encode, Tokenizer } from "cborg";
import { type Address, type Hash, toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { MAX_CBOR_ITEMS } from "./limits.ts";

const DECODE = {
  strict: true,
  retainStringBytes: true, // for BoundedTokenizer
  allowBigInt: true, // nonces have 64 bits
  useMaps: true, // a plain object would take "__proto__" for more than a key
  rejectDuplicateMapKeys: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
} as const;

/** Values of a message. Absent fields are left out, never null. */
export type CborValue =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly CborValue[]
  | { readonly [key: string]: CborValue | undefined };

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Counts items, since a few bytes of input can ask for many objects, and reads text strictly. */
class BoundedTokenizer extends Tokenizer {
  #items = 0;

  override next(): ReturnType<Tokenizer["next"]> {
    if (++this.#items > MAX_CBOR_ITEMS) throw new RangeError(`more than ${MAX_CBOR_ITEMS} items`);
    const token = super.next();
    const { value, byteValue } = token;
    // cborg lets malformed UTF-8 and a byte order mark pass, changed: two texts would become one.
    if (byteValue !== undefined && !isAscii(value, byteValue)) {
      token.value = strictUtf8.decode(byteValue);
    }
    return token;
  }
}

function isAscii(text: string, bytes: Uint8Array): boolean {
  if (text.length !== bytes.length) return false;
  for (const byte of bytes) if (byte > 0x7f) return false;
  return true;
}

/** A message as CBOR, in a buffer of its own; fields that are undefined are left out. */
export function encodeCbor(
  message: { readonly [key: string]: CborValue | undefined },
): Uint8Array<ArrayBuffer> {
  const bytes = encode(message, { ignoreUndefinedProperties: true });
  // cborg may give a view into Node's shared pool of Buffers; to transfer that would take the pool.
  const own = bytes.length === bytes.buffer.byteLength && bytes.constructor === Uint8Array;
  return own ? bytes : new Uint8Array(bytes);
}

const utf8 = new TextEncoder();
const UINT64_MAX = (1n << 64n) - 1n;

/**
 * Reads the fields of one decoded map, each with its bounds. Call {@linkcode Fields.finish} last:
 * it rejects a message that requires a field nobody read.
 */
export class Fields {
  readonly #map: ReadonlyMap<unknown, unknown>;
  readonly #what: string;
  readonly #read = new Set<string>(["crit"]);

  private constructor(map: ReadonlyMap<unknown, unknown>, what: string) {
    this.#map = map;
    this.#what = what;
  }

  /**
   * One CBOR map.
   * @param what names the message in errors
   * @throws {LloomError} `frame_too_large`, `frame_malformed`
   */
  static decode(bytes: Uint8Array, maxBytes: number, what: string): Fields {
    if (bytes.length > maxBytes) {
      throw new LloomError(
        "frame_too_large",
        `decode ${what}: ${bytes.length} of ${maxBytes} bytes`,
      );
    }
    const { buffer, byteOffset, length } = bytes;
    // Of a Node Buffer, which is a Uint8Array too, slices would be views instead of copies.
    const plain = new Uint8Array(buffer, byteOffset, length);
    let value: unknown;
    try {
      value = decode(plain, { ...DECODE, tokenizer: new BoundedTokenizer(plain, DECODE) });
    } catch (cause) {
      throw new LloomError("frame_malformed", `decode ${what}: not one CBOR item`, { cause });
    }
    if (!(value instanceof Map)) throw malformed(what, "not a map");
    return new Fields(value, what);
  }

  /** A text of at most `maxBytes` bytes of UTF-8. */
  text(key: string, maxBytes: number): string {
    const value = this.#required(key);
    if (!isText(value, maxBytes)) throw this.#bad(key, `a text of at most ${maxBytes} bytes`);
    return value;
  }

  /** A text of letters, digits, dots, dashes and underscores: a name that can be shown as it is. */
  word(key: string, maxBytes: number): string {
    const value = this.text(key, maxBytes);
    if (!/^[A-Za-z0-9._-]+$/.test(value)) throw this.#bad(key, "a plain word");
    return value;
  }

  /** One of a few words. */
  oneOf<T extends string>(key: string, words: readonly T[]): T {
    const value = this.#required(key);
    const word = words.find((w) => w === value);
    if (word === undefined) throw this.#bad(key, `one of ${words.join(", ")}`);
    return word;
  }

  /** From `min` to `max` bytes. */
  bytes(key: string, min: number, max: number): Uint8Array {
    const value = this.#required(key);
    if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
      throw this.#bad(key, `${min} to ${max} bytes`);
    }
    return value;
  }

  /** A hash: 32 bytes. */
  hash(key: string): Hash {
    return toHex(this.bytes(key, 32, 32));
  }

  /** An Ethereum address: 20 bytes. */
  address(key: string): Address {
    return toHex(this.bytes(key, 20, 20));
  }

  /** An integer from `min` to `max`. */
  uint(key: string, max = Number.MAX_SAFE_INTEGER, min = 0): number {
    const value = this.#required(key);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw this.#bad(key, `an integer from ${min} to ${max}`);
    }
    return value;
  }

  /** An integer of 64 bits. */
  uint64(key: string): bigint {
    const value = this.#required(key);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) {
      return BigInt(value);
    }
    if (typeof value === "bigint" && value >= 0n && value <= UINT64_MAX) return value;
    throw this.#bad(key, "an integer of 64 bits");
  }

  /** A number from `low` to `high`. */
  number(key: string, low: number, high: number): number {
    const value = this.#required(key);
    if (typeof value !== "number" || !(value >= low && value <= high)) {
      throw this.#bad(key, `a number from ${low} to ${high}`);
    }
    return value;
  }

  /** A large integer, written as decimal text (wire 1 does so too): of at most `bits`, which is at most 256. */
  amount(key: string, bits = 256): bigint {
    const value = this.#required(key);
    if (typeof value === "string" && /^(?:0|[1-9][0-9]{0,77})$/.test(value)) {
      const amount = BigInt(value);
      if (amount >> BigInt(bits) === 0n) return amount;
    }
    throw this.#bad(key, `a decimal amount of at most ${bits} bits`);
  }

  /** True or false. */
  boolean(key: string): boolean {
    const value = this.#required(key);
    if (typeof value !== "boolean") throw this.#bad(key, "true or false");
    return value;
  }

  /** A nested map. */
  fields(key: string): Fields {
    const value = this.#required(key);
    if (!(value instanceof Map)) throw this.#bad(key, "a map");
    return new Fields(value, `${this.#what}.${key}`);
  }

  /** A list of nested maps, each read by `read`. */
  list<T>(key: string, max: number, read: (fields: Fields) => T): readonly T[] {
    return this.#items(key, max).map((value, i) => {
      if (!(value instanceof Map)) throw this.#bad(key, "a list of maps");
      return read(new Fields(value, `${this.#what}.${key}[${i}]`));
    });
  }

  /** A list of hashes. */
  hashes(key: string, max: number): readonly Hash[] {
    return this.#items(key, max).map((value) => {
      if (!(value instanceof Uint8Array) || value.length !== 32) {
        throw this.#bad(key, "hashes of 32 bytes");
      }
      return toHex(value);
    });
  }

  /** A list of texts. */
  texts(key: string, max: number, maxBytes: number): readonly string[] {
    return this.#items(key, max).map((value) => {
      if (!isText(value, maxBytes)) throw this.#bad(key, `texts of at most ${maxBytes} bytes`);
      return value;
    });
  }

  /** Whether the message has a field, so that an optional one can be read. */
  has(key: string): boolean {
    this.#read.add(key);
    return this.#map.has(key);
  }

  /** Ends reading. @throws {LloomError} `frame_unsupported` if the sender requires a field that was not read */
  finish(): void {
    if (!this.#map.has("crit")) return;
    for (const name of this.texts("crit", 16, 64)) {
      if (!this.#read.has(name)) {
        throw new LloomError("frame_unsupported", `decode ${this.#what}: unknown required field`);
      }
    }
  }

  #required(key: string): unknown {
    this.#read.add(key);
    const value = this.#map.get(key);
    if (value === undefined) throw this.#bad(key, "present");
    return value;
  }

  #items(key: string, max: number): readonly unknown[] {
    const value = this.#required(key);
    if (!Array.isArray(value) || value.length > max) {
      throw this.#bad(key, `a list of at most ${max}`);
    }
    return value;
  }

  #bad(key: string, want: string): LloomError {
    return malformed(this.#what, `${key} must be ${want}`);
  }
}

function isText(value: unknown, maxBytes: number): value is string {
  return typeof value === "string" && value.length <= maxBytes &&
    (value.length * 3 <= maxBytes || utf8.encode(value).length <= maxBytes);
}

function malformed(what: string, why: string): LloomError {
  return new LloomError("frame_malformed", `decode ${what}: ${why}`);
}
