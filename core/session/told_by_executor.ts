/** What an executor says of a failure, in the client's words. @module */
import type { ErrorCode, ErrorData } from "../errors.ts";

/**
 * Codes that speak of the client's own process, settings or money. From an executor they would have
 * the client's owner look for a fault, or stop a batch, where there is nothing wrong at home.
 */
const OURS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "aborted",
  "config_invalid",
  "in_use",
  "identity_invalid",
  "no_executor",
  "receipt_invalid",
  "overcharged",
  "budget_exceeded",
  "insufficient_funds",
  "transaction_failed",
  "internal",
]);

/** An executor's error; under a code that it cannot mean, it is a failure of what is behind it. */
export function toldByExecutor(error: ErrorData): ErrorData {
  return OURS.has(error.code) ? { ...error, code: "backend_failed" } : error;
}
