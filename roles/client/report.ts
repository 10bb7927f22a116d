/** What a finished request looks like to another program: `--format json`. @module */
import { toHex } from "@lloom/core/bytes";
import { toChecksumAddress } from "@lloom/core/identity";
import type { Receipt } from "@lloom/core/net";
import type { JsonObject } from "@lloom/core/protocol";
import {
  type LlmRequestCommitment,
  type LlmResponseCommitment,
  type SigningDomain,
  TYPES,
} from "@lloom/core/signing";

/** A signed message with all that `verifyTypedData` of viem, or of any wallet, needs. */
export interface SignedReport {
  readonly domain: JsonObject;
  readonly types: JsonObject;
  readonly primaryType: string;
  /** Amounts and other integers of 64 bits and more as decimal text. */
  readonly message: JsonObject;
  readonly signature: string;
}

/** One request and its proven answer. */
export interface CompletionReport {
  readonly content: string;
  readonly model: string;
  /** What served the model, as its executor says. */
  readonly backend: string;
  readonly executor: { readonly peerId: string; readonly address: string };
  readonly client: { readonly peerId: string; readonly address: string };
  readonly finish: string;
  readonly usage: {
    readonly promptTokens: number;
    readonly completionTokens: number;
    readonly countedBy: string;
  };
  readonly timings: { readonly ttftMs: number; readonly totalMs: number };
  /** `promptHash` is keccak256(`salt` ‖ UTF-8 of `body`). */
  readonly request: SignedReport & { readonly salt: string; readonly body: string };
  /** `contentHash` is keccak256(UTF-8 of `delivered`); `requestHash` the request's hashStruct. */
  readonly receipt: SignedReport & { readonly delivered: string };
}

/** What a report is made of besides the receipt. */
export interface ReportDetails {
  readonly content: string;
  readonly body: Uint8Array;
  readonly backend: string;
  readonly client: { readonly peerId: string; readonly address: `0x${string}` };
  readonly domain: SigningDomain;
  readonly ttftMs: number;
  readonly totalMs: number;
}

/** Puts a report together. */
export function reportOf(receipt: Receipt, details: ReportDetails): CompletionReport {
  const { content, body, backend, client, domain, ttftMs, totalMs } = details;
  const { executor, request, response, trailer } = receipt;
  const { promptTokens, completionTokens, countedBy, finish } = trailer;
  return {
    content,
    model: request.commitment.model,
    backend,
    executor: { peerId: executor.peerId, address: toChecksumAddress(executor.address) },
    client: { peerId: client.peerId, address: toChecksumAddress(client.address) },
    finish,
    usage: { promptTokens, completionTokens, countedBy },
    timings: { ttftMs: round(ttftMs), totalMs: round(totalMs) },
    request: {
      ...signed("LlmRequestCommitment", request.commitment, request.signature, domain),
      salt: toHex(receipt.salt),
      body: text(body),
    },
    receipt: {
      ...signed("LlmResponseCommitment", response.commitment, response.signature, domain),
      delivered: text(receipt.content),
    },
  };
}

function signed(
  primaryType: "LlmRequestCommitment" | "LlmResponseCommitment",
  message: LlmRequestCommitment | LlmResponseCommitment,
  signature: Uint8Array,
  { chainId, ...domain }: SigningDomain,
): SignedReport {
  const fields = Object.entries(message).map(([name, value]) => [
    name,
    typeof value === "bigint" ? String(value) : value,
  ]);
  return {
    domain: { ...domain, chainId: Number(chainId) },
    types: { [primaryType]: TYPES[primaryType] },
    primaryType,
    message: Object.fromEntries(fields),
    signature: toHex(signature),
  };
}

/** Bytes as text that has the same bytes again: the session has checked that they are UTF-8. */
function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Milliseconds to a tenth. */
function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
