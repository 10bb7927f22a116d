/** Reads a receipt file from anywhere: every field has its type and its bound, or it is refused. @module */
import { type Address, fromHex, type Hash, type Hex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { isJsonObject, type JsonObject, parseJson } from "../protocol/json.ts";
import {
  MAX_BODY_BYTES,
  MAX_MODEL_NAME_BYTES,
  MAX_PEER_ID_BYTES,
  MAX_RESPONSE_BYTES,
  MAX_TEXT_BYTES,
} from "../protocol/limits.ts";
import {
  type ChannelTerms,
  type Messages,
  type MessageType,
  SALT_BYTES,
  SIGNATURE_BYTES,
  type SigningDomain,
  TYPES,
} from "../signing/typed_data.ts";
import type { Cost } from "./amounts.ts";
import { MAX_RECEIPT_FILE_BYTES, RECEIPT_VERSION } from "./receipt_file.ts";

/** JSON values in a file: its texts are one each. */
const MAX_FILE_VALUES = 2000;
/** Longest way from a leaf to its root: 2^53 receipts. */
const MAX_PATH = 53;

/** A message with the domain in which it was signed. */
export interface SignedIn<T extends MessageType> {
  /** The domain. */
  readonly domain: SigningDomain;
  /** The message. */
  readonly message: Messages[T];
  /** Its signature, which nobody has checked. */
  readonly signature: Uint8Array;
}

/** What a receipt file says, of which nothing is checked but its form. */
export interface ReceiptClaims {
  /** What the client is said to have signed. */
  readonly request: SignedIn<"LlmRequestCommitment">;
  /** What the prompt was hashed with. */
  readonly salt: Uint8Array;
  /** The request. */
  readonly body?: string;
  /** What the executor is said to have signed. */
  readonly receipt: SignedIn<"LlmResponseCommitment">;
  /** All delivered bytes. */
  readonly delivered?: string;
  /** How it is said to be paid. */
  readonly payment?: {
    readonly terms: ChannelTerms;
    readonly cost: Cost;
    readonly voucher?: SignedIn<"Voucher">;
    readonly acknowledged?: { readonly index: number; readonly path: readonly Hash[] };
  };
  /** What the file repeats for its reader. */
  readonly repeated: {
    readonly executor: Party;
    readonly client: Party;
    readonly content?: string;
    readonly model?: string;
    readonly finish?: string;
    readonly usage?: JsonObject;
  };
}

/** Somebody's names, as a file has them. */
export interface Party {
  readonly peerId?: string;
  readonly address: Address;
}

/**
 * What a file says.
 * @throws {LloomError} `receipt_invalid` if it is no receipt file, or says too much to be one
 */
export function readReceiptFile(bytes: Uint8Array): ReceiptClaims {
  let file: unknown;
  try {
    file = parseJson(bytes, MAX_RECEIPT_FILE_BYTES, MAX_FILE_VALUES);
  } catch (cause) {
    throw invalid("it is not JSON of a receipt's size", cause);
  }
  const fields = object(file, "the file");
  if (fields.version !== RECEIPT_VERSION) throw invalid(`it is not of version ${RECEIPT_VERSION}`);
  const request = object(fields.request, "request");
  const receipt = object(fields.receipt, "receipt");
  return {
    request: signedIn(request, "LlmRequestCommitment"),
    salt: bytesOf(request.salt, SALT_BYTES, "salt"),
    ...optional("body", request.body, (value) => text(value, MAX_BODY_BYTES, "body")),
    receipt: signedIn(receipt, "LlmResponseCommitment"),
    ...optional(
      "delivered",
      receipt.delivered,
      (value) => text(value, MAX_RESPONSE_BYTES, "delivered"),
    ),
    ...optional("payment", fields.payment, readPayment),
    repeated: {
      executor: party(fields.executor, "executor"),
      client: party(fields.client, "client"),
      ...optional("content", fields.content, (value) => text(value, MAX_RESPONSE_BYTES, "content")),
      ...optional("model", fields.model, (value) => text(value, MAX_MODEL_NAME_BYTES, "model")),
      ...optional("finish", fields.finish, (value) => text(value, MAX_TEXT_BYTES, "finish")),
      ...optional("usage", fields.usage, (value) => object(value, "usage")),
    },
  };
}

function readPayment(value: unknown): NonNullable<ReceiptClaims["payment"]> {
  const fields = object(value, "payment");
  return {
    terms: message(fields.terms, "ChannelTerms"),
    cost: uint(fields.cost, 320, "cost"),
    ...optional(
      "voucher",
      fields.voucher,
      (voucher) => signedIn(object(voucher, "voucher"), "Voucher"),
    ),
    ...optional("acknowledged", fields.acknowledged, (value) => {
      const { index, path } = object(value, "acknowledged");
      if (!Array.isArray(path) || path.length > MAX_PATH) throw invalid("path is not a list");
      return {
        index: safeInteger(index, "index"),
        path: path.map((hash) => hex(hash, 32, "path")),
      };
    }),
  };
}

function signedIn<T extends MessageType>(fields: JsonObject, type: T): SignedIn<T> {
  if (fields.primaryType !== type) throw invalid(`a message is not ${type}`);
  const domain = object(fields.domain, "domain");
  const { name, version } = domain;
  if (name !== "Lloom Network" || version !== "1.0.0") throw invalid("a domain is not Lloom's");
  return {
    domain: {
      name,
      version,
      chainId: BigInt(safeInteger(domain.chainId, "chainId")),
      verifyingContract: hex(domain.verifyingContract, 20, "verifyingContract"),
    },
    message: message(fields.message, type),
    signature: bytesOf(fields.signature, SIGNATURE_BYTES, "signature"),
  };
}

/** A message by its EIP-712 types, which are ours and not the file's. */
function message<T extends MessageType>(value: unknown, type: T): Messages[T] {
  const fields = object(value, type);
  const read = TYPES[type].map(({ name, type }) => [name, field(fields[name], type, name)]);
  // Every field of the type was read, each as its type demands.
  return Object.fromEntries(read) as Messages[T];
}

function field(value: unknown, type: string, name: string): unknown {
  switch (type) {
    case "bool":
      if (typeof value !== "boolean") throw invalid(`${name} is not true or false`);
      return value;
    case "string":
      return text(value, MAX_MODEL_NAME_BYTES, name);
    case "address":
      return hex(value, 20, name);
    case "bytes32":
      return hex(value, 32, name);
    case "uint32":
      return Number(uint(value, 32, name));
    default:
      return uint(value, Number(type.slice("uint".length)), name);
  }
}

function party(value: unknown, name: string): Party {
  const fields = object(value, name);
  return {
    ...optional("peerId", fields.peerId, (id) => text(id, MAX_PEER_ID_BYTES, "peerId")),
    address: hex(fields.address, 20, "address"),
  };
}

function optional<K extends string, T>(
  key: K,
  value: unknown,
  read: (value: unknown) => T,
): { readonly [_ in K]?: T } {
  return value === undefined ? {} : { [key]: read(value) } as { readonly [_ in K]: T };
}

function object(value: unknown, name: string): JsonObject {
  if (!isJsonObject(value)) throw invalid(`${name} is not an object`);
  return value;
}

/** Text that is the same again after UTF-8. */
function text(value: unknown, maxBytes: number, name: string): string {
  if (typeof value !== "string" || value.length > maxBytes || !value.isWellFormed()) {
    throw invalid(`${name} is not a text of at most ${maxBytes} bytes`);
  }
  return value;
}

/** Hex of either case, as lower-case. */
function hex(value: unknown, bytes: number, name: string): Hex {
  if (
    typeof value !== "string" || value.length !== 2 + 2 * bytes || !/^0x[0-9a-f]*$/i.test(value)
  ) throw invalid(`${name} is not ${bytes} bytes of hex`);
  return value.toLowerCase() as Hex;
}

function bytesOf(value: unknown, bytes: number, name: string): Uint8Array {
  return fromHex(hex(value, bytes, name));
}

/** A number, or decimal text. */
function uint(value: unknown, bits: number, name: string): bigint {
  const isNumber = typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
  if (isNumber || typeof value === "string" && /^(?:0|[1-9][0-9]{0,96})$/.test(value)) {
    const number = BigInt(value);
    if (number >> BigInt(bits) === 0n) return number;
  }
  throw invalid(`${name} is not an integer of ${bits} bits`);
}

function safeInteger(value: unknown, name: string): number {
  return Number(uint(value, 53, name));
}

function invalid(why: string, cause?: unknown): LloomError {
  return new LloomError("receipt_invalid", `read receipt: ${why}`, { cause });
}
