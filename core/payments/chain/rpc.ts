/** JSON-RPC 2.0 over HTTP or a WebSocket, as nodes of a chain speak it. @module */
import { MAX_RPC_ANSWER_BYTES } from "../../protocol/limits.ts";
import { isErrorResponse, isRecord, readBounded } from "./rpc_values.ts";

/** How long a WebSocket stays open that nobody uses. */
const IDLE_SOCKET_MS = 30_000;

/** Asks one endpoint. @throws {RpcError} what it answered, or {Error} if it did not */
export type Rpc = (method: string, params: readonly unknown[]) => Promise<unknown>;

/** An endpoint answered with an error. Its text is for the cause of our errors only. */
export class RpcError extends Error {
  /** The name of the class. */
  override readonly name = "RpcError";

  /** @param data what a revert returned, as hex */
  constructor(readonly code: number, message: string, readonly data?: string) {
    super(message.slice(0, 500));
  }
}

/** A way to one endpoint. */
export interface RpcTransport {
  /** See {@linkcode Rpc}. */
  readonly request: Rpc;
  /** Lets go of what it holds. A later request opens it again. */
  close(): void;
}

/** A transport for a URL. @throws {TypeError} if it is neither http(s) nor ws(s) */
export function openTransport(url: string, timeoutMs: number): RpcTransport {
  const { protocol } = new URL(url);
  if (protocol === "http:" || protocol === "https:") return new HttpTransport(url, timeoutMs);
  if (protocol === "ws:" || protocol === "wss:") return new SocketTransport(url, timeoutMs);
  throw new TypeError(`open RPC endpoint: ${protocol} is neither http(s) nor ws(s)`);
}

function encode(id: number, method: string, params: readonly unknown[]): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/** The result in an answer. @throws {RpcError} if it is an error, {TypeError} if it is no answer to `id` */
function resultOf(answer: unknown, id: number): unknown {
  if (!isRecord(answer)) throw new TypeError("read RPC answer: not an object");
  if (isErrorResponse(answer)) {
    const { code, message, data } = answer.error;
    // Some nodes nest what the revert returned.
    const returned = isRecord(data) ? data["data"] : data;
    throw new RpcError(code, message, typeof returned === "string" ? returned : undefined);
  }
  if (answer["id"] !== id || !("result" in answer)) {
    throw new TypeError("read RPC answer: to another question");
  }
  return answer["result"];
}

class HttpTransport implements RpcTransport {
  readonly #url: string;
  readonly #timeoutMs: number;
  #id = 0;

  constructor(url: string, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  request: Rpc = async (method, params) => {
    const id = ++this.#id;
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: encode(id, method, params),
      signal: AbortSignal.timeout(this.#timeoutMs),
      redirect: "error",
    }).catch((error: unknown) => {
      // Its own message would quote the URL, which may hold a key.
      const late = error instanceof DOMException && error.name === "TimeoutError";
      throw new Error(`ask RPC endpoint: ${late ? "no answer in time" : "not reachable"}`);
    });
    const text = await readBounded(response, MAX_RPC_ANSWER_BYTES);
    // Some nodes give errors of JSON-RPC with a status of 400 or 500, which say more than it does.
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      throw new TypeError(`read RPC answer: status ${response.status}, no JSON`, { cause });
    }
    if (!response.ok && !(isRecord(answer) && isErrorResponse(answer))) {
      throw new TypeError(`read RPC answer: status ${response.status}`);
    }
    return resultOf(answer, id);
  };

  close(): void {}
}

interface Question {
  readonly done: PromiseWithResolvers<unknown>;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Opens its socket with the first question, and closes it when there were none for a while. */
class SocketTransport implements RpcTransport {
  readonly #url: string;
  readonly #timeoutMs: number;
  #socket: WebSocket | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #id = 0;
  readonly #questions = new Map<number, Question>();

  constructor(url: string, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  request: Rpc = async (method, params) => {
    const id = ++this.#id;
    const done = Promise.withResolvers<unknown>();
    const timer = setTimeout(
      () => this.#drop(new Error("ask RPC endpoint: no answer in time")),
      this.#timeoutMs,
    );
    this.#questions.set(id, { done, timer });
    clearTimeout(this.#idle);
    const text = encode(id, method, params);
    const socket = this.#socket ??= this.#open();
    if (socket.readyState === WebSocket.OPEN) socket.send(text);
    else {
      socket.addEventListener("open", () => this.#questions.has(id) && socket.send(text), {
        once: true,
      });
    }
    return resultOf(await done.promise, id);
  };

  close(): void {
    this.#drop(new Error("ask RPC endpoint: closed"));
  }

  #open(): WebSocket {
    const socket = new WebSocket(this.#url);
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#answered(data);
    });
    const lost = () => {
      if (socket === this.#socket) this.#drop(new Error("ask RPC endpoint: the socket closed"));
    };
    socket.addEventListener("close", lost);
    socket.addEventListener("error", lost);
    return socket;
  }

  #answered(data: unknown): void {
    let answer: unknown;
    try {
      if (typeof data !== "string" || data.length > MAX_RPC_ANSWER_BYTES) {
        throw new TypeError("read RPC answer: not text, or too much");
      }
      answer = JSON.parse(data);
    } catch (error) {
      return this.#drop(error);
    }
    const id = isRecord(answer) ? answer["id"] : undefined;
    const question = typeof id === "number" ? this.#questions.get(id) : undefined;
    if (question === undefined) return; // a notification, or too late
    this.#questions.delete(id as number);
    clearTimeout(question.timer);
    question.done.resolve(answer);
    if (this.#questions.size === 0) this.#idle = setTimeout(() => this.close(), IDLE_SOCKET_MS);
  }

  /** Fails all questions, and forgets the socket: the next question opens another. */
  #drop(error: unknown): void {
    clearTimeout(this.#idle);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    for (const { done, timer } of this.#questions.values()) {
      clearTimeout(timer);
      done.reject(error);
    }
    this.#questions.clear();
  }
}
