/** What a client's other commands know of a gateway that runs: where it is, and what it says. @module */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";

/** What a gateway is asked. */
export interface GatewayCall {
  /** Of HTTP. @default GET */
  readonly method?: "GET" | "POST";
  /** Beside those that HTTP needs. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** @default none */
  readonly body?: string;
}

/** What a gateway answers. */
export interface GatewayReply {
  /** Of HTTP. */
  readonly status: number;
  /** All of it, or its beginning where it is longer than was to be read. */
  readonly body: Uint8Array;
}

/** A host as URLs have it: addresses of IPv6 in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Where a gateway with these settings is reached from its own machine, without a final slash. */
export function gatewayUrl(host: string, port: number): string {
  const near = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${hostInUrl(near)}:${port}`;
}

/**
 * Asks a gateway. Not by `fetch`, which obeys `HTTP_PROXY` for this machine too: prompts and keys would
 * pass, readable, through another one.
 * @param maxBytes what is read of the answer
 * @throws what `node:http` throws where nobody answers; the signal's reason
 */
export async function callGateway(
  url: string,
  { method = "GET", headers = {}, body }: GatewayCall,
  maxBytes: number,
  signal: AbortSignal,
): Promise<GatewayReply> {
  const outgoing = request(url, { method, headers, signal });
  const answered = once(outgoing, "response");
  outgoing.end(body);
  const [incoming] = await answered as [IncomingMessage];
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const part of incoming as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    parts.push(part);
    size += part.length;
    if (size > maxBytes) break;
  }
  return { status: incoming.statusCode ?? 0, body: await new Blob(parts).bytes() };
}
