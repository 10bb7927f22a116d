/**
 * Dot products in WebAssembly SIMD: nearly all the time of a language model.
 *
 * The same loop in JavaScript takes six times as long, because JavaScript has no vectors and widens
 * every f32 to f64. It is one small function, so it is assembled here: no build step, no binary file.
 * Opcodes: https://webassembly.github.io/spec/core/binary/instructions.html
 * @module
 */

/** Floats in one step of the inner loop; vector lengths must be multiples of it. */
export const LANES = 16;

const PAGE_BYTES = 65536;

/** A block of memory and the one operation on it. All positions and lengths count floats. */
export interface Kernel {
  readonly memory: Float32Array;
  /**
   * `y[r] = Σ w[r * stride + c] · x[c]` for each of the rows.
   * @param cols a multiple of {@linkcode LANES}, not 0
   * @param rows not 0
   * @throws {WebAssembly.RuntimeError} if it reaches beyond the memory
   */
  matvec(y: number, w: number, x: number, rows: number, cols: number, stride: number): void;
}

type Code = readonly number[];

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const tee = (local: number): Code => [0x22, local];
/** An i32 constant from 0 to 63: one byte of signed LEB128. */
const int = (value: number): Code => [0x41, value];
const LOOP: Code = [0x03, 0x40];
const END: Code = [0x0b];
const AGAIN_IF: Code = [0x0d, 0x00];
const LESS: Code = [0x49]; // i32.lt_u
const ADD: Code = [0x6a]; // i32.add
const SHIFT_LEFT: Code = [0x74]; // i32.shl
const STORE: Code = [0x38, 2, 0]; // f32.store
const ADD_FLOAT: Code = [0x92]; // f32.add
const load = (offset: number): Code => [0xfd, 0x00, 4, offset]; // v128.load
const ZEROS: Code = [0xfd, 0x0c, ...new Array<number>(16).fill(0)]; // v128.const
const lane = (index: number): Code => [0xfd, 0x1f, index]; // f32x4.extract_lane
const ADD_FLOATS: Code = [0xfd, 0xe4, 0x01]; // f32x4.add
const MULTIPLY: Code = [0xfd, 0xe6, 0x01]; // f32x4.mul

const I32 = 0x7f;
const V128 = 0x7b;
const PARAMETERS = { y: 0, w: 1, x: 2, rows: 3, cols: 4, stride: 5 } as const;
const END_OF_Y = 6;
const AT = 7;
const SUMS = [8, 9, 10, 11] as const;

/** The body of `matvec`, where all numbers are bytes but `rows`. */
function body(): Code {
  const { y, w, x, rows, cols, stride } = PARAMETERS;
  const [a, b, c, d] = SUMS;
  const accumulate = (sum: number, offset: number) => [
    ...get(sum),
    ...[...get(w), ...get(AT), ...ADD, ...load(offset)],
    ...[...get(x), ...get(AT), ...ADD, ...load(offset)],
    ...MULTIPLY,
    ...ADD_FLOATS,
    ...set(sum),
  ];
  return [
    ...[...get(y), ...get(rows), ...int(2), ...SHIFT_LEFT, ...ADD, ...set(END_OF_Y)],
    ...LOOP, // over the rows
    ...SUMS.flatMap((sum) => [...ZEROS, ...set(sum)]),
    ...[...int(0), ...set(AT)],
    ...LOOP, // over one row, with four independent sums to hide the latency of an addition
    ...SUMS.flatMap((sum, i) => accumulate(sum, 16 * i)),
    ...[...get(AT), ...int(32), ...ADD, ...int(32), ...ADD, ...tee(AT), ...get(cols), ...LESS],
    ...AGAIN_IF,
    ...END,
    ...[...get(a), ...get(b), ...ADD_FLOATS, ...get(c), ...get(d), ...ADD_FLOATS, ...ADD_FLOATS],
    ...set(a),
    ...get(y),
    ...[...get(a), ...lane(0), ...get(a), ...lane(1), ...ADD_FLOAT],
    ...[...get(a), ...lane(2), ...get(a), ...lane(3), ...ADD_FLOAT],
    ...[...ADD_FLOAT, ...STORE],
    ...[...get(w), ...get(stride), ...ADD, ...set(w)],
    ...[...get(y), ...int(4), ...ADD, ...tee(y), ...get(END_OF_Y), ...LESS],
    ...AGAIN_IF,
    ...END,
    ...END,
  ];
}

/** An unsigned LEB128 number below 2^14. */
const size = (value: number): Code => value < 128 ? [value] : [(value & 127) | 128, value >> 7];
const section = (id: number, content: Code): Code => [id, ...size(content.length), ...content];
const name = (text: string): Code => [text.length, ...new TextEncoder().encode(text)];

/** A module that imports `env.memory` and exports `matvec`. */
function assemble(): Uint8Array<ArrayBuffer> {
  const parameters = Object.values(PARAMETERS);
  const locals = [2, 2, I32, SUMS.length, V128];
  const code = [...locals, ...body()];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, parameters.length, ...parameters.map(() => I32), 0]),
    ...section(2, [1, ...name("env"), ...name("memory"), 0x02, 0x00, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name("matvec"), 0x00, 0]),
    ...section(10, [1, ...size(code.length), ...code]),
  ]);
}

/**
 * A kernel with zeroed memory. The system hands out the pages as they are first written.
 * @param floats how much memory
 * @throws {RangeError} if there is not so much memory
 */
export function createKernel(floats: number): Kernel {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(floats * 4 / PAGE_BYTES) });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble()), {
    env: { memory },
  });
  const matvec = exports.matvec as Kernel["matvec"];
  return {
    memory: new Float32Array(memory.buffer),
    matvec: (y, w, x, rows, cols, stride) =>
      matvec(4 * y, 4 * w, 4 * x, rows, 4 * cols, 4 * stride),
  };
}
