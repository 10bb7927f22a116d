/** The WebSocket transport, dialling with the `ws` client. @module */
import type { Listener, Transport } from "@libp2p/interface";
import { webSockets } from "@libp2p/websockets";
import * as ws from "ws";
import {
  MAX_PENDING_CONNECTIONS,
  MAX_WEB_SOCKET_MESSAGE_BYTES,
  WEB_SOCKET_CLOSE_MS,
  WEB_SOCKET_HANDSHAKE_MS,
} from "../protocol/limits.ts";

/** What of `ws`, which brings no types, is used. */
interface WsClient extends WebSocket {
  on(event: "error", listener: () => void): void;
  /** Ends the connection at once, without a closing handshake. */
  terminate(): void;
}

const { WebSocket: WsClient } = ws as {
  readonly WebSocket: new (
    url: string | URL | null,
    protocols: readonly string[] | undefined,
    options: object,
  ) => WsClient;
};

const OPTIONS = {
  perMessageDeflate: false,
  maxPayload: MAX_WEB_SOCKET_MESSAGE_BYTES,
  closeTimeout: WEB_SOCKET_CLOSE_MS,
} as const;

/** The code that stands for a connection that broke, and that libp2p closes with to break one. */
const BROKEN = 1006;

/** A WebSocket of which a peer's malformed frame ends the connection, not the process. */
class PeerSocket extends WsClient {
  /** @param options as `ws`' server passes them, for a socket that it accepted */
  constructor(url: string | URL | null, protocols?: readonly string[], options?: object) {
    super(url, protocols, { ...options, ...OPTIONS });
    // `ws` throws errors that nobody listens for, and libp2p listens only until the socket is open.
    this.on("error", () => this.terminate());
  }

  /** libp2p closes with {@linkcode BROKEN} to break a connection, which `ws` refuses as no code to send. */
  override close(code?: number, reason?: string): void {
    if (code === BROKEN) this.terminate();
    else super.close(code, reason);
  }
}

/** What a transport is made of; libp2p does not export the type. */
type Components = Parameters<ReturnType<typeof webSockets>>[0];

/** Limits of the transport. */
export interface WebSocketsOptions {
  /** @default WEB_SOCKET_HANDSHAKE_MS */
  readonly handshakeMs?: number;
}

/**
 * libp2p's WebSocket transport, with limits. It dials with the global `WebSocket`, and Deno's leaves
 * Nagle's algorithm on, which costs 40 ms a message; so the global makes a {@linkcode PeerSocket} for
 * the moment, in which nothing else can run, that it is used.
 */
export function fastWebSockets(
  { handshakeMs = WEB_SOCKET_HANDSHAKE_MS }: WebSocketsOptions = {},
): (components: Components) => Transport {
  return (components) => {
    const transport = webSockets()(components);
    const dial = transport.dial.bind(transport);
    transport.dial = async (address, options) => {
      let socket: PeerSocket | undefined;
      try {
        return await withWebSocket((url) => socket = new PeerSocket(url), () => {
          return dial(address, options);
        });
      } catch (thrown) {
        // libp2p leaves the socket open when what follows on it fails.
        socket?.terminate();
        throw thrown;
      }
    };
    const createListener = transport.createListener.bind(transport);
    transport.createListener = (options) => limited(createListener(options), handshakeMs);
    return transport;
  };
}

/** Runs something while `new WebSocket` gives what `make` returns. */
function withWebSocket<T>(make: (url: string) => PeerSocket, run: () => T): T {
  const own = globalThis.WebSocket;
  globalThis.WebSocket = function (url: string) {
    return make(url);
  } as unknown as typeof WebSocket;
  try {
    return run();
  } finally {
    globalThis.WebSocket = own;
  }
}

/** What of a socket that was accepted is used. */
interface AcceptedSocket {
  destroy(): void;
  once(event: "close", listener: () => void): void;
}

/** What of libp2p's listener, which has no settings for it, is used. */
interface WebSocketListener extends Listener {
  readonly server: {
    on(event: "connection", listener: (socket: AcceptedSocket) => void): void;
  };
  readonly wsServer: { readonly options: Record<string, unknown> };
  onUpgrade(request: { readonly socket: AcceptedSocket }, ...rest: unknown[]): void;
}

/** Gives a listener our sockets, and lets none linger between its connection and its handshake. */
function limited(created: Listener, handshakeMs: number): Listener {
  const listener = created as WebSocketListener;
  Object.assign(listener.wsServer.options, OPTIONS, { WebSocket: PeerSocket });
  const pending = new Map<AcceptedSocket, ReturnType<typeof setTimeout>>();
  const settle = (socket: AcceptedSocket): void => {
    clearTimeout(pending.get(socket));
    pending.delete(socket);
  };
  listener.server.on("connection", (socket) => {
    if (pending.size >= MAX_PENDING_CONNECTIONS) return socket.destroy();
    pending.set(socket, setTimeout(() => socket.destroy(), handshakeMs));
    socket.once("close", () => settle(socket));
  });
  // From here on libp2p's own limits on connections hold.
  const upgrade = listener.onUpgrade.bind(listener);
  listener.onUpgrade = (request, ...rest) => {
    settle(request.socket);
    upgrade(request, ...rest);
  };
  return listener;
}
