/** Answers libp2p's ping. @module */
import type { Libp2p, Stream, StreamMessageEvent } from "@libp2p/interface";
import { PING_IDLE_MS } from "../protocol/limits.ts";

/** https://github.com/libp2p/specs/blob/master/ping/ping.md */
const PING_PROTOCOL = "/ipfs/ping/1.0.0";
/** As the specification asks. */
const MAX_PING_STREAMS = 2;

/**
 * Takes over from libp2p's own handler, which leaves a running timer behind for every ping, so that
 * no process ends within ten seconds of one, and does not see an end that came before it listened.
 */
export async function answerPings(libp2p: Libp2p): Promise<void> {
  await libp2p.handle(PING_PROTOCOL, echo, {
    force: true,
    maxInboundStreams: MAX_PING_STREAMS,
    runOnLimitedConnection: true,
  });
}

function echo(stream: Stream): void {
  const expire = (): void => stream.abort(new Error("answer ping: idle"));
  const end = (): void => {
    stream.close().catch((error: Error) => stream.abort(error));
  };
  let timer = setTimeout(expire, PING_IDLE_MS);
  stream.addEventListener("message", ({ data }) => {
    clearTimeout(timer);
    timer = setTimeout(expire, PING_IDLE_MS);
    answer(stream, data);
  });
  // Data that came in the same frame as the end is handed out after "end", but in the same turn.
  stream.addEventListener("end", () => queueMicrotask(end));
  stream.addEventListener("close", () => clearTimeout(timer));
  if (stream.readableEnded) end();
}

/** What is thrown in a listener ends the process, so nothing may be, whatever state the peer brought about. */
function answer(stream: Stream, data: StreamMessageEvent["data"]): void {
  if (stream.writeStatus !== "writable") return;
  try {
    // A peer that does not read its answers is not measuring anything.
    if (!stream.send(data)) stream.abort(new Error("answer ping: unread"));
  } catch (cause) {
    stream.abort(new Error("answer ping: not sent", { cause }));
  }
}
