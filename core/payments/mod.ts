/** Money: amounts, what requests cost, channels as both sides keep them, and proofs of payment. @module */
export * from "./amounts.ts";
export * from "./allowance.ts";
export * from "./prepay.ts";
export * from "./ports.ts";
export * from "./channel.ts";
export * as buyer from "./buyer.ts";
export type { BuyerChannel, BuyerRequest, BuyerRequestState } from "./buyer.ts";
export * as seller from "./seller.ts";
export type {
  SellerChannel,
  SellerRequest,
  SellerRequestState,
  SellerTerms,
  TakenVoucher,
} from "./seller.ts";
export * from "./merkle.ts";
export * from "./stores.ts";
export * from "./books/mod.ts";
export * from "./top_up.ts";
export * from "./channel_id.ts";
export * from "./plan_channel.ts";
export * from "./usable_channels.ts";
export * from "./payer.ts";
export type { ReservedPaymentComponents } from "./reserved_payment.ts";
export * from "./cashier.ts";
export * from "./channel_watch.ts";
export * from "./redemptions.ts";
export * from "./settler.ts";
export * from "./receipt_file.ts";
export * from "./verify_receipt.ts";
