/** Writes small GGUF files, so that tests can have any kind. @module */

/** A metadata value with its GGUF type. */
export type Field = readonly [key: string, type: number, write: (out: Writer) => void];

/** A tensor with its GGML type and its bytes. */
export interface TensorSource {
  readonly name: string;
  readonly type: number;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Little-endian numbers and texts, one after the other. */
export class Writer {
  readonly #bytes: number[] = [];

  number(
    kind: "Uint8" | "Int8" | "Uint16" | "Int16" | "Uint32" | "Int32" | "Float32" | "Float64",
    value: number,
  ): this {
    const view = new DataView(new ArrayBuffer(8));
    view[`set${kind}`](0, value, true);
    const size = {
      Uint8: 1,
      Int8: 1,
      Uint16: 2,
      Int16: 2,
      Uint32: 4,
      Int32: 4,
      Float32: 4,
      Float64: 8,
    };
    return this.raw(new Uint8Array(view.buffer, 0, size[kind]));
  }

  u64(value: bigint | number): this {
    return this.raw(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  text(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(bytes.length).raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  align(to: number): this {
    while (this.#bytes.length % to !== 0) this.#bytes.push(0);
    return this;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }
}

/** A whole file, its data aligned to 32. */
export function writeGguf(
  fields: readonly Field[],
  tensors: readonly TensorSource[],
): Uint8Array<ArrayBuffer> {
  const out = new Writer().number("Uint32", 0x46554747).number("Uint32", 3);
  out.u64(tensors.length).u64(fields.length);
  for (const [key, type, write] of fields) write(out.text(key).number("Uint32", type));
  let offset = 0;
  for (const { name, type, shape, bytes } of tensors) {
    out.text(name).number("Uint32", shape.length);
    for (const length of shape) out.u64(length);
    out.number("Uint32", type).u64(offset);
    offset += Math.ceil(bytes.length / 32) * 32;
  }
  for (const { bytes } of tensors) out.align(32).raw(bytes);
  return out.bytes;
}
