/**
 * One error family for everything that goes wrong for a reason a caller can act on.
 * Misuse of an API by the programmer throws built-ins (`TypeError`, `RangeError`) instead.
 * @module
 */

/** All codes. */
export const ERROR_CODES = [
  // the caller, or time
  "aborted", // the caller cancelled
  "timeout", // a deadline of ours passed
  "config_invalid", // a setting is unknown or out of range
  "in_use", // another process has what only one may
  "identity_invalid", // a key is malformed, or its file may be read by others
  // what a peer sent
  "frame_too_large",
  "frame_malformed", // not one well-formed message
  "frame_unsupported", // requires a feature this node lacks
  "protocol_violation", // a well-formed message at the wrong moment
  "signature_invalid", // not a canonical signature of that message
  "signer_mismatch", // signed, by another key than it must be
  // why a request is refused
  "request_invalid", // not a request to a model, or its body and its commitment disagree
  "request_expired",
  "request_premature", // its deadline lies further ahead than the executor accepts
  "request_replayed",
  "model_unavailable",
  "feature_unsupported",
  "context_length_exceeded",
  "price_too_low",
  "payment_required", // priced, and not paid for
  "voucher_invalid", // does not pay what it must, or is not the signer's
  "channel_unusable", // unknown to the chain, closing, closed, or without enough deposit
  "overloaded", // the queue is full; `retryAfterMs` says when to try again
  "rate_limited",
  "shutting_down",
  // the language model behind an executor
  "backend_unreachable",
  "backend_unauthorized",
  "backend_rejected", // it answered 4xx: this request cannot succeed there
  "backend_failed", // it answered 5xx, or reported an error in its stream
  "backend_malformed", // its answer is not what its API says
  "backend_truncated", // its stream ended before its end mark
  "backend_timeout",
  // the network, at the client
  "no_executor", // nobody serves what was asked, at the terms asked
  "peer_unreachable",
  "stream_broken", // the answer ended without its receipt
  "receipt_invalid", // the receipt does not prove what was delivered
  "announcement_stale", // older than one already known from that peer
  // money, at the client
  "overcharged", // an executor claims more than it delivered
  "budget_exceeded", // it would cost more than its owner allows
  "insufficient_funds", // the account has less than is needed
  // the chain
  "chain_unavailable", // no endpoint answers, or answers sensibly
  "chain_mismatch", // an endpoint of another chain, or without the contract
  "transaction_failed", // refused, or reverted
  // inside this process
  "worker_crashed",
  "internal",
] as const;

/** Why an operation failed. Codes are part of the wire protocol: peers see them in `reject` and in receipts. */
export type ErrorCode = (typeof ERROR_CODES)[number];

const KNOWN: ReadonlySet<string> = new Set(ERROR_CODES);

/** Whether a text from outside is one of our codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return KNOWN.has(text);
}

/** What a {@linkcode LloomError} carries besides its message. */
export interface LloomErrorOptions {
  /** What led to this error; never sent to a peer. */
  readonly cause?: unknown;
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** A `LloomError` as plain data: it survives `postMessage` and CBOR. The cause stays behind. */
export interface ErrorData {
  /** Why it failed. */
  readonly code: ErrorCode;
  /** The action, a colon, the state. */
  readonly message: string;
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number;
}

/**
 * A failure with a code. Messages name the action, a colon, the state: `dial executor: no route`.
 *
 * @example
 * ```ts
 * import { LloomError } from "@lloom/core/errors";
 * import assert from "node:assert/strict";
 *
 * const error = new LloomError("overloaded", "admit request: 64 waiting", { retryAfterMs: 500 });
 * assert.equal(LloomError.from(error.toData()).retryAfterMs, 500);
 * ```
 */
export class LloomError extends Error {
  /** The name of the class, in any realm. */
  override readonly name = "LloomError";
  /** Why it failed. */
  readonly code: ErrorCode;
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  /** A failure; the message names the action, a colon, the state. */
  constructor(code: ErrorCode, message: string, options: LloomErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Plain data, to cross a worker or the wire. */
  toData(): ErrorData {
    const { code, message, retryAfterMs } = this;
    return retryAfterMs === undefined ? { code, message } : { code, message, retryAfterMs };
  }

  /** The reverse of {@linkcode LloomError.toData}. */
  static from(data: ErrorData): LloomError {
    const { code, message, retryAfterMs } = data;
    return new LloomError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
  }

  /**
   * Any thrown value as a `LloomError`: itself, an `AbortSignal`'s reason as `aborted` or `timeout`,
   * and all else as `code`.
   */
  static wrap(thrown: unknown, code: ErrorCode = "internal", action?: string): LloomError {
    if (thrown instanceof LloomError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const name = thrown instanceof Error ? thrown.name : "";
    if (name === "AbortError") code = "aborted";
    if (name === "TimeoutError") code = "timeout";
    return new LloomError(code, action === undefined ? message : `${action}: ${message}`, {
      cause: thrown,
    });
  }
}
