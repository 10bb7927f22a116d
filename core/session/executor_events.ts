/** What happens to an executor's session, and what it wants done. @module */
import type { Address, Hash } from "../bytes.ts";
import type { ErrorData } from "../errors.ts";
import type { Cost } from "../payments/amounts.ts";
import type { PaidReceipt, VoucherMessage } from "../payments/ports.ts";
import type { InferenceEnd, SignedResponse } from "../ports.ts";
import type { LlmResponseCommitment } from "../signing/typed_data.ts";
import type { Due } from "./delivery.ts";

/** Times of an executor's session, in milliseconds. */
export interface ExecutorSessionOptions {
  /** Longest time for one answer, whatever the request's deadline. @default 600000 */
  readonly timeoutMs?: number;
  /** Longest time that a client may not read while an answer waits for it. @default 60000 */
  readonly stallTimeoutMs?: number;
  /** For the backend to stop after it was told to; then the stream is cut. @default 10000 */
  readonly cancelTimeoutMs?: number;
  /** For the client to pay what text, or the end of a request, waits for; then the stream is cut. @default 15000 */
  readonly paymentTimeoutMs?: number;
}

/** How a request is paid. */
export interface ExecutorPayment {
  /** What may be outstanding. */
  readonly step: Cost;
  /** What is paid already. */
  readonly paid: Cost;
  /** Receipts that the client is known to have acknowledged. */
  readonly acknowledged: number;
}

/** The timers of an executor's session. */
export type ExecutorTimer = "total" | "stall" | "cancel" | "payment";

/** What happens to a session. */
export type ExecutorEvent =
  /** The request arrived. `refused`: it does not meet the terms, whoever signed it. */
  | { readonly type: "open"; readonly refused?: ErrorData; readonly nowMs: number }
  | { readonly type: "verified"; readonly client: Address; readonly requestHash: Hash }
  /** Its nonce is new and remembered; `payment` of a paid one is on disk. */
  | { readonly type: "admitted"; readonly payment?: ExecutorPayment }
  /** Verification, or admission, failed. */
  | { readonly type: "refused"; readonly error: ErrorData }
  | { readonly type: "batch"; readonly lines: Uint8Array; readonly tokens: number }
  | { readonly type: "end"; readonly end: InferenceEnd; readonly nowMs: number }
  | { readonly type: "failed"; readonly error: ErrorData }
  | { readonly type: "signed"; readonly response: SignedResponse; readonly responseHash: Hash }
  /** The receipt of a paid request is on disk. */
  | { readonly type: "settled" }
  /** Signing or keeping the receipt failed. */
  | { readonly type: "unsigned"; readonly error: ErrorData }
  /** The client pays. */
  | { readonly type: "voucher"; readonly voucher: VoucherMessage }
  /** What it paid of this request in all is on disk. */
  | { readonly type: "paid"; readonly total: Cost }
  /** It did not pay what it said. */
  | { readonly type: "unpaid"; readonly error: ErrorData }
  /** The client wants no more. */
  | { readonly type: "cancel" }
  /** The client is gone, or sent what is no frame. */
  | { readonly type: "cut"; readonly error: ErrorData }
  /** This executor ends, and the time to finish is over. */
  | { readonly type: "shutdown" }
  | { readonly type: "congested" }
  | { readonly type: "drained" }
  | { readonly type: "timer"; readonly timer: ExecutorTimer };

/** What a session wants done, in order. */
export type ExecutorEffect =
  | { readonly type: "verify" }
  | { readonly type: "admit"; readonly client: Address; readonly requestHash: Hash }
  | { readonly type: "accept"; readonly requestHash: Hash; readonly acknowledged?: number }
  | { readonly type: "run" }
  | { readonly type: "delta"; readonly lines: Uint8Array }
  /** Ask the client for payment. */
  | ({ readonly type: "due" } & Due)
  /** Check and keep a voucher. */
  | { readonly type: "take"; readonly voucher: VoucherMessage }
  /** Keep the receipt, before it is sent. */
  | { readonly type: "settle"; readonly receipt: PaidReceipt }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "cancel_run"; readonly reason: ErrorData }
  | { readonly type: "sign"; readonly commitment: LlmResponseCommitment }
  | { readonly type: "receipt"; readonly response: SignedResponse; readonly trailer: Uint8Array }
  | { readonly type: "reject"; readonly error: ErrorData }
  | { readonly type: "arm"; readonly timer: ExecutorTimer; readonly ms: number }
  | { readonly type: "disarm"; readonly timer: ExecutorTimer }
  | { readonly type: "abort"; readonly error: ErrorData }
  /** The session is over. */
  | {
    readonly type: "done";
    readonly response?: SignedResponse;
    readonly error?: ErrorData;
    /** What was delivered comes to, by the receipt if there is one; zero if nothing is owed. */
    readonly owed: Cost;
  };
