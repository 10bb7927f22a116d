/** The WebSocket transport, dialling with the `ws` client. @module */
import type { Transport } from "@libp2p/interface";
import { webSockets } from "@libp2p/websockets";
import * as ws from "ws";

/** What of `ws`, which brings no types, is used: it has the interface of the platform's client. */
const { WebSocket: WebSocketClient } = ws as { readonly WebSocket: typeof WebSocket };

/** What a transport is made of; libp2p does not export the type. */
type Components = Parameters<ReturnType<typeof webSockets>>[0];

/**
 * libp2p's WebSocket transport. It dials with the global `WebSocket`, and Deno's leaves Nagle's
 * algorithm on, which costs 40 ms a message; so the global is `ws` for the moment, in which nothing
 * else can run, that it is used.
 */
export function fastWebSockets(): (components: Components) => Transport {
  return (components) => {
    const transport = webSockets()(components);
    const dial = transport.dial.bind(transport);
    transport.dial = (address, options) => {
      const own = globalThis.WebSocket;
      globalThis.WebSocket = WebSocketClient;
      try {
        return dial(address, options);
      } finally {
        globalThis.WebSocket = own;
      }
    };
    return transport;
  };
}
