/**
 * The client's end of one request, without I/O: event in, effects out.
 *
 * | state      | waits for                                  |
 * |------------|--------------------------------------------|
 * | `opening`  | `accept` or `reject`                       |
 * | `accepted` | the first `delta`, a `receipt` or `reject` |
 * | `streaming`| more `delta`, or the `receipt`             |
 * | `verifying`| the verdict on the receipt's signature     |
 * | `settling` | the payment of what the receipt comes to   |
 * | `over`     | nothing                                    |
 *
 * A request ends in exactly one of `finish` (with a proven receipt) and `fail`. After `finish`, and
 * after a `reject`, the stream is clean and can carry the next request; after any other `fail` it
 * is aborted.
 *
 * In a paid request, each `due` is answered with a payment, one after the other; and what is
 * reserved for it ends with exactly one of `settle`, `dispute`, `abandon` and `disown`.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import { costOf } from "../payments/amounts.ts";
import type { PaidReceipt, VoucherMessage } from "../payments/ports.ts";
import type { SignedResponse } from "../ports.ts";
import type { AcceptFrame, ExecutorFrame, ReceiptFrame } from "../protocol/infer/mod.ts";
import { MAX_DELTAS, MAX_RESPONSE_BYTES } from "../protocol/limits.ts";
import { decodeTrailer, type Trailer } from "../protocol/trailer.ts";
import type {
  ClientEffect,
  ClientEvent,
  ClientSessionOptions,
  ClientSessionRequest,
  ClientTimer,
} from "./client_events.ts";
import type { Due } from "./delivery.ts";
import { Meter } from "./meter.ts";
import { receiptExcess, receiptFault, type ReceiptSubject } from "./receipt_check.ts";
import { toldByExecutor } from "./told_by_executor.ts";

type State = "new" | "opening" | "accepted" | "streaming" | "verifying" | "settling" | "over";

const DISARM_ALL: readonly ClientEffect[] = (["accept", "first", "total", "cancel"] as const)
  .map((timer) => ({ type: "disarm", timer }));

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
  readonly #meter: Meter | undefined;
  #paying = false;
  /** What a receipt claims too much of. */
  #excess: string | undefined;
  /** A receipt whose acknowledgement waits until what was demanded before it is paid. */
  #unsettled: PaidReceipt | undefined;
  /** The reservation was ended. */
  #closed = false;

  /** A session whose request is not sent yet. */
  constructor(about: ClientSessionRequest, options: ClientSessionOptions = {}) {
    this.#about = about;
    this.#meter = about.payment && new Meter(about.request.commitment, about.payment);
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
        if (this.#state === "verifying" || this.#state === "settling") {
          this.#streamLost = true;
          return [];
        }
        return this.#broken(event.error ?? broken("ended before its receipt"));
      case "cancel":
        return this.#cancel(event.reason);
      case "verified":
        return this.#verified(event.executor, event.responseHash);
      case "unverified":
        return this.#broken(event.error);
      case "paid":
        return this.#paid(event.voucher);
      case "settled":
        return this.#finish(event.voucher);
      case "unpaid":
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
        return this.#accepted(frame);
      case "reject":
        if (this.#state !== "opening" && this.#state !== "accepted") {
          return this.#violation("rejected after the first delta");
        }
        return this.#end([
          ...(frame.error.code === "voucher_invalid" ? this.#disown() : this.#abandon(false)),
          { type: "release" },
          { type: "fail", error: this.#cancelled ?? toldByExecutor(frame.error) },
        ]);
      case "delta":
        if (this.#state !== "accepted" && this.#state !== "streaming") {
          return this.#violation("a delta out of turn");
        }
        return this.#delta(frame.lines);
      case "due":
        if (this.#state !== "streaming" || this.#paying) {
          return this.#violation("a demand out of turn");
        }
        return this.#due(frame);
      case "receipt":
        if (this.#state !== "accepted" && this.#state !== "streaming") {
          return this.#violation("a receipt out of turn");
        }
        return this.#checkReceipt(frame, nowMs);
    }
  }

  #accepted({ requestHash, acknowledged }: AcceptFrame): ClientEffect[] {
    if (this.#state !== "opening") return this.#violation("a second accept");
    if (requestHash !== this.#about.requestHash) {
      return this.#violation("accepted another request");
    }
    if ((acknowledged !== undefined) !== (this.#meter !== undefined)) {
      return this.#violation("accepted a paid request as free, or a free one as paid");
    }
    this.#state = "accepted";
    return [
      { type: "disarm", timer: "accept" },
      { type: "arm", timer: "first", ms: this.#options.firstDeltaTimeoutMs },
      ...(acknowledged === undefined
        ? []
        : [{ type: "acknowledged", count: acknowledged } as const]),
    ];
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
    try {
      this.#meter?.add(lines);
    } catch (thrown) {
      return this.#broken(LloomError.wrap(thrown).toData());
    }
    const deliver: ClientEffect = { type: "deliver", lines };
    return isFirst ? [{ type: "disarm", timer: "first" }, deliver] : [deliver];
  }

  #due(due: Due): ClientEffect[] {
    if (this.#meter === undefined) return this.#violation("a demand for a free answer");
    try {
      const total = this.#meter.demand(due);
      this.#paying = true;
      return [{ type: "pay", total }];
    } catch (thrown) {
      return this.#broken(LloomError.wrap(thrown).toData());
    }
  }

  #paid(voucher: VoucherMessage): ClientEffect[] {
    if (!this.#paying) throw new TypeError("pay for answer: nothing is being paid");
    this.#paying = false;
    const effects = this.#voucher(voucher);
    return this.#unsettled === undefined ? effects : [...effects, ...this.#settle(this.#unsettled)];
  }

  /** Everything that the signature alone does not prove: that the receipt is about this request. */
  #checkReceipt({ response, trailer: bytes }: ReceiptFrame, nowMs: number): ClientEffect[] {
    let trailer: Trailer;
    try {
      trailer = decodeTrailer(bytes);
    } catch (error) {
      return this.#broken(LloomError.wrap(error).toData());
    }
    const { request, requestHash, client, bodyBytes } = this.#about;
    const subject: ReceiptSubject = { asked: request.commitment, requestHash, client, bodyBytes };
    this.#excess = receiptExcess(response.commitment, subject, this.#meter?.delivered);
    const fault = receiptFault(response.commitment, trailer, subject, nowMs) ??
      // Where money is at stake, a signed claim of too much is evidence: its signature is checked.
      (this.#meter === undefined ? this.#excess : undefined);
    if (fault !== undefined) {
      return this.#broken({ code: "receipt_invalid", message: `check receipt: ${fault}` });
    }
    this.#state = "verifying";
    this.#receipt = { response, trailer };
    return [{ type: "verify", response, trailer: bytes }];
  }

  #verified(executor: Address, responseHash: Hash): ClientEffect[] {
    if (this.#state !== "verifying" || this.#receipt === undefined) {
      throw new TypeError("verify receipt: none is being verified");
    }
    if (executor !== this.#about.request.commitment.executor) {
      return this.#broken({
        code: "signer_mismatch",
        message: "check receipt: signed by another than the executor asked",
      });
    }
    if (this.#meter === undefined) return this.#finish();
    const { response } = this.#receipt;
    const { inboundTokens, outboundTokens } = response.commitment;
    const cost = costOf(response.commitment, inboundTokens, outboundTokens);
    const receipt = { response, responseHash, cost };
    if (this.#excess !== undefined) return this.#dispute(receipt, this.#excess);
    this.#state = "settling";
    // Nothing is awaited of the executor any more, and the caller has come too late to cancel.
    return [...DISARM_ALL, ...(this.#paying ? this.#postpone(receipt) : this.#settle(receipt))];
  }

  #dispute(receipt: PaidReceipt, excess: string): ClientEffect[] {
    this.#closed = true;
    const error = { code: "overcharged", message: `check receipt: ${excess}` } as const;
    return this.#end([
      { type: "dispute", receipt },
      { type: "abort", error },
      { type: "fail", error },
    ]);
  }

  #postpone(receipt: PaidReceipt): ClientEffect[] {
    this.#unsettled = receipt;
    return [];
  }

  #settle(receipt: PaidReceipt): ClientEffect[] {
    this.#closed = true;
    return [{ type: "settle", receipt }];
  }

  #finish(voucher?: VoucherMessage): ClientEffect[] {
    return this.#end([
      ...(voucher === undefined ? [] : this.#voucher(voucher)),
      ...(this.#streamLost ? [] : [{ type: "release" } as const]),
      {
        type: "finish",
        ...this.#receipt!,
        ...(this.#cancelled && { cancelled: this.#cancelled }),
      },
    ]);
  }

  /** What cannot be sent now goes with the next request on the channel. */
  #voucher(voucher: VoucherMessage): ClientEffect[] {
    return this.#streamLost ? [] : [{ type: "send_voucher", voucher }];
  }

  #cancel(reason: ErrorData): ClientEffect[] {
    if (this.#cancelled !== undefined) return [];
    this.#cancelled = reason;
    if (this.#state === "new") {
      return this.#end([...this.#abandon(false), { type: "fail", error: reason }]);
    }
    if (this.#state === "verifying" || this.#state === "settling") return [];
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
    return this.#end([...this.#abandon(true), { type: "abort", error }, {
      type: "fail",
      error: this.#cancelled ?? error,
    }]);
  }

  #abandon(owed: boolean): ClientEffect[] {
    if (this.#meter === undefined || this.#closed) return [];
    this.#closed = true;
    return [{ type: "abandon", owed }];
  }

  #disown(): ClientEffect[] {
    return this.#abandon(true).map(() => ({ type: "disown" }));
  }

  #end(effects: ClientEffect[]): ClientEffect[] {
    this.#state = "over";
    return [...DISARM_ALL, ...effects];
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
