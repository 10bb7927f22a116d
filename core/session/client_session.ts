/**
 * The client's end of one request, without I/O: event in, effects out.
 *
 * | state      | waits for                                  |
 * |------------|--------------------------------------------|
 * | `opening`  | `accept` or `reject`                       |
 * | `accepted` | the first `delta`, a `receipt` or `reject` |
 * | `streaming`| more `delta`, or the `receipt`             |
 * | `verifying`| the verdict on the receipt's signature     |
 * | `over`     | nothing                                    |
 *
 * A request ends in exactly one of `finish` (with a proven receipt) and `fail`. After `finish`, and
 * after a `reject`, the stream is clean and can carry the next request; after any other `fail` it
 * is aborted.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import type { SignedRequest, SignedResponse } from "../ports.ts";
import type { ExecutorFrame, ReceiptFrame } from "../protocol/infer/mod.ts";
import {
  MAX_CLOCK_SKEW_S,
  MAX_DELTAS,
  MAX_RESPONSE_BYTES,
  TEMPLATE_TOKENS,
} from "../protocol/limits.ts";
import { decodeTrailer, type Trailer } from "../protocol/trailer.ts";

/** Times of a client's session, in milliseconds. */
export interface ClientSessionOptions {
  /** For the executor to accept or reject. @default 15000 */
  readonly acceptTimeoutMs?: number;
  /** For the first piece of the answer after acceptance; servers load models on demand. @default 90000 */
  readonly firstDeltaTimeoutMs?: number;
  /** For the whole answer; then it is cancelled. @default 300000 */
  readonly timeoutMs?: number;
  /** For the receipt of a cancelled answer; then the stream is cut. @default 5000 */
  readonly cancelTimeoutMs?: number;
}

/** What a session is about. */
export interface ClientSessionRequest {
  /** What the client signed. */
  readonly request: SignedRequest;
  /** Its EIP-712 hash, which the receipt must repeat. */
  readonly requestHash: Hash;
  /** The address that signed `request`. */
  readonly client: Address;
  /** The length of the chat request: an upper bound of its tokens. */
  readonly bodyBytes: number;
}

/** The timers of a client's session. */
export type ClientTimer = "accept" | "first" | "total" | "cancel";

/** What happens to a session. */
export type ClientEvent =
  | { readonly type: "start" }
  | { readonly type: "frame"; readonly frame: ExecutorFrame; readonly nowMs: number }
  /** The stream ended, broke, or carried what is no frame. */
  | { readonly type: "cut"; readonly error?: ErrorData }
  /** The caller wants no more. */
  | { readonly type: "cancel"; readonly reason: ErrorData }
  /** Who signed the receipt over the delivered bytes. */
  | { readonly type: "verified"; readonly executor: Address }
  | { readonly type: "unverified"; readonly error: ErrorData }
  | { readonly type: "timer"; readonly timer: ClientTimer };

/** What a session wants done, in order. */
export type ClientEffect =
  | { readonly type: "send"; readonly frame: "open" | "cancel" }
  | { readonly type: "arm"; readonly timer: ClientTimer; readonly ms: number }
  | { readonly type: "disarm"; readonly timer: ClientTimer }
  /** Hand lines to the caller, and remember them for the receipt's hash. */
  | { readonly type: "deliver"; readonly lines: Uint8Array }
  /** Check the receipt against all delivered lines and the trailer. */
  | { readonly type: "verify"; readonly response: SignedResponse; readonly trailer: Uint8Array }
  | {
    readonly type: "finish";
    readonly response: SignedResponse;
    readonly trailer: Trailer;
    /** Why the caller cancelled, if it did. */
    readonly cancelled?: ErrorData;
  }
  | { readonly type: "fail"; readonly error: ErrorData }
  /** The stream can carry another request. */
  | { readonly type: "release" }
  /** The stream must not be used again. */
  | { readonly type: "abort"; readonly error: ErrorData };

type State = "new" | "opening" | "accepted" | "streaming" | "verifying" | "over";

const TIMERS: readonly ClientTimer[] = ["accept", "first", "total", "cancel"];

const LINE_FEED = 0x0a;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The client's end of one request. See the module's table. */
export class ClientSession {
  readonly #about: ClientSessionRequest;
  readonly #options: Required<ClientSessionOptions>;
  #state: State = "new";
  #cancelled: ErrorData | undefined;
  #deliveredBytes = 0;
  #deltas = 0;
  #streamLost = false;
  #receipt: { readonly response: SignedResponse; readonly trailer: Trailer } | undefined;

  /** A session whose request is not sent yet. */
  constructor(about: ClientSessionRequest, options: ClientSessionOptions = {}) {
    this.#about = about;
    this.#options = {
      acceptTimeoutMs: options.acceptTimeoutMs ?? 15_000,
      firstDeltaTimeoutMs: options.firstDeltaTimeoutMs ?? 90_000,
      timeoutMs: options.timeoutMs ?? 300_000,
      cancelTimeoutMs: options.cancelTimeoutMs ?? 5_000,
    };
  }

  /** Whether the session has ended. */
  get over(): boolean {
    return this.#state === "over";
  }

  /** Takes an event; returns what is to be done about it. After the end, nothing is. */
  handle(event: ClientEvent): ClientEffect[] {
    if (this.#state === "over") return [];
    switch (event.type) {
      case "start":
        return this.#start();
      case "frame":
        return this.#frame(event.frame, event.nowMs);
      case "cut":
        // The receipt is here; what becomes of the stream no longer matters to this request.
        if (this.#state === "verifying") {
          this.#streamLost = true;
          return [];
        }
        return this.#broken(event.error ?? broken("ended before its receipt"));
      case "cancel":
        return this.#cancel(event.reason);
      case "verified":
        return this.#verified(event.executor);
      case "unverified":
        return this.#broken(event.error);
      case "timer":
        return this.#timer(event.timer);
    }
  }

  #start(): ClientEffect[] {
    if (this.#state !== "new") throw new TypeError("start session: started already");
    this.#state = "opening";
    return [
      { type: "send", frame: "open" },
      { type: "arm", timer: "accept", ms: this.#options.acceptTimeoutMs },
      { type: "arm", timer: "total", ms: this.#options.timeoutMs },
    ];
  }

  #frame(frame: ExecutorFrame, nowMs: number): ClientEffect[] {
    switch (frame.type) {
      case "accept":
        if (this.#state !== "opening") return this.#violation("a second accept");
        if (frame.requestHash !== this.#about.requestHash) {
          return this.#violation("accepted another request");
        }
        this.#state = "accepted";
        return [
          { type: "disarm", timer: "accept" },
          { type: "arm", timer: "first", ms: this.#options.firstDeltaTimeoutMs },
        ];
      case "reject":
        if (this.#state !== "opening" && this.#state !== "accepted") {
          return this.#violation("rejected after the first delta");
        }
        return this.#end([
          { type: "release" },
          { type: "fail", error: this.#cancelled ?? frame.error },
        ]);
      case "delta":
        if (this.#state !== "accepted" && this.#state !== "streaming") {
          return this.#violation("a delta out of turn");
        }
        return this.#delta(frame.lines);
      case "due":
        return this.#violation("a demand for payment of what is free");
      case "receipt":
        if (this.#state !== "accepted" && this.#state !== "streaming") {
          return this.#violation("a receipt out of turn");
        }
        return this.#checkReceipt(frame, nowMs);
    }
  }

  #delta(lines: Uint8Array): ClientEffect[] {
    const isFirst = this.#state === "accepted";
    this.#state = "streaming";
    this.#deliveredBytes += lines.length;
    this.#deltas++;
    if (this.#deliveredBytes > MAX_RESPONSE_BYTES || this.#deltas > MAX_DELTAS) {
      return this.#violation(`more than ${MAX_RESPONSE_BYTES} bytes or ${MAX_DELTAS} deltas`);
    }
    // Who reads the signed bytes later must see the same lines, however they were framed.
    if (!areWholeLines(lines)) return this.#violation("a delta that is not whole lines of text");
    const deliver: ClientEffect = { type: "deliver", lines };
    return isFirst ? [{ type: "disarm", timer: "first" }, deliver] : [deliver];
  }

  /** Everything that the signature alone does not prove: that the receipt is about this request. */
  #checkReceipt({ response, trailer: bytes }: ReceiptFrame, nowMs: number): ClientEffect[] {
    let trailer: Trailer;
    try {
      trailer = decodeTrailer(bytes);
    } catch (error) {
      return this.#broken(LloomError.wrap(error).toData());
    }
    const asked = this.#about.request.commitment;
    const said = response.commitment;
    const ended = trailer.finish !== "cancelled" && trailer.finish !== "error";
    const latest = asked.deadline + BigInt(MAX_CLOCK_SKEW_S);
    const early = BigInt(Math.floor(nowMs / 1000) - MAX_CLOCK_SKEW_S);
    const late = BigInt(Math.floor(nowMs / 1000) + MAX_CLOCK_SKEW_S);
    const fault = said.requestHash !== this.#about.requestHash
      ? "another request's"
      : said.client !== this.#about.client
      ? "another client's"
      : said.model !== asked.model
      ? "another model"
      : said.inboundPrice !== asked.inboundPrice || said.outboundPrice !== asked.outboundPrice
      ? "other prices"
      : said.outboundTokens > asked.maxTokens
      ? "more tokens than asked for"
      : said.inboundTokens > this.#about.bodyBytes + TEMPLATE_TOKENS
      ? "more tokens than the request can have"
      : said.inboundTokens !== trailer.promptTokens ||
          said.outboundTokens !== trailer.completionTokens
      ? "other token counts than its trailer"
      : said.success !== ended
      ? "another outcome than its trailer"
      : said.timestamp > latest || said.timestamp < early || said.timestamp > late
      ? "a date that cannot be"
      : undefined;
    if (fault !== undefined) {
      return this.#broken({ code: "receipt_invalid", message: `check receipt: ${fault}` });
    }
    this.#state = "verifying";
    this.#receipt = { response, trailer };
    return [{ type: "verify", response, trailer: bytes }];
  }

  #verified(executor: Address): ClientEffect[] {
    if (this.#state !== "verifying" || this.#receipt === undefined) {
      throw new TypeError("verify receipt: none is being verified");
    }
    if (executor !== this.#about.request.commitment.executor) {
      return this.#broken({
        code: "signer_mismatch",
        message: "check receipt: signed by another than the executor asked",
      });
    }
    return this.#end([
      ...(this.#streamLost ? [] : [{ type: "release" } as const]),
      {
        type: "finish",
        ...this.#receipt,
        ...(this.#cancelled && { cancelled: this.#cancelled }),
      },
    ]);
  }

  #cancel(reason: ErrorData): ClientEffect[] {
    if (this.#cancelled !== undefined) return [];
    this.#cancelled = reason;
    if (this.#state === "new") return this.#end([{ type: "fail", error: reason }]);
    if (this.#state === "verifying") return [];
    return [
      { type: "send", frame: "cancel" },
      { type: "arm", timer: "cancel", ms: this.#options.cancelTimeoutMs },
    ];
  }

  #timer(timer: ClientTimer): ClientEffect[] {
    switch (timer) {
      case "accept":
        return this.#broken({
          code: "peer_unreachable",
          message: "ask executor: it did not answer in time",
        });
      case "first":
        return this.#cancel({
          code: "backend_timeout",
          message: "await answer: the executor accepted, and said nothing",
        });
      case "total":
        return this.#cancel({ code: "timeout", message: "await answer: time is up" });
      case "cancel":
        return this.#broken(this.#cancelled ?? broken("no receipt after cancelling"));
    }
  }

  #violation(what: string): ClientEffect[] {
    return this.#broken({ code: "protocol_violation", message: `read answer: ${what}` });
  }

  #broken(error: ErrorData): ClientEffect[] {
    return this.#end([{ type: "abort", error }, {
      type: "fail",
      error: this.#cancelled ?? error,
    }]);
  }

  #end(effects: ClientEffect[]): ClientEffect[] {
    this.#state = "over";
    return [...TIMERS.map((timer): ClientEffect => ({ type: "disarm", timer })), ...effects];
  }
}

/** Whether bytes are lines of UTF-8, none of them empty, each ended by a line feed. */
function areWholeLines(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(LINE_FEED, at);
    if (end <= at) return false;
    at = end + 1;
  }
  try {
    utf8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function broken(how: string): ErrorData {
  return { code: "stream_broken", message: `read answer: ${how}` };
}
