/**
 * Frames on a stream: an unsigned varint with the body's length, then the body.
 * The varint is https://github.com/multiformats/unsigned-varint, minimal, of at most five bytes.
 * No message is empty, and so no frame is.
 * @module
 */
import { LloomError } from "../errors.ts";
import { UNCOUNTED_MESSAGE_BYTES } from "./limits.ts";

/** Bytes of the longest length prefix: 35 bits, more than any frame limit. */
const MAX_PREFIX_BYTES = 5;
/** What a body that spans chunks gets first; it doubles as bytes arrive, whatever length the peer claimed. */
const FIRST_BODY_BYTES = 1024;

function prefixBytes(length: number): number {
  let bytes = 1;
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Bytes that a body takes as a frame. */
export function frameBytes(body: Uint8Array): number {
  return prefixBytes(body.length) + body.length;
}

/** Bodies as frames, one after the other, in one array. @throws {RangeError} for an empty body */
export function encodeFrames(bodies: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let total = 0;
  for (const body of bodies) {
    if (body.length === 0) throw new RangeError("encode frame: the body is empty");
    total += frameBytes(body);
  }
  const out = new Uint8Array(total);
  let at = 0;
  for (const body of bodies) {
    let rest = body.length;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out[at++] = (rest % 0x80) | 0x80;
    out[at++] = rest;
    out.set(body, at);
    at += body.length;
  }
  return out;
}

/**
 * Told what a body that spans chunks takes: before its room grows beyond
 * {@linkcode UNCOUNTED_MESSAGE_BYTES}, and with 0 once it is whole. What it throws, the decoder throws.
 */
export type RoomListener = (bytes: number) => void;

/** Cuts a byte stream, however it is chunked, into frame bodies. Unusable once it has thrown. */
export class FrameDecoder {
  readonly #maxFrameBytes: number;
  readonly #onRoom: RoomListener | undefined;
  #prefixAt = 0;
  /** The length read so far, or of the body being read. */
  #length = 0;
  /** What has come of a body that began in an earlier chunk. */
  #body: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;

  /** A decoder at the start of a stream. @param maxFrameBytes largest body accepted */
  constructor(maxFrameBytes: number, onRoom?: RoomListener) {
    if (!Number.isSafeInteger(maxFrameBytes) || maxFrameBytes < 1) {
      throw new RangeError("decode frames: maxFrameBytes must be a positive integer");
    }
    this.#maxFrameBytes = maxFrameBytes;
    this.#onRoom = onRoom;
  }

  /**
   * The bodies that a chunk completes. One that lies in this chunk alone is a view of it, not a copy.
   * @throws {LloomError} `frame_too_large`, `frame_malformed`
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const bodies: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#body !== undefined) {
        at = this.#fill(chunk, at);
        if (this.#filled < this.#length) break;
        bodies.push(this.#body);
        if (this.#length > UNCOUNTED_MESSAGE_BYTES) this.#onRoom?.(0);
        this.#reset();
        continue;
      }
      const byte = chunk[at++]!;
      if (!this.#readPrefix(byte)) continue;
      if (chunk.length - at >= this.#length) {
        bodies.push(chunk.subarray(at, at + this.#length));
        at += this.#length;
        this.#reset();
      } else {
        this.#body = new Uint8Array(Math.min(this.#length, FIRST_BODY_BYTES));
      }
    }
    return bodies;
  }

  /** The stream is over. @throws {LloomError} `frame_malformed` in the middle of a frame */
  end(): void {
    if (this.#prefixAt > 0) {
      throw new LloomError("frame_malformed", "decode frame: the stream ended inside it");
    }
  }

  /** Whether the length is complete. */
  #readPrefix(byte: number): boolean {
    this.#length += (byte & 0x7f) * 0x80 ** this.#prefixAt;
    this.#prefixAt++;
    if (this.#length > this.#maxFrameBytes) {
      throw new LloomError("frame_too_large", `decode frame: above ${this.#maxFrameBytes} bytes`);
    }
    if (byte >= 0x80) {
      if (this.#prefixAt < MAX_PREFIX_BYTES) return false;
      throw new LloomError("frame_malformed", "decode frame: overlong length");
    }
    // A last byte of zero adds nothing: the length is not minimal, or it is zero.
    if (byte === 0) throw new LloomError("frame_malformed", "decode frame: empty, or not minimal");
    return true;
  }

  /** Appends to the body; its room doubles, so that a byte at a time costs no more than all at once. */
  #fill(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#length - this.#filled);
    const filled = this.#filled + end - at;
    let body = this.#body!;
    if (filled > body.length) {
      const room = Math.min(this.#length, Math.max(filled, 2 * body.length));
      if (room > UNCOUNTED_MESSAGE_BYTES) this.#onRoom?.(room);
      const larger = new Uint8Array(room);
      larger.set(body.subarray(0, this.#filled));
      this.#body = body = larger;
    }
    body.set(chunk.subarray(at, end), this.#filled);
    this.#filled = filled;
    return end;
  }

  #reset(): void {
    this.#prefixAt = 0;
    this.#length = 0;
    this.#body = undefined;
    this.#filled = 0;
  }
}
