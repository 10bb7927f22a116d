/**
 * Yamux in fewer packets. libp2p's writes each frame by itself, which costs an encryption and a call
 * of the system, and answers each frame of data with one that grants the peer as many bytes again.
 * @module
 */
import type { MessageStream, StreamMuxer, StreamMuxerFactory } from "@libp2p/interface";
import { concat } from "../bytes.ts";
import { LloomError } from "../errors.ts";

type Data = Parameters<MessageStream["send"]>[0];

/** A frame that grants bytes is a header and nothing more: version, type, flags, stream, length. */
const HEADER_BYTES = 12;
const WINDOW_UPDATE = 1;
/** What a stream's sender may be short of: half of Yamux' first window, so that it never waits for it. */
const HELD_BYTES = 128 << 10;
/** Streams below which it is not worth to look which of them are still open. */
const FEW_STREAMS = 64;

/**
 * Has a muxer's frames of one turn leave as one message, and holds small grants back until they come
 * to something. The peer sees Yamux as before: to grant late is any receiver's right.
 */
export function quietMuxer<C>(
  makeFactory: (components: C) => StreamMuxerFactory,
): (components: C) => StreamMuxerFactory {
  return (components) => {
    const factory = makeFactory(components);
    return {
      protocol: factory.protocol,
      createStreamMuxer(connection): StreamMuxer {
        const grants = new Grants(() => muxer.streams);
        gatherSends(connection, (frame) => !grants.hold(frame));
        const muxer = factory.createStreamMuxer(connection);
        return muxer;
      },
    };
  };
}

/** Joins what is sent in one turn. @param goes whether a message is to be sent at all */
function gatherSends(connection: MessageStream, goes: (message: Data) => boolean): void {
  const send = connection.send.bind(connection);
  const close = connection.close.bind(connection);
  let waiting: Uint8Array[] = [];
  const flush = (): void => {
    const parts = waiting;
    waiting = [];
    if (parts.length === 0 || connection.status !== "open") return;
    try {
      send(parts.length === 1 ? parts[0]! : concat(parts));
    } catch (thrown) {
      connection.abort(LloomError.wrap(thrown, "stream_broken"));
    }
  };
  connection.send = (message) => {
    if (goes(message)) {
      if (waiting.length === 0) queueMicrotask(flush);
      if (message instanceof Uint8Array) waiting.push(message);
      else waiting.push(...message);
    }
    return !connection.writableNeedsDrain;
  };
  connection.close = (options) => {
    flush();
    return close(options);
  };
}

/** What peers were not granted yet. */
class Grants {
  readonly #held = new Map<number, number>();
  readonly #streams: () => StreamMuxer["streams"];

  /** @param streams those that are open */
  constructor(streams: () => StreamMuxer["streams"]) {
    this.#streams = streams;
  }

  /** Whether a message is a grant that waits; one that does not is made to grant all that waited. */
  hold(frame: Data): boolean {
    if (!(frame instanceof Uint8Array) || frame.length !== HEADER_BYTES) return false;
    const header = new DataView(frame.buffer, frame.byteOffset);
    if (header.getUint8(1) !== WINDOW_UPDATE || header.getUint16(2) !== 0) return false;
    const stream = header.getUint32(4);
    const bytes = header.getUint32(8) + (this.#held.get(stream) ?? 0);
    if (bytes >= HELD_BYTES) {
      this.#held.delete(stream);
      header.setUint32(8, bytes);
      return false;
    }
    this.#held.set(stream, bytes);
    if (this.#held.size > FEW_STREAMS) this.#forgetClosed();
    return true;
  }

  #forgetClosed(): void {
    const streams = this.#streams();
    if (this.#held.size <= 2 * Math.max(FEW_STREAMS, streams.length)) return;
    const open = new Set(streams.map(({ id }) => Number(id)));
    for (const stream of this.#held.keys()) if (!open.has(stream)) this.#held.delete(stream);
  }
}
