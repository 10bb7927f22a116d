/** `open`, client → executor: one request. @module */
import { encodeCbor, type Fields } from "../cbor.ts";
import { readSignedRequest, signedRequestFields } from "../commitments.ts";
import { openingPaymentFields, readOpeningPayment } from "../payments.ts";
import type { OpeningPayment } from "../../payments/ports.ts";
import type { SignedRequest } from "../../ports.ts";
import { MAX_BODY_BYTES } from "../limits.ts";
import { SALT_BYTES } from "../../signing/typed_data.ts";

/** A request as it travels. */
export interface OpenFrame {
  /** Tells this message from others. */
  readonly type: "open";
  /** The request: exact bytes, which are hashed and never re-encoded. */
  readonly body: Uint8Array;
  /** {@linkcode SALT_BYTES} random bytes. */
  readonly salt: Uint8Array;
  /** The commitment to the body, signed by the client. */
  readonly request: SignedRequest;
  /** What pays for it; absent for a free request. */
  readonly payment?: OpeningPayment;
}

/** An `open` frame's bytes. */
export function encodeOpen({ body, salt, request, payment }: Omit<OpenFrame, "type">): Uint8Array {
  return encodeCbor({
    t: "open",
    body,
    salt,
    ...signedRequestFields(request),
    payment: payment && openingPaymentFields(payment),
  });
}

/** The fields of an `open` frame. @throws {LloomError} `frame_malformed` */
export function readOpen(fields: Fields): OpenFrame {
  return {
    type: "open",
    body: fields.bytes("body", 2, MAX_BODY_BYTES),
    salt: fields.bytes("salt", SALT_BYTES, SALT_BYTES),
    request: readSignedRequest(fields),
    ...(fields.has("payment") && { payment: readOpeningPayment(fields.fields("payment")) }),
  };
}
