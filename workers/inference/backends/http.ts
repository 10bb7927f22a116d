/**
 * HTTP to one model server: bounded, timed, without redirects, and cancelled at once.
 * @module
 */
import { concat } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { parseJson } from "@lloom/core/protocol";
import { directHttp } from "../../direct_http.ts";
import { errorOfResponse } from "./backend_error.ts";

/** Longest error body that is read. */
const MAX_ERROR_BYTES = 16 << 10;
/** How long an error body, or the rest of a finished answer, may take. */
const CLOSING_MS = 1000;
/** Most bytes of one read: several hundred tokens of a stream. */
const READ_BYTES = 16 << 10;

/** How to reach a model server. */
export interface BackendHttpOptions {
  /** The server's address, with or without a final `/v1`. */
  readonly endpoint: string;
  /** Sent as a bearer token. */
  readonly apiKey?: string;
  /** From sending a request to the head of its answer; a server that loads a model first needs long. */
  readonly connectTimeoutMs: number;
  /** Between two pieces of an answer. */
  readonly idleTimeoutMs: number;
}

/** The address of a server's root, checked. @throws {LloomError} `config_invalid` */
export function parseEndpoint(endpoint: string): URL {
  if (!URL.canParse(endpoint)) {
    throw new LloomError("config_invalid", "read endpoint: not a URL");
  }
  const url = new URL(endpoint);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new LloomError("config_invalid", "read endpoint: neither http nor https");
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new LloomError("config_invalid", "read endpoint: credentials, query or fragment in it");
  }
  url.pathname = url.pathname.replace(/\/*$/, "").replace(/\/v1$/, "") + "/";
  return url;
}

/** `host:port` of an endpoint: all that its worker needs of the network. @throws {LloomError} `config_invalid` */
export function hostAndPort(endpoint: string): string {
  const url = parseEndpoint(endpoint);
  return `${url.hostname}:${url.port || (url.protocol === "https:" ? "443" : "80")}`;
}

/** Ties one exchange to its caller's signal and to one movable deadline. */
class Guard {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  #due = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timedOut = false;

  constructor(caller: AbortSignal) {
    this.#caller = caller;
    caller.addEventListener("abort", this.#abort, { once: true });
    if (caller.aborted) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts after `ms` unless moved or disarmed. The timer is kept, as this happens for every chunk. */
  arm(ms: number): void {
    this.#due = performance.now() + ms;
    this.#timer ??= setTimeout(this.#tick, ms);
  }

  disarm(): void {
    this.#due = Infinity;
  }

  /** Ends the exchange: what is still under way is cut. */
  close(): void {
    clearTimeout(this.#timer);
    this.#caller.removeEventListener("abort", this.#abort);
    // Nobody hears the reason; without one, every answer would make an exception with its stack.
    this.#controller.abort("closed");
  }

  /** Why the exchange failed. */
  explain(thrown: unknown, otherwise: LloomError): LloomError {
    if (thrown instanceof LloomError) return thrown;
    if (this.#caller.aborted) return LloomError.wrap(this.#caller.reason, "aborted");
    if (this.#timedOut) return new LloomError("backend_timeout", "call backend: no answer in time");
    return otherwise;
  }

  readonly #abort = (): void => this.#controller.abort();

  readonly #tick = (): void => {
    this.#timer = undefined;
    if (this.#due === Infinity) return;
    const left = this.#due - performance.now();
    if (left > 0) {
      this.#timer = setTimeout(this.#tick, left);
      return;
    }
    this.#timedOut = true;
    this.#controller.abort();
  };
}

/** An answer whose head has arrived. Close it. */
export class BackendAnswer {
  readonly contentType: string;
  readonly #response: Response;
  readonly #reader: ReadableStreamBYOBReader | undefined;
  readonly #guard: Guard;
  readonly #idleTimeoutMs: number;
  /** Every read is into this one: a stream that allocates for itself takes 64 KiB for each token. */
  #buffer = new ArrayBuffer(READ_BYTES);

  constructor(response: Response, guard: Guard, idleTimeoutMs: number) {
    const type = response.headers.get("content-type") ?? "";
    this.contentType = type.split(";", 1)[0]!.trim().toLowerCase();
    this.#response = response;
    this.#reader = response.body?.getReader({ mode: "byob" });
    this.#guard = guard;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  get status(): number {
    return this.#response.status;
  }

  get retryAfter(): string | null {
    return this.#response.headers.get("retry-after");
  }

  /**
   * The next piece, which lasts until the next read; undefined at the end.
   * @throws {LloomError} `backend_timeout`, `backend_truncated`, `aborted`
   */
  async read(timeoutMs: number = this.#idleTimeoutMs): Promise<Uint8Array | undefined> {
    if (this.#reader === undefined) return undefined;
    this.#guard.arm(timeoutMs);
    try {
      const { done, value } = await this.#reader.read(new Uint8Array(this.#buffer));
      if (value !== undefined) this.#buffer = value.buffer;
      return done ? undefined : value;
    } catch (thrown) {
      const cut = new LloomError("backend_truncated", "read answer: connection cut", {
        cause: thrown,
      });
      throw this.#guard.explain(thrown, cut);
    } finally {
      this.#guard.disarm();
    }
  }

  /** The whole body. @throws {LloomError} `backend_malformed` above `maxBytes`, and as {@linkcode read} */
  async bytes(maxBytes: number, timeoutMs?: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (let part = await this.read(timeoutMs); part; part = await this.read(timeoutMs)) {
      length += part.length;
      if (length > maxBytes) {
        throw new LloomError("backend_malformed", `read answer: above ${maxBytes} bytes`);
      }
      parts.push(part.slice());
    }
    return concat(parts);
  }

  /** The whole body as JSON. @throws {LloomError} `backend_malformed`, and as {@linkcode read} */
  async json(maxBytes: number): Promise<unknown> {
    const bytes = await this.bytes(maxBytes);
    try {
      return parseJson(bytes, maxBytes);
    } catch (cause) {
      throw new LloomError("backend_malformed", "read answer: not JSON", { cause });
    }
  }

  /** Cuts the connection if the answer has not been read to its end. */
  close(): void {
    this.#guard.close();
  }

  /** After the end mark: gives the end of the body a moment, so that the connection can be used again. */
  closeSoon(): void {
    const close = (): void => this.close();
    this.read(CLOSING_MS).then(close, close);
  }
}

/** A model server's address and credentials. Its connections are kept as long as its process. */
export class BackendHttp {
  readonly #root: URL;
  /** Made with the first request: making it asks for permission to connect. */
  #client: Deno.HttpClient | undefined;
  readonly #apiKey: string;
  readonly #options: BackendHttpOptions;

  /** @throws {LloomError} `config_invalid` */
  constructor(options: BackendHttpOptions) {
    this.#root = parseEndpoint(options.endpoint);
    this.#apiKey = options.apiKey?.trim() ?? "";
    if (/[^\x21-\x7e]/.test(this.#apiKey)) {
      throw new LloomError("config_invalid", "read API key: not printable ASCII");
    }
    this.#options = options;
  }

  /** What must never appear in a message. */
  get secret(): string {
    return this.#apiKey;
  }

  /**
   * Sends a request and waits for the head of a 2xx answer.
   * @param path below the server's root, without a leading slash
   * @param body JSON; absent for a GET
   * @throws {LloomError} `backend_*`, `rate_limited`, `context_length_exceeded`, `aborted`
   */
  async open(path: string, body: unknown, signal: AbortSignal): Promise<BackendAnswer> {
    const { connectTimeoutMs, idleTimeoutMs } = this.#options;
    const guard = new Guard(signal);
    guard.arm(connectTimeoutMs);
    try {
      this.#client ??= directHttp(this.#root);
      const response = await fetch(new URL(path, this.#root), {
        method: body === undefined ? "GET" : "POST",
        headers: {
          accept: "application/json, text/event-stream",
          ...(body !== undefined && { "content-type": "application/json" }),
          ...(this.#apiKey !== "" && { authorization: `Bearer ${this.#apiKey}` }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        // A redirect could take the key and the prompt anywhere.
        redirect: "manual",
        signal: guard.signal,
        ...(this.#client !== undefined && { client: this.#client }),
      });
      guard.disarm();
      const answer = new BackendAnswer(response, guard, idleTimeoutMs);
      if (!response.ok) throw await this.#refusal(answer);
      return answer;
    } catch (thrown) {
      const error = guard.explain(
        thrown,
        new LloomError("backend_unreachable", "call backend: cannot connect", { cause: thrown }),
      );
      guard.close();
      throw error;
    }
  }

  /** Asks for a JSON document. @throws {LloomError} as {@linkcode open}, and `backend_malformed` */
  async json(path: string, body: unknown, maxBytes: number, signal: AbortSignal): Promise<unknown> {
    const answer = await this.open(path, body, signal);
    try {
      return await answer.json(maxBytes);
    } finally {
      answer.close();
    }
  }

  async #refusal(answer: BackendAnswer): Promise<LloomError> {
    const { status } = answer;
    if (status < 400) {
      return new LloomError("backend_rejected", `call backend: status ${status}, not followed`);
    }
    let body: unknown;
    try {
      body = parseJson(await answer.bytes(MAX_ERROR_BYTES, CLOSING_MS), MAX_ERROR_BYTES);
    } catch (thrown) {
      const error = LloomError.wrap(thrown);
      if (error.code === "aborted") throw error;
      // The status alone says what went wrong; this body adds nothing to it.
      body = undefined;
    }
    return errorOfResponse(status, body, answer.retryAfter, this.#apiKey);
  }
}
