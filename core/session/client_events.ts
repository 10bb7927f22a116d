/** What a client's session is about, what happens to it, and what it wants done. @module */
import type { Address, Hash } from "../bytes.ts";
import type { ErrorData } from "../errors.ts";
import type { Cost } from "../payments/amounts.ts";
import type { PaidReceipt, VoucherMessage } from "../payments/ports.ts";
import type { SignedRequest, SignedResponse } from "../ports.ts";
import type { ExecutorFrame } from "../protocol/infer/mod.ts";
import type { Trailer } from "../protocol/trailer.ts";
import type { MeterTerms } from "./meter.ts";

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
  /** The length of the request: an upper bound of its tokens. */
  readonly bodyBytes: number;
  /** How it is paid; absent for a free one. */
  readonly payment?: MeterTerms;
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
  | { readonly type: "verified"; readonly executor: Address; readonly responseHash: Hash }
  | { readonly type: "unverified"; readonly error: ErrorData }
  /** A payment is signed. */
  | { readonly type: "paid"; readonly voucher: VoucherMessage }
  /** The receipt is acknowledged, with a voucher if something was still to be paid. */
  | { readonly type: "settled"; readonly voucher?: VoucherMessage }
  /** Paying, or settling, failed. */
  | { readonly type: "unpaid"; readonly error: ErrorData }
  | { readonly type: "timer"; readonly timer: ClientTimer };

/** What a session wants done, in order. */
export type ClientEffect =
  | { readonly type: "send"; readonly frame: "open" | "cancel" }
  | { readonly type: "send_voucher"; readonly voucher: VoucherMessage }
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
  /** How many receipts the executor knows to be acknowledged. */
  | { readonly type: "acknowledged"; readonly count: number }
  /** Pay so much of the request in all. */
  | { readonly type: "pay"; readonly total: Cost }
  /** Acknowledge the receipt, and pay what is missing. */
  | { readonly type: "settle"; readonly receipt: PaidReceipt }
  /** Keep a receipt that claims too much as evidence. */
  | { readonly type: "dispute"; readonly receipt: PaidReceipt }
  /** There is no receipt. `owed`: the executor did not say that nothing is owed. */
  | { readonly type: "abandon"; readonly owed: boolean }
  /** The executor refused what was paid as not covered. */
  | { readonly type: "disown" }
  /** The stream can carry another request. */
  | { readonly type: "release" }
  /** The stream must not be used again. */
  | { readonly type: "abort"; readonly error: ErrorData };
