/**
 * What lies between the stream of a paid request and the money: the client's {@linkcode Payer}, the
 * executor's {@linkcode Cashier}.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import type { SignedRequest, SignedResponse, SignedVoucher } from "../ports.ts";
import type { ChannelTerms, Voucher } from "../signing/typed_data.ts";
import type { Cost } from "./amounts.ts";

/** How an executor wants to be paid, as it announces. */
export interface PaymentTerms {
  /** Number of the chain, as in EIP-155. */
  readonly chainId: bigint;
  /** The payment contract there. */
  readonly contract: Address;
  /** The ERC-20 token that prices are in; zero for the chain's native coin. */
  readonly asset: Address;
  /** Tokens of answer that it delivers before it waits for their payment. */
  readonly stepTokens: number;
  /** The shortest {@linkcode ChannelTerms.closeDelay} it accepts, in seconds. */
  readonly closeDelay: number;
}

/** A voucher as it travels. */
export interface VoucherMessage {
  /** The voucher, and its signature by the channel's signer. */
  readonly signed: SignedVoucher;
  /** What of all vouchers of the channel counts for this request so far. */
  readonly paid: Cost;
  /** Index of the first of `receipts` among all that the client acknowledged. */
  readonly first: number;
  /** Request hashes of the receipts acknowledged, in the client's order, up to the voucher's `requests`. */
  readonly receipts: readonly Hash[];
}

/** What goes with a request to be paid. */
export interface OpeningPayment {
  /** The channel. */
  readonly terms: ChannelTerms;
  /** {@linkcode VoucherMessage.paid} */
  readonly paid: Cost;
  /** The newest voucher; absent on a channel where none was needed yet. */
  readonly voucher?: SignedVoucher;
  /** {@linkcode VoucherMessage.first} */
  readonly first: number;
  /** {@linkcode VoucherMessage.receipts} */
  readonly receipts: readonly Hash[];
}

/** What a receipt is about, as far as it concerns money. */
export interface PaidReceipt {
  /** What the executor signed. */
  readonly response: SignedResponse;
  /** Its hashStruct. */
  readonly responseHash: Hash;
  /** What it comes to. */
  readonly cost: Cost;
}

/** A request that the client wants to pay for. */
export interface PaymentRequest {
  /** Who will be asked. */
  readonly executor: Address;
  /** How it wants to be paid. */
  readonly payment: PaymentTerms;
  /** {@linkcode Estimate.prepay} */
  readonly prepay: Cost;
  /** {@linkcode Estimate.maxCost} */
  readonly maxCost: Cost;
  /** The model, for the record. */
  readonly model: string;
  /**
   * Unix milliseconds after which the request cannot be under way any more, if it is sent now. Asked
   * once there is a channel: to open one may take longer than an answer.
   */
  readonly deadlineMs: () => number;
}

/** The client's money. */
export interface Payer {
  /**
   * Finds or opens a channel, and sets aside what the request can cost at most. What is to be signed
   * is on disk when this resolves.
   * @throws {LloomError} `budget_exceeded`, `insufficient_funds`, `payment_required`,
   * `channel_unusable`, `chain_unavailable`, `transaction_failed`
   */
  begin(request: PaymentRequest, signal?: AbortSignal): Promise<OpenPayment>;
}

/** One request being paid for. Ends with exactly one of `settle`, `dispute`, `abandon` and `disown`. */
export interface OpenPayment {
  /** The channel's id, for the commitment. */
  readonly channelId: Hash;
  /** What goes with the request; its voucher is yet to be signed, together with the request. */
  readonly opening: Omit<OpeningPayment, "voucher"> & { readonly voucher?: Voucher };
  /** Records the request as it was sent; on disk with the next change. */
  sent(request: SignedRequest, requestHash: Hash, salt: Uint8Array): void;
  /** How many receipts the executor knows to be acknowledged. */
  accepted(acknowledged: number): void;
  /** Pays so much of this request in all. On disk, then signed. */
  pay(total: Cost): Promise<VoucherMessage>;
  /** Acknowledges the receipt. @returns what is still to be sent; undefined if all is paid */
  settle(receipt: PaidReceipt): Promise<VoucherMessage | undefined>;
  /** Keeps a receipt that claims too much as evidence, and pays no more. */
  dispute(receipt: PaidReceipt): Promise<void>;
  /** There will be no receipt. @param owed false if the executor said that nothing is owed */
  abandon(owed: boolean): Promise<void>;
  /** The executor refused the payment as not covered. What was paid counts, so that both agree again. */
  disown(): Promise<void>;
}

/** A request as the cashier sees it. */
export interface PricedRequest {
  /** What the client signed; the signature was checked. */
  readonly request: SignedRequest;
  /** Its hashStruct. */
  readonly requestHash: Hash;
  /** Who signed it. */
  readonly client: Address;
  /** What came with it; terms and voucher were checked to be the channel's and its signer's. */
  readonly payment: OpeningPayment;
  /** {@linkcode Estimate.prepay} */
  readonly prepay: Cost;
  /** {@linkcode Estimate.maxCost} */
  readonly maxCost: Cost;
  /** What is delivered before it waits for payment, at the price that the executor asks. */
  readonly step: Cost;
}

/** The executor's money. */
export interface Cashier {
  /** How it wants to be paid. */
  readonly terms: PaymentTerms;
  /**
   * Checks channel, deposit and prepayment; the voucher is on disk when this resolves.
   * @throws {LloomError} `payment_required`, `voucher_invalid`, `channel_unusable`, `overloaded`,
   * `chain_unavailable`
   */
  admit(request: PricedRequest): Promise<Tab>;
}

/** One request being paid. */
export interface Tab {
  /** What is paid of it so far. */
  readonly paid: Cost;
  /** Receipts of the channel that are known to be acknowledged, without a gap. */
  readonly acknowledged: number;
  /**
   * Takes a voucher; it is on disk when this resolves.
   * @returns what is paid of the request now
   * @throws {LloomError} `voucher_invalid`
   */
  pay(message: VoucherMessage): Promise<Cost>;
  /** Keeps the receipt; on disk when this resolves. Comes before the receipt is sent, and once. */
  settle(receipt: PaidReceipt): Promise<void>;
  /**
   * The request is over; what was not paid is written off.
   * @param owed what was delivered comes to, where there is no receipt; zero where it was refused
   */
  close(owed: Cost): Promise<void>;
}
