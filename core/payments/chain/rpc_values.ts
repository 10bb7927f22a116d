/** What an endpoint says, checked. Every function throws a TypeError for what is not of its form. @module */
import type { Address, Hash, Hex } from "../../bytes.ts";

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An error of JSON-RPC. */
export interface ErrorResponse {
  /** What went wrong. */
  readonly error: {
    /** The kind. */
    readonly code: number;
    /** In words. */
    readonly message: string;
    /** What a revert returned, in one of several forms. */
    readonly data?: unknown;
  };
}

/** Whether an answer is an error of JSON-RPC. */
export function isErrorResponse(
  answer: Readonly<Record<string, unknown>>,
): answer is Readonly<Record<string, unknown>> & ErrorResponse {
  const error = answer["error"];
  return isRecord(error) && typeof error["code"] === "number" &&
    typeof error["message"] === "string";
}

/** A body as text, up to a size. */
export async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > maxBytes) throw new TypeError(`read RPC answer: more than ${maxBytes} bytes`);
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

function malformed(what: string): never {
  throw new TypeError(`read RPC answer: no ${what}`);
}

/** An object. */
export function readRecord(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : malformed("object");
}

/** Bytes as hex, in lower case. */
export function readHex(value: unknown): Hex {
  if (typeof value !== "string" || !/^0x(?:[0-9a-fA-F]{2})*$/.test(value)) malformed("hex");
  return value.toLowerCase() as Hex;
}

/** 32 bytes. */
export function readHash(value: unknown): Hash {
  const hex = readHex(value);
  return hex.length === 66 ? hex : malformed("hash");
}

/** 20 bytes. */
export function readAddress(value: unknown): Address {
  const hex = readHex(value);
  return hex.length === 42 ? hex : malformed("address");
}

/** A number of up to 256 bits, as hex. */
export function readQuantity(value: unknown): bigint {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) malformed("number");
  return BigInt(value);
}

/** A number that counts something, as hex. */
export function readCount(value: unknown): number {
  const count = readQuantity(value);
  return count <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(count) : malformed("number in range");
}

/** A number as endpoints take it. */
export function toQuantity(value: bigint | number): Hex {
  return `0x${value.toString(16)}`;
}
