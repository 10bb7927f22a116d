/** `voucher`, client → executor: payment for what was delivered, or for what the receipt claims. @module */
import type { VoucherMessage } from "../../payments/ports.ts";
import { encodeCbor, type Fields } from "../cbor.ts";
import { readVoucherMessage, voucherMessageFields } from "../payments.ts";

/** A payment. */
export interface VoucherFrame extends VoucherMessage {
  /** Tells this message from others. */
  readonly type: "voucher";
}

/** A `voucher` frame's bytes. */
export function encodeVoucher({ signed, paid, first, receipts }: VoucherMessage): Uint8Array {
  return encodeCbor({ t: "voucher", ...voucherMessageFields({ signed, paid, first, receipts }) });
}

/** The fields of a `voucher` frame. @throws {LloomError} `frame_malformed` */
export function readVoucher(fields: Fields): VoucherFrame {
  return { type: "voucher", ...readVoucherMessage(fields) };
}
