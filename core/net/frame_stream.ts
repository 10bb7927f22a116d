/**
 * Whole messages over a libp2p stream, with back-pressure both ways.
 *
 * It uses the stream's events alone. The stream's own `for await` reads without bound and hangs
 * after a half-close, and its `onDrain()` resolves at once from the second stall on.
 * @module
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import { LloomError } from "../errors.ts";
import type { MessageStream } from "../ports.ts";
import type { ByteAccount } from "./byte_budget.ts";
import { encodeFrames, frameBytes, FrameDecoder } from "../protocol/framing.ts";
import {
  MAX_SEND_BACKLOG_BYTES,
  MESSAGE_TIMEOUT_MS,
  RECEIVE_HIGH_WATER_BYTES,
  SEND_HIGH_WATER_BYTES,
  STREAM_CLOSE_TIMEOUT_MS,
} from "../protocol/limits.ts";

/** What a chunk costs besides its bytes, so that a peer that sends single bytes is paused as early. */
const CHUNK_OVERHEAD_BYTES = 128;

/** What a {@linkcode FrameStream} needs to know. */
export interface FrameStreamOptions {
  /** Largest message accepted from the peer. */
  readonly maxFrameBytes: number;
  /** Whose stream it is. */
  readonly remotePeer: string;
  /** What large messages are counted in until they are whole. @default they are not counted */
  readonly account?: ByteAccount;
  /** How long one that is counted may take to come whole. @default MESSAGE_TIMEOUT_MS */
  readonly messageTimeoutMs?: number;
}

/** A stream of whole messages. For one reader at a time. */
export class FrameStream implements MessageStream {
  /** The peer at the other end, as PeerId text. */
  readonly remotePeer: string;
  /** Resolves once both directions are over, in order or not. */
  readonly closed: Promise<void>;

  readonly #stream: Stream;
  /** Undefined once what is in it was dropped. */
  #decoder: FrameDecoder | undefined;
  /** Bytes as they came. They become frames one chunk at a time, so that many tiny frames wait as bytes. */
  #chunks: Uint8Array[] = [];
  #nextChunk = 0;
  #frames: Uint8Array[] = [];
  #nextFrame = 0;
  /** What the waiting chunks cost. */
  #chunkBytes = 0;
  /** The peer said that it sends no more. Without it, an end of data is a cut connection. */
  #remoteEnded: boolean;
  /** All that the peer sent, up to its end, is in {@linkcode FrameStream.#chunks}. */
  #received = false;
  #error: LloomError | undefined;
  /** Why nothing more is read: what came is no message. The peer can still be told. */
  #unreadable: LloomError | undefined;
  #arrival: PromiseWithResolvers<void> | undefined;

  /** Undefined once the stream is closed: what then still waits has all arrived. */
  #account: ByteAccount | undefined;
  readonly #messageTimeoutMs: number;
  /** What the message that is not whole yet has taken of the account. */
  #taken = 0;
  #late: ReturnType<typeof setTimeout> | undefined;

  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #closing: Promise<void> | undefined;

  /** Takes over a stream: nobody else may read or write it from now on. */
  constructor(stream: Stream, options: FrameStreamOptions) {
    this.#stream = stream;
    this.#account = options.account;
    this.#messageTimeoutMs = options.messageTimeoutMs ?? MESSAGE_TIMEOUT_MS;
    this.#decoder = new FrameDecoder(options.maxFrameBytes, (bytes) => this.#setRoom(bytes));
    this.remotePeer = options.remotePeer;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    this.#remoteEnded = stream.status === "open" && stream.remoteWriteStatus === "closed";

    stream.addEventListener("message", (event: StreamMessageEvent) => this.#onMessage(event.data));
    stream.addEventListener("remoteCloseWrite", () => this.#remoteEnded = true);
    // Other implementations may end in the frame that carries the last data, which libp2p hands out
    // after "end" but in the same turn.
    stream.addEventListener("end", () => queueMicrotask(() => this.#onEnd()));
    stream.addEventListener("drain", () => queueMicrotask(() => this.#checkRoom()));
    stream.addEventListener("close", (event: StreamCloseEvent) => {
      this.#onClose(event.error);
      closed.resolve();
    }, { once: true });

    if (stream.status !== "open") {
      this.#onClose(new Error(`the stream is ${stream.status}`));
      closed.resolve();
    } else if (stream.readableEnded) {
      this.#onEnd();
    }
  }

  /**
   * The next message; undefined once the peer has ended in order. What came whole before a failure
   * is delivered first. After a message that is none, all that follows is dropped, but sending still
   * works, so that the peer can be told. A message may be a view of a buffer that holds others too: copy it before
   * its buffer is transferred, or if it is kept for long.
   * @throws {LloomError} `frame_too_large`, `frame_malformed`; `overloaded` if there is no room for it;
   * `stream_broken` if it was cut or reset, `timeout` if a message came too slowly
   */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#arrival !== undefined) throw new TypeError("read stream: a read is under way");
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      if (this.#unreadable !== undefined) throw this.#unreadable;
      if (this.#received) return undefined;
      if (this.#error !== undefined) throw this.#error;
      this.#arrival = Promise.withResolvers<void>();
      await this.#arrival.promise;
    }
  }

  /**
   * Queues a message; all of one turn leave in one write, without delay. The message must not change
   * until then.
   * @returns false if the peer does not keep up, and {@linkcode FrameStream.drained} should be awaited
   * @throws {LloomError} `stream_broken`; `overloaded` if far too much waits already
   * @throws {TypeError} after {@linkcode FrameStream.close}
   */
  send(message: Uint8Array): boolean {
    if (this.#closing !== undefined) throw new TypeError("send message: the stream was closed");
    if (this.#error !== undefined || this.#stream.writeStatus !== "writable") throw this.#broken();
    if (this.#backlog >= MAX_SEND_BACKLOG_BYTES) {
      throw new LloomError("overloaded", `send message: ${this.#backlog} bytes wait`);
    }
    if (message.length === 0) throw new RangeError("send message: it is empty");
    if (this.#pending.length === 0) queueMicrotask(() => this.#flush());
    this.#pending.push(message);
    this.#pendingBytes += frameBytes(message);
    return !this.#stream.writableNeedsDrain && this.#backlog < SEND_HIGH_WATER_BYTES;
  }

  /** Resolves when the peer has caught up. @throws {LloomError} `stream_broken`, or as `signal` says */
  async drained(signal?: AbortSignal): Promise<void> {
    for (;;) {
      if (signal?.aborted) throw LloomError.wrap(signal.reason, "aborted", "await room");
      if (this.#error !== undefined || this.#stream.writeStatus === "closed") throw this.#broken();
      if (!this.#stream.writableNeedsDrain && this.#backlog < SEND_HIGH_WATER_BYTES) return;
      this.#room ??= Promise.withResolvers<void>();
      await unlessAborted(this.#room.promise, signal);
    }
  }

  /**
   * Ends this direction, after all that was sent; the peer's stays open, unless it sent what is no
   * message. Repeated calls are one.
   * @throws {LloomError} `stream_broken`, also if the peer does not take what waits for it
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Breaks both directions at once. What waits in either is lost, and reads throw `error`. */
  abort(error: Error): void {
    this.#dropInput();
    this.#received = false;
    this.#fail(LloomError.wrap(error, "stream_broken"));
    this.#stream.abort(error);
  }

  #dropInput(): void {
    this.#chunks = [];
    this.#frames = [];
    this.#nextChunk = this.#nextFrame = this.#chunkBytes = 0;
    this.#decoder = undefined;
    this.#setRoom(0);
  }

  /** Takes, or gives back, what a message in progress needs; the first time, its time begins. */
  #setRoom(bytes: number): void {
    const account = this.#account;
    if (account === undefined) return;
    if (bytes > this.#taken && !account.take(bytes - this.#taken)) throw new LloomError(...NO_ROOM);
    if (bytes < this.#taken) account.give(this.#taken - bytes);
    this.#taken = bytes;
    if (bytes === 0) {
      clearTimeout(this.#late);
      this.#late = undefined;
    } else {
      this.#late ??= setTimeout(() => this.abort(new LloomError(...LATE)), this.#messageTimeoutMs);
    }
  }

  get #backlog(): number {
    return this.#pendingBytes + this.#stream.writeBufferLength;
  }

  #onMessage(data: StreamMessageEvent["data"]): void {
    if (this.#unreadable !== undefined) return;
    const bytes = data instanceof Uint8Array ? data : data.subarray();
    // Sockets give Node's Buffer, whose `slice` does not copy.
    const chunk = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length + CHUNK_OVERHEAD_BYTES;
    if (this.#chunkBytes >= RECEIVE_HIGH_WATER_BYTES && this.#stream.readStatus === "readable") {
      this.#stream.pause();
    }
    this.#wake();
  }

  #onEnd(): void {
    if (!this.#remoteEnded) return this.#fail(this.#broken());
    this.#received = true;
    this.#wake();
  }

  #onClose(error: Error | undefined): void {
    this.#setRoom(0);
    this.#account = undefined;
    // After an orderly end the data may still wait in a paused stream, whose "end" follows it.
    if (error !== undefined || !this.#remoteEnded) this.#fail(this.#broken(error));
    this.#checkRoom();
  }

  #take(): Uint8Array | undefined {
    try {
      while (this.#nextFrame === this.#frames.length) {
        const chunk = this.#takeChunk();
        if (chunk === undefined) {
          if (this.#received) this.#decoder?.end();
          return undefined;
        }
        this.#frames = this.#decoder?.push(chunk) ?? [];
        this.#nextFrame = 0;
      }
    } catch (thrown) {
      this.#unreadable = LloomError.wrap(thrown);
      this.#dropInput();
      // What is dropped must not fill the window, or the peer's end would never arrive.
      this.#resume();
      return undefined;
    }
    return this.#frames[this.#nextFrame++];
  }

  #takeChunk(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#nextChunk];
    if (chunk === undefined) return undefined;
    if (++this.#nextChunk === this.#chunks.length) {
      this.#chunks = [];
      this.#nextChunk = 0;
    }
    this.#chunkBytes -= chunk.length + CHUNK_OVERHEAD_BYTES;
    this.#resume();
    return chunk;
  }

  #resume(): void {
    const { readStatus } = this.#stream;
    if (readStatus !== "paused" || this.#chunkBytes > RECEIVE_HIGH_WATER_BYTES / 4) return;
    try {
      this.#stream.resume();
    } catch (thrown) {
      // The data was handed out; only the connection is no longer there to be told.
      this.#fail(this.#broken(thrown));
    }
  }

  #flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (pending.length === 0 || this.#error !== undefined) return;
    try {
      this.#stream.send(encodeFrames(pending));
    } catch (thrown) {
      this.#fail(this.#broken(thrown));
    }
    this.#checkRoom();
  }

  async #close(): Promise<void> {
    this.#flush();
    if (this.#error !== undefined) throw this.#error;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), STREAM_CLOSE_TIMEOUT_MS);
    try {
      await this.#stream.close({ signal: late.signal });
      if (this.#unreadable !== undefined) this.#stream.abort(this.#unreadable);
    } catch (thrown) {
      this.abort(
        new LloomError("stream_broken", "close stream: not all was sent", { cause: thrown }),
      );
      throw this.#broken(thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  #broken(cause?: unknown): LloomError {
    if (this.#error !== undefined) return this.#error;
    return new LloomError("stream_broken", "use stream: it was cut", { cause });
  }

  #fail(error: LloomError): void {
    this.#error ??= error;
    this.#wake();
    this.#checkRoom();
  }

  #wake(): void {
    this.#arrival?.resolve();
    this.#arrival = undefined;
  }

  #checkRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

const LATE = ["timeout", "read message: it came too slowly"] as const;
const NO_ROOM = ["overloaded", "read message: no room for it", { retryAfterMs: 1000 }] as const;

/** Waits for a promise that never rejects, or for the signal, whichever is first. */
async function unlessAborted(
  promise: Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) return await promise;
  const aborted = Promise.withResolvers<void>();
  const wake = (): void => aborted.resolve();
  signal.addEventListener("abort", wake, { once: true });
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", wake);
  }
}
