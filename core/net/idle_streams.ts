/** Streams to executors between two requests. @module */
import { LloomError } from "../errors.ts";
import type { Clock, MessageStream } from "../ports.ts";
import { IDLE_STREAM_MS, MAX_IDLE_STREAMS_PER_PEER } from "../protocol/limits.ts";

/** Below the executor's limit, so that it is the client who closes first. */
const KEEP_MS = IDLE_STREAM_MS / 2;

interface Idle {
  readonly stream: MessageStream;
  readonly disarm: () => void;
}

/** Keeps idle streams by peer; the one used last is used first. */
export class IdleStreams {
  readonly #clock: Clock;
  readonly #byPeer = new Map<string, Idle[]>();
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A stream to use again, if there is one. */
  take(peerId: string): MessageStream | undefined {
    const idle = this.#byPeer.get(peerId)?.pop();
    idle?.disarm();
    return idle?.stream;
  }

  /** Keeps a clean stream for a while. */
  put(peerId: string, stream: MessageStream): void {
    const list = this.#byPeer.get(peerId) ?? [];
    if (this.#stopped || list.length >= MAX_IDLE_STREAMS_PER_PEER) return closeStream(stream);
    const disarm = this.#clock.setTimer(KEEP_MS, () => {
      const at = list.findIndex((idle) => idle.stream === stream);
      if (at >= 0) list.splice(at, 1);
      if (list.length === 0) this.#byPeer.delete(peerId);
      closeStream(stream);
    });
    list.push({ stream, disarm });
    this.#byPeer.set(peerId, list);
  }

  /** Closes all, and every one put back from now on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const all = [...this.#byPeer.values()].flat();
    this.#byPeer.clear();
    for (const { disarm } of all) disarm();
    await Promise.all(all.map(({ stream }) => closed(stream)));
  }
}

function closeStream(stream: MessageStream): void {
  void closed(stream);
}

/** Closes a stream; one that is broken already needs no closing, only letting go. */
async function closed(stream: MessageStream): Promise<void> {
  try {
    await stream.close();
  } catch (thrown) {
    stream.abort(LloomError.wrap(thrown, "stream_broken"));
  }
}
