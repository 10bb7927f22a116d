/** What a process tells by its exit code. @module */
import { type ErrorCode, LloomError } from "@lloom/core/errors";

/** Exit codes of every Lloom command; also listed at the end of `--help`. */
export const EXIT = {
  /** Done, or a service stopped in order. */
  ok: 0,
  /** A fault in Lloom itself. */
  unexpected: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The configuration or the identity is wrong. */
  configuration: 3,
  /** The network cannot be reached, or nobody there serves what was asked. */
  network: 4,
  /** The request was refused, or the model behind the executor failed. */
  refused: 5,
  /** The answer is not proven: its receipt is wrong, or it broke off. */
  unproven: 6,
  /** Money is missing or not to be spent, or the chain does not do what it must. */
  money: 7,
  /** Stopped by SIGINT before the work was done (128 + 2). */
  interrupted: 130,
  /** Stopped by SIGTERM before the work was done (128 + 15). */
  terminated: 143,
} as const;

/** One of {@linkcode EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Readonly<Record<ErrorCode, ExitCode>> = {
  aborted: EXIT.interrupted,
  timeout: EXIT.network,
  config_invalid: EXIT.configuration,
  in_use: EXIT.configuration,
  identity_invalid: EXIT.configuration,
  frame_too_large: EXIT.network,
  frame_malformed: EXIT.network,
  frame_unsupported: EXIT.network,
  protocol_violation: EXIT.network,
  signature_invalid: EXIT.unproven,
  signer_mismatch: EXIT.unproven,
  request_invalid: EXIT.refused,
  request_expired: EXIT.refused,
  request_premature: EXIT.refused,
  request_replayed: EXIT.refused,
  model_unavailable: EXIT.refused,
  feature_unsupported: EXIT.refused,
  context_length_exceeded: EXIT.refused,
  price_too_low: EXIT.refused,
  payment_required: EXIT.refused,
  voucher_invalid: EXIT.refused,
  channel_unusable: EXIT.refused,
  overloaded: EXIT.refused,
  rate_limited: EXIT.refused,
  shutting_down: EXIT.refused,
  backend_unreachable: EXIT.refused,
  backend_unauthorized: EXIT.refused,
  backend_rejected: EXIT.refused,
  backend_failed: EXIT.refused,
  backend_malformed: EXIT.refused,
  backend_truncated: EXIT.refused,
  backend_timeout: EXIT.refused,
  no_executor: EXIT.network,
  peer_unreachable: EXIT.network,
  stream_broken: EXIT.unproven,
  receipt_invalid: EXIT.unproven,
  announcement_stale: EXIT.network,
  overcharged: EXIT.unproven,
  budget_exceeded: EXIT.money,
  insufficient_funds: EXIT.money,
  chain_unavailable: EXIT.money,
  chain_mismatch: EXIT.configuration,
  transaction_failed: EXIT.money,
  worker_crashed: EXIT.unexpected,
  internal: EXIT.unexpected,
};

/** A command line that names what is not there, or is no amount: {@linkcode EXIT}`.usage`. */
export class UsageError extends Error {
  /** For the class of an error in a log. */
  override readonly name = "UsageError";
}

/** The exit code for whatever ended a command. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof UsageError) return EXIT.usage;
  return thrown instanceof LloomError ? BY_CODE[thrown.code] : EXIT.unexpected;
}

/** The table for `--help`. */
export const EXIT_NOTES: string = `
Exit codes:
  0    done
  1    unexpected failure
  2    wrong usage
  3    configuration or identity invalid
  4    network unreachable, or no executor for the request
  5    request refused, or the model failed
  6    answer not proven by its receipt, or broken off
  7    money missing or over budget, or the chain failed
  130  interrupted (SIGINT); 143 terminated (SIGTERM)`;
