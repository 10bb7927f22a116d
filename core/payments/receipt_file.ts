/** A receipt as a file: one JSON object that anybody can check offline (`verify_receipt.ts`). @module */
import { type Address, type Hash, toHex } from "../bytes.ts";
import { toChecksumAddress } from "../identity/identity.ts";
import type { SignedRequest, SignedResponse, SignedVoucher } from "../ports.ts";
import type { JsonObject } from "../protocol/json.ts";
import { MAX_BODY_BYTES, MAX_RESPONSE_BYTES } from "../protocol/limits.ts";
import {
  type ChannelTerms,
  type Messages,
  type MessageType,
  type SigningDomain,
  TYPES,
} from "../signing/typed_data.ts";
import type { Cost } from "./amounts.ts";

/** The version of the format, which changes with its meaning. */
export const RECEIPT_VERSION = 1;

/** Largest receipt file: the largest request and answer, where every other character is escaped, and the answer's text again. */
export const MAX_RECEIPT_FILE_BYTES: number = 3 * (MAX_BODY_BYTES + MAX_RESPONSE_BYTES);

/** A signed message with all that `verifyTypedData` of viem, or of any wallet, needs. */
export interface SignedReport {
  /** EIP-712's domain. */
  readonly domain: JsonObject;
  /** EIP-712's types. */
  readonly types: JsonObject;
  /** Which of them the message is. */
  readonly primaryType: string;
  /** Integers of more than 32 bits as decimal text. */
  readonly message: JsonObject;
  /** 65 bytes: r, s (low), recovery id 0 or 1. */
  readonly signature: string;
}

/** Somebody's names. */
export interface PartyReport {
  /** On the network; absent where it was not kept. */
  readonly peerId?: string;
  /** On the chain, with EIP-55's checksum. */
  readonly address: string;
}

/** How a request was paid. */
export interface PaymentReport {
  /** What the request's `channelId` is the hash of. */
  readonly terms: JsonObject;
  /** Millionths of a base unit that the receipt comes to, as decimal text. */
  readonly cost: string;
  /** A voucher of that channel; absent where none is kept. */
  readonly voucher?: SignedReport;
  /** That the voucher acknowledges this receipt; absent where it does not. */
  readonly acknowledged?: {
    /** The receipt's place among those acknowledged. */
    readonly index: number;
    /** From its leaf to the voucher's `receiptsRoot`: the nearest sibling first. */
    readonly path: readonly Hash[];
  };
}

/** What proves one request and its answer. */
export interface ReceiptFile {
  /** {@linkcode RECEIPT_VERSION} */
  readonly version: typeof RECEIPT_VERSION;
  /** Who answered. */
  readonly executor: PartyReport;
  /** Who asked. */
  readonly client: PartyReport;
  /** `promptHash` is keccak256(`salt` ‖ UTF-8 of `body`); no `body` where it was not kept. */
  readonly request: SignedReport & { readonly salt: string; readonly body?: string };
  /**
   * `contentHash` is keccak256(UTF-8 of `delivered`), and `requestHash` the request's hashStruct; no
   * `delivered` where it was not kept.
   */
  readonly receipt: SignedReport & { readonly delivered?: string };
  /** Absent if it was free. */
  readonly payment?: PaymentReport;
}

/** What a {@linkcode ReceiptFile} is made of. */
export interface ReceiptParts {
  /** Who answered. */
  readonly executor: { readonly peerId?: string; readonly address: Address };
  /** Who asked. */
  readonly client: { readonly peerId?: string; readonly address: Address };
  /** Where the signatures count. */
  readonly domain: SigningDomain;
  /** What the client signed. */
  readonly request: SignedRequest;
  /** What the prompt was hashed with. */
  readonly salt: Uint8Array;
  /** The request, if it was kept. */
  readonly body?: Uint8Array;
  /** What the executor signed. */
  readonly response: SignedResponse;
  /** All delivered bytes, if they were kept. */
  readonly content?: Uint8Array;
  /** How it was paid. */
  readonly payment?: {
    /** The channel. */
    readonly terms: ChannelTerms;
    /** What the receipt comes to. */
    readonly cost: Cost;
    /** A voucher of the channel. */
    readonly voucher?: SignedVoucher;
    /** Where that voucher acknowledges the receipt. */
    readonly acknowledged?: { readonly index: number; readonly path: readonly Hash[] };
  };
}

/** Puts a file together. Throws `TypeError` where body or content are not UTF-8, as a session has checked. */
export function receiptFileOf(parts: ReceiptParts): ReceiptFile {
  const { executor, client, domain, request, salt, body, response, content, payment } = parts;
  return {
    version: RECEIPT_VERSION,
    executor: party(executor),
    client: party(client),
    request: {
      ...signed("LlmRequestCommitment", request.commitment, request.signature, domain),
      salt: toHex(salt),
      ...(body && { body: text(body) }),
    },
    receipt: {
      ...signed("LlmResponseCommitment", response.commitment, response.signature, domain),
      ...(content && { delivered: text(content) }),
    },
    ...(payment && {
      payment: {
        terms: json(payment.terms),
        cost: String(payment.cost),
        ...(payment.voucher && {
          voucher: signed("Voucher", payment.voucher.voucher, payment.voucher.signature, domain),
        }),
        ...(payment.acknowledged && { acknowledged: payment.acknowledged }),
      },
    }),
  };
}

function party({ peerId, address }: ReceiptParts["client"]): PartyReport {
  return { ...(peerId !== undefined && { peerId }), address: toChecksumAddress(address) };
}

function signed<T extends MessageType>(
  primaryType: T,
  message: Messages[T],
  signature: Uint8Array,
  { chainId, ...domain }: SigningDomain,
): SignedReport {
  return {
    domain: { ...domain, chainId: Number(chainId) },
    types: { [primaryType]: TYPES[primaryType] },
    primaryType,
    message: json(message),
    signature: toHex(signature),
  };
}

function json(message: Messages[MessageType]): JsonObject {
  return Object.fromEntries(
    Object.entries(message).map(([name, value]) => [
      name,
      typeof value === "bigint" ? String(value) : value,
    ]),
  );
}

/** Bytes as text that has the same bytes again. */
function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
