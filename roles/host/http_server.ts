/**
 * Serves HTTP/1.1 to strangers: every connection, head and body is bounded in size and in time.
 * Built on `node:http` rather than `Deno.serve`, which lets a connection that sends half a request
 * stay open for ever, and any number of them.
 * @module
 */
import { concat } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { getLogger } from "@logtape/logtape";
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";

const log = getLogger(["lloom", "http"]);

/** How long the head of a request may take, and the silence between two requests. */
const HEAD_TIMEOUT_MS = 10_000;
/** How long a whole request may take to arrive. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How long an asker may take nothing of an answer: as long as answers take, for one that is paused. */
const TAKE_TIMEOUT_MS = 300_000;
/** Between two looks for connections that are over their time. */
const CHECK_INTERVAL_MS = 1_000;
/** How long requests under way may go on when the server stops. */
const STOP_GRACE_MS = 2_000;
/** Line and headers of a request. */
const MAX_HEAD_BYTES = 16_384;

/** Where to serve, and how much of it. */
export interface HttpServerOptions {
  /** Address of this machine. */
  readonly host: string;
  /** TCP port; 0 for any free one. */
  readonly port: number;
  /** Connections at once; further ones are closed unheard. */
  readonly maxConnections: number;
  /** The longest body; a longer one is answered with 413. */
  readonly maxBodyBytes: number;
  /** How long the head of a request may take, in milliseconds. @default 10000 */
  readonly headTimeoutMs?: number;
  /** How long a whole request may take to arrive, in milliseconds. @default 30000 */
  readonly requestTimeoutMs?: number;
  /**
   * How long what was sent of an answer may wait for an asker that does not take it, in milliseconds.
   * @default 300000
   */
  readonly takeTimeoutMs?: number;
  /**
   * Answers by the head alone, before any body is read; undefined if the request is to be read and
   * handled. The request that it gets has no body. @default all are handled
   */
  readonly admit?: (request: Request) => Response | undefined;
  /** Refuses a request whose body is too long. @default 413 without a body */
  readonly tooLarge?: (request: Request) => Response;
}

/**
 * Answers one request. Its body is there as a whole; its URL has the path and the query as they were
 * sent, on a host of no meaning. Its signal aborts when the asker is gone.
 * @param remoteAddress the IP address at the other end of the connection
 */
export type HttpHandler = (
  request: Request,
  remoteAddress: string,
) => Response | Promise<Response>;

/** A server at work. */
export interface HttpServer {
  /** The TCP port that it listens on. */
  readonly port: number;
  /** Ends it; requests under way have two seconds. */
  stop(): Promise<void>;
}

/** Starts a server. @throws {LloomError} `config_invalid` if it cannot listen there */
export async function serveHttp(
  options: HttpServerOptions,
  handler: HttpHandler,
): Promise<HttpServer> {
  const headersTimeout = options.headTimeoutMs ?? HEAD_TIMEOUT_MS;
  const settings: ServerOptions = {
    headersTimeout,
    keepAliveTimeout: headersTimeout,
    requestTimeout: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    maxHeaderSize: MAX_HEAD_BYTES,
  };
  const server = createServer(settings, (incoming, outgoing) => {
    serve(incoming, outgoing, options, handler).catch((error: unknown) => {
      log.debug("answer request: {error}", { error });
      incoming.destroy();
    });
  });
  server.maxConnections = options.maxConnections;
  const { host, port } = options;
  try {
    const listening = once(server, "listening");
    server.listen(port, host);
    await listening;
  } catch (error) {
    const reason = error instanceof Error ? error.message : "failed";
    throw new LloomError("config_invalid", `listen on ${host}, port ${port}: ${reason}`, {
      cause: error,
    });
  }
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("listen: no TCP port");
  return { port: address.port, stop: () => stop(server) };
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS);
  await closed;
  clearTimeout(timer);
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  options: HttpServerOptions,
  handler: HttpHandler,
): Promise<void> {
  const gone = new AbortController();
  outgoing.on("close", () => {
    // After the whole answer nobody waits for anything any more.
    if (!outgoing.writableFinished) gone.abort();
  });
  const { admit, tooLarge = () => new Response(null, { status: 413 }) } = options;
  const asker = { gone: gone.signal, takeTimeoutMs: options.takeTimeoutMs ?? TAKE_TIMEOUT_MS };
  const head = toRequest(incoming, undefined, gone.signal);
  if (head === undefined) {
    outgoing.writeHead(400, { "connection": "close", "content-length": "0" }).end();
    return;
  }
  const early = admit?.(head);
  const body = early === undefined ? await readBody(incoming, options.maxBodyBytes) : undefined;
  const refusal = early ?? (body === undefined ? tooLarge(head) : undefined);
  if (refusal !== undefined) {
    // What is still to come is not worth reading.
    if (announcesBody(incoming)) outgoing.setHeader("connection", "close");
    await send(refusal, outgoing, head.method === "HEAD", asker);
    return;
  }
  const request = body!.length === 0 ? head : toRequest(incoming, body, gone.signal) ?? head;
  let response: Response;
  try {
    response = await handler(request, incoming.socket.remoteAddress ?? "");
  } catch (error) {
    log.error("answer request: {error}", { error });
    response = new Response(null, { status: 500 });
  }
  await send(response, outgoing, request.method === "HEAD", asker);
}

function announcesBody({ headers }: IncomingMessage): boolean {
  return Number(headers["content-length"] ?? 0) > 0 || headers["transfer-encoding"] !== undefined;
}

/** A whole body; undefined if it is too long. By events, which cost half of what iterating does. */
function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer> | undefined>();
  const tooLong = () => {
    incoming.removeAllListeners("data").pause();
    resolve(undefined);
  };
  if (Number(incoming.headers["content-length"] ?? 0) > maxBytes) {
    tooLong();
    return promise;
  }
  const parts: Uint8Array[] = [];
  let length = 0;
  incoming.on("data", (part: Uint8Array) => {
    length += part.length;
    if (length > maxBytes) tooLong();
    else parts.push(part);
  });
  incoming.on("end", () => resolve(concat(parts)));
  incoming.on("error", reject);
  incoming.on("close", () => reject(new Error("read body: the connection ended inside it")));
  return promise;
}

function toRequest(
  { method = "GET", url = "", rawHeaders }: IncomingMessage,
  body: Uint8Array<ArrayBuffer> | undefined,
  signal: AbortSignal,
): Request | undefined {
  // A proxy's absolute form would choose the host, which nothing here may depend on.
  const target = `http://localhost${url}`;
  if (!url.startsWith("/") || !URL.canParse(target)) return undefined;
  try {
    const headers = new Headers();
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
    }
    return new Request(target, {
      method,
      headers,
      signal,
      ...(body !== undefined && method !== "GET" && method !== "HEAD" && { body }),
    });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

async function send(
  { status, headers, body }: Response,
  outgoing: ServerResponse,
  headOnly: boolean,
  { gone, takeTimeoutMs }: { readonly gone: AbortSignal; readonly takeTimeoutMs: number },
): Promise<void> {
  outgoing.writeHead(status, Object.fromEntries(headers));
  if (body === null || headOnly) {
    await body?.cancel();
    outgoing.end();
    return;
  }
  // The first event may take long, and its reader wants to know before that there will be one.
  if (headers.get("content-type")?.startsWith("text/event-stream")) outgoing.flushHeaders();
  const reader = body.getReader();
  const cancel = () => {
    reader.cancel(gone.reason).catch((error: unknown) => {
      log.debug("cancel answer: {error}", { error });
    });
  };
  gone.addEventListener("abort", cancel);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || gone.aborted) break;
      if (outgoing.write(value)) continue;
      const timer = setTimeout(() => outgoing.destroy(), takeTimeoutMs);
      try {
        await once(outgoing, "drain", { signal: gone });
      } finally {
        clearTimeout(timer);
      }
    }
  } finally {
    gone.removeEventListener("abort", cancel);
  }
  outgoing.end();
}
