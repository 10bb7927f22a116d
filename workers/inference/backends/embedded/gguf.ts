/**
 * Reads GGUF version 3, the file format of llama.cpp's models.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * A file is not trusted: every length is checked against the bytes that are left before anything is
 * allocated, so that memory stays proportional to the file.
 * @module
 */
import { LloomError } from "@lloom/core/errors";

/** A metadata value. 64-bit integers are bigints. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** How a tensor's numbers are stored. */
export type TensorType = "f32" | "f16" | "q8_0";

/** Where one tensor lies in the file. */
export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Dimensions in GGML's order: the length of a row first. */
  readonly shape: readonly number[];
  /** Product of the dimensions. */
  readonly elements: number;
  /** Of its first byte in the file. */
  readonly offset: number;
}

/** A file's description. The tensors' numbers stay in `bytes` until {@linkcode readTensor}. */
export interface Gguf {
  readonly bytes: Uint8Array;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 0x46554747; // "GGUF", little-endian
const VERSION = 3;
const ARRAY = 9;
/** Deeper nesting has no use, and would let a small file exhaust the stack. */
const MAX_ARRAY_DEPTH = 4;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 16;
/** Values in one q8_0 block: an f16 scale, then so many int8. */
const BLOCK = 32;

const LAYOUT: Readonly<Record<TensorType, { readonly values: number; readonly bytes: number }>> = {
  f32: { values: 1, bytes: 4 },
  f16: { values: 1, bytes: 2 },
  q8_0: { values: BLOCK, bytes: 2 + BLOCK },
};
const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map([[0, "f32"], [1, "f16"], [
  8,
  "q8_0",
]]);

/** Fewest bytes that one value of each metadata type takes. */
const MIN_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

function fail(what: string, cause?: unknown): never {
  throw new LloomError("backend_malformed", `read GGUF: ${what}`, { cause });
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Moves past `count` bytes and returns where they begin. */
  take(count: number): number {
    const at = this.position;
    if (count > this.#bytes.length - at) fail(`ends within a field at byte ${at}`);
    this.position += count;
    return at;
  }

  u32(): number {
    return this.#view.getUint32(this.take(4), true);
  }

  u64(): number {
    const value = this.#view.getBigUint64(this.take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail("a length or offset is out of range");
    return Number(value);
  }

  /** A number of things of which each takes at least `minBytes`. */
  count(minBytes: number): number {
    const count = this.u64();
    if (count > (this.#bytes.length - this.position) / minBytes) {
      fail("counts more than it has bytes for");
    }
    return count;
  }

  text(): string {
    const length = this.count(1);
    const at = this.take(length);
    try {
      return this.#utf8.decode(this.#bytes.subarray(at, at + length));
    } catch (cause) {
      fail(`text at byte ${at} is not UTF-8`, cause);
    }
  }

  value(type: number, depth = 0): GgufValue {
    switch (type) {
      case 0:
        return this.#view.getUint8(this.take(1));
      case 1:
        return this.#view.getInt8(this.take(1));
      case 2:
        return this.#view.getUint16(this.take(2), true);
      case 3:
        return this.#view.getInt16(this.take(2), true);
      case 4:
        return this.u32();
      case 5:
        return this.#view.getInt32(this.take(4), true);
      case 6:
        return this.#view.getFloat32(this.take(4), true);
      case 7: {
        const byte = this.#view.getUint8(this.take(1));
        if (byte > 1) fail("a boolean is neither 0 nor 1");
        return byte === 1;
      }
      case 8:
        return this.text();
      case ARRAY:
        return this.#array(depth);
      case 10:
        return this.#view.getBigUint64(this.take(8), true);
      case 11:
        return this.#view.getBigInt64(this.take(8), true);
      case 12:
        return this.#view.getFloat64(this.take(8), true);
      default:
        fail(`unknown metadata type ${type}`);
    }
  }

  #array(depth: number): readonly GgufValue[] {
    if (depth === MAX_ARRAY_DEPTH) fail("arrays are nested too deeply");
    const type = this.u32();
    const count = this.count(MIN_BYTES[type] ?? fail(`unknown metadata type ${type}`));
    const values: GgufValue[] = [];
    for (let i = 0; i < count; i++) values.push(this.value(type, depth + 1));
    return values;
  }
}

function readMetadata(reader: Reader, count: number): ReadonlyMap<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = reader.text();
    if (metadata.has(key)) fail("a metadata key occurs twice");
    metadata.set(key, reader.value(reader.u32()));
  }
  return metadata;
}

/** A tensor's entry; its offset still counts from the start of the data. */
function readTensorInfo(reader: Reader): GgufTensor {
  const name = reader.text();
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    fail("a tensor has too few or many dimensions");
  }
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.push(reader.u64());
  const elements = shape.reduce((product, length) => product * length, 1);
  if (elements < 1 || !Number.isSafeInteger(elements)) fail("a tensor's size is out of range");
  const typeId = reader.u32();
  const type = TENSOR_TYPES.get(typeId) ?? fail(`tensor type ${typeId} is not supported`);
  if (shape[0]! % LAYOUT[type].values !== 0) fail("a tensor's row is not made of whole blocks");
  return { name, type, shape, elements, offset: reader.u64() };
}

function byteLength({ type, elements }: GgufTensor): number {
  return elements / LAYOUT[type].values * LAYOUT[type].bytes;
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  if (!metadata.has("general.alignment")) return DEFAULT_ALIGNMENT;
  const alignment = integerOf(metadata, "general.alignment", 8, MAX_ALIGNMENT);
  return alignment % 8 === 0 ? alignment : fail("the alignment is not a multiple of 8");
}

/**
 * A file's metadata and tensors, checked to lie inside it.
 * @throws {LloomError} `backend_malformed`
 */
export function parseGguf(bytes: Uint8Array): Gguf {
  const reader = new Reader(bytes);
  if (reader.u32() !== MAGIC) fail("not a GGUF file");
  const version = reader.u32();
  if (version !== VERSION) fail(`version ${version} is not supported`);
  const tensorCount = reader.count(8 + 4 + 8 + 4 + 8);
  const metadata = readMetadata(reader, reader.count(8 + 4 + 1));
  const infos = Array.from({ length: tensorCount }, () => readTensorInfo(reader));

  const alignment = alignmentOf(metadata);
  const start = Math.ceil(reader.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  let room = bytes.length - start;
  for (const info of infos) {
    const offset = start + info.offset;
    // `room` bounds the sum too: else a small file could name the same bytes a thousand times.
    room -= byteLength(info);
    if (room < 0 || offset + byteLength(info) > bytes.length) fail("a tensor ends beyond the file");
    if (info.offset % alignment !== 0) fail("a tensor is not aligned");
    if (tensors.has(info.name)) fail("a tensor's name occurs twice");
    tensors.set(info.name, { ...info, offset });
  }
  return { bytes, metadata, tensors };
}

/**
 * Writes a tensor's numbers to `out` as f32, row by row.
 * @param out as long as the tensor has elements
 * @throws {LloomError} `backend_malformed` if a number is not finite
 */
export function readTensor({ bytes }: Gguf, tensor: GgufTensor, out: Float32Array): void {
  if (out.length !== tensor.elements) throw new RangeError("read tensor: wrong length of out");
  const view = new DataView(bytes.buffer, bytes.byteOffset + tensor.offset, byteLength(tensor));
  const finite = (value: number) =>
    Number.isFinite(value) ? value : fail("a weight is not a finite number");
  if (tensor.type === "f32") {
    for (let i = 0; i < out.length; i++) out[i] = finite(view.getFloat32(4 * i, true));
  } else if (tensor.type === "f16") {
    for (let i = 0; i < out.length; i++) out[i] = finite(view.getFloat16(2 * i, true));
  } else {
    for (let i = 0, at = 0; i < out.length; i += BLOCK, at += 2 + BLOCK) {
      const scale = finite(view.getFloat16(at, true));
      for (let j = 0; j < BLOCK; j++) out[i + j] = scale * view.getInt8(at + 2 + j);
    }
  }
}

/** A metadata integer of any width. @throws {LloomError} `backend_malformed` if absent or out of range */
export function integerOf(
  metadata: ReadonlyMap<string, GgufValue>,
  key: string,
  low: number,
  high: number,
): number {
  const value = metadata.get(key);
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < low || number > high) {
    fail(`${key} is not an integer from ${low} to ${high}`);
  }
  return number;
}

/** A metadata number. @throws {LloomError} `backend_malformed` if absent or not finite */
export function numberOf(metadata: ReadonlyMap<string, GgufValue>, key: string): number {
  const value = metadata.get(key);
  return typeof value === "number" && Number.isFinite(value) ? value : fail(`${key} is no number`);
}

/** A metadata text. @throws {LloomError} `backend_malformed` if absent */
export function textOf(metadata: ReadonlyMap<string, GgufValue>, key: string): string {
  const value = metadata.get(key);
  return typeof value === "string" ? value : fail(`${key} is no text`);
}

/** A metadata list of texts. @throws {LloomError} `backend_malformed` if absent */
export function textsOf(metadata: ReadonlyMap<string, GgufValue>, key: string): readonly string[] {
  const value = metadata.get(key);
  const isText = (item: GgufValue): item is string => typeof item === "string";
  return Array.isArray(value) && value.every(isText) ? value : fail(`${key} is no list of texts`);
}
