/** What pays for a request, as CBOR maps, under the names of the EIP-712 fields. @module */
import { fromHex } from "../bytes.ts";
import { COST_BITS } from "../payments/amounts.ts";
import type { OpeningPayment, PaymentTerms, VoucherMessage } from "../payments/ports.ts";
import type { SignedVoucher } from "../ports.ts";
import { type ChannelTerms, SIGNATURE_BYTES, UINT32_MAX } from "../signing/typed_data.ts";
import type { Fields } from "./cbor.ts";
import type { WireFields } from "./commitments.ts";
import { MAX_ACKNOWLEDGED_RECEIPTS } from "./limits.ts";

/** How an executor wants to be paid, as a map. */
export function paymentTermsFields(terms: PaymentTerms): WireFields {
  return {
    chainId: terms.chainId,
    contract: fromHex(terms.contract),
    asset: fromHex(terms.asset),
    stepTokens: terms.stepTokens,
    closeDelay: terms.closeDelay,
  };
}

/** The reverse of {@linkcode paymentTermsFields}. @throws {LloomError} `frame_malformed` */
export function readPaymentTerms(f: Fields): PaymentTerms {
  const terms = {
    chainId: f.uint64("chainId"),
    contract: f.address("contract"),
    asset: f.address("asset"),
    stepTokens: f.uint("stepTokens", UINT32_MAX, 1),
    closeDelay: f.uint("closeDelay", UINT32_MAX),
  };
  f.finish();
  return terms;
}

/** A channel's terms as a map. */
export function channelTermsFields(terms: ChannelTerms): WireFields {
  return {
    client: fromHex(terms.client),
    executor: fromHex(terms.executor),
    asset: fromHex(terms.asset),
    signer: fromHex(terms.signer),
    closeDelay: terms.closeDelay,
    salt: String(terms.salt),
  };
}

/** The reverse of {@linkcode channelTermsFields}. @throws {LloomError} `frame_malformed` */
export function readChannelTerms(f: Fields): ChannelTerms {
  const terms = {
    client: f.address("client"),
    executor: f.address("executor"),
    asset: f.address("asset"),
    signer: f.address("signer"),
    closeDelay: f.uint("closeDelay", UINT32_MAX),
    salt: f.amount("salt", 96),
  };
  f.finish();
  return terms;
}

/** A voucher message as fields of a frame. */
export function voucherMessageFields({ signed, ...progress }: VoucherMessage): WireFields {
  return { ...signedVoucherFields(signed), ...progressFields(progress) };
}

/** The reverse of {@linkcode voucherMessageFields}. @throws {LloomError} `frame_malformed` */
export function readVoucherMessage(frame: Fields): VoucherMessage {
  return { signed: readSignedVoucher(frame), ...readProgress(frame) };
}

/** What goes with a request to be paid, as a map. */
export function openingPaymentFields(
  { terms, voucher, ...progress }: OpeningPayment,
): WireFields {
  return {
    terms: channelTermsFields(terms),
    ...(voucher && signedVoucherFields(voucher)),
    ...progressFields(progress),
  };
}

/** The reverse of {@linkcode openingPaymentFields}. @throws {LloomError} `frame_malformed` */
export function readOpeningPayment(f: Fields): OpeningPayment {
  const payment = {
    terms: readChannelTerms(f.fields("terms")),
    ...(f.has("voucher") && { voucher: readSignedVoucher(f) }),
    ...readProgress(f),
  };
  f.finish();
  return payment;
}

function signedVoucherFields({ voucher: v, signature }: SignedVoucher): WireFields {
  return {
    voucher: {
      channelId: fromHex(v.channelId),
      cumulativeAmount: String(v.cumulativeAmount),
      requests: v.requests,
      inboundTokens: v.inboundTokens,
      outboundTokens: v.outboundTokens,
      receiptsRoot: fromHex(v.receiptsRoot),
    },
    signature,
  };
}

function readSignedVoucher(frame: Fields): SignedVoucher {
  const f = frame.fields("voucher");
  const voucher = {
    channelId: f.hash("channelId"),
    cumulativeAmount: f.amount("cumulativeAmount", 96),
    requests: f.uint64("requests"),
    inboundTokens: f.uint64("inboundTokens"),
    outboundTokens: f.uint64("outboundTokens"),
    receiptsRoot: f.hash("receiptsRoot"),
  };
  f.finish();
  return { voucher, signature: frame.bytes("signature", SIGNATURE_BYTES, SIGNATURE_BYTES) };
}

type Progress = Omit<VoucherMessage, "signed">;

function progressFields({ paid, first, receipts }: Progress): WireFields {
  return { paid: String(paid), first, receipts: receipts.map(fromHex) };
}

function readProgress(f: Fields): Progress {
  return {
    paid: f.amount("paid", COST_BITS),
    first: f.uint("first"),
    receipts: f.hashes("receipts", MAX_ACKNOWLEDGED_RECEIPTS),
  };
}
