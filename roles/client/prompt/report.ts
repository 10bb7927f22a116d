/** What a finished request looks like to another program: `--format json`. @module */
import type { Address } from "@lloom/core/bytes";
import type { Receipt } from "@lloom/core/net";
import { type ReceiptFile, receiptFileOf } from "@lloom/core/payments";
import type { SigningDomain } from "@lloom/core/signing";
import type { Acknowledgement, Spending } from "../spending.ts";

/** One request and its proven answer: a receipt file, with what its reader wants to know first. */
export interface CompletionReport extends ReceiptFile {
  /** The first answer's text. */
  readonly content: string;
  readonly model: string;
  /** What served the model, as its executor says. */
  readonly backend: string;
  readonly finish: string;
  readonly usage: {
    readonly promptTokens: number;
    readonly completionTokens: number;
    readonly countedBy: string;
  };
  readonly timings: { readonly ttftMs: number; readonly totalMs: number };
  /** What it cost, for people; absent if it was free. */
  readonly spending?: Spending;
}

/** What a report is made of besides the receipt. */
export interface ReportDetails {
  readonly content: string;
  readonly body: Uint8Array;
  readonly backend: string;
  readonly client: { readonly peerId: string; readonly address: Address };
  readonly domain: SigningDomain;
  readonly ttftMs: number;
  readonly totalMs: number;
  /** The voucher that acknowledges the receipt, and how; absent if it was free. */
  readonly acknowledged?: Acknowledgement;
  /** Absent if it was free. */
  readonly spending?: Spending;
}

/** Puts a report together. */
export function reportOf(receipt: Receipt, details: ReportDetails): CompletionReport {
  const { content, body, backend, client, domain, ttftMs, totalMs, acknowledged, spending } =
    details;
  const { executor, request, response, salt, trailer, payment } = receipt;
  const { promptTokens, completionTokens, countedBy, finish } = trailer;
  const proof = acknowledged && {
    voucher: acknowledged.voucher,
    acknowledged: { index: acknowledged.index, path: acknowledged.path },
  };
  const file = receiptFileOf({
    executor,
    client,
    domain,
    request,
    salt,
    body,
    response,
    content: receipt.content,
    ...(payment && { payment: { ...payment, ...proof } }),
  });
  return {
    content,
    model: request.commitment.model,
    backend,
    finish,
    usage: { promptTokens, completionTokens, countedBy },
    timings: { ttftMs: round(ttftMs), totalMs: round(totalMs) },
    ...(spending && { spending }),
    ...file,
  };
}

/** Milliseconds to a tenth. */
function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
