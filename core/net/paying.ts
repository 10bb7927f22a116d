/** The money of one request under way, at the client. @module */
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import type { Allowance } from "../payments/allowance.ts";
import type { Cost } from "../payments/amounts.ts";
import type {
  OpeningPayment,
  OpenPayment,
  PaidReceipt,
  Payer,
  PaymentTerms,
  VoucherMessage,
} from "../payments/ports.ts";
import { estimate } from "../payments/prepay.ts";
import type { RequestDraft, SignedRequest, SignedVoucher } from "../ports.ts";
import type { MeterTerms } from "../session/meter.ts";
import type { ChannelTerms, Voucher } from "../signing/typed_data.ts";

/** How a request was paid. */
export interface ReceiptPayment {
  /** The channel. */
  readonly terms: ChannelTerms;
  /** What the receipt comes to. */
  readonly cost: Cost;
  /** What of all vouchers was said to be for this request; what is above `cost` stays on the channel. */
  readonly paid: Cost;
  /** The newest voucher that the executor was sent; absent where none was needed yet. */
  readonly voucher?: SignedVoucher;
}

/** What a request costs, and whose money pays. */
export interface PayingOptions {
  /** Pays. */
  readonly payer: Payer;
  /** How the executor wants to be paid. */
  readonly terms: PaymentTerms;
  /** Makes the request, on no channel yet, to be sent now. */
  readonly draft: () => RequestDraft;
  /** The length of its body. */
  readonly bodyBytes: number;
  /** Answers asked for. */
  readonly answers: number;
  /** What it may cost, with other attempts. */
  readonly allowance?: Allowance;
}

/** One reservation, which ends with exactly one of `settle`, `dispute`, `abandon` and `disown`. */
export class Paying {
  readonly #open: OpenPayment;
  readonly #prepay: Cost;
  readonly #answers: number;
  /** The request that money was set aside for. */
  readonly draft: RequestDraft;
  readonly #settleAllowance: ((cost: Cost) => void) | undefined;
  #voucher: SignedVoucher | undefined;
  #paid: Cost;
  /** What the ledger has as paid; some of it may not have been sent. */
  #promised: Cost;
  #cost: Cost = 0n;
  #sent = false;
  /** What it came to; undefined before its end. */
  #spent: Cost | undefined;

  private constructor(
    open: OpenPayment,
    draft: RequestDraft,
    prepay: Cost,
    answers: number,
    settleAllowance: ((cost: Cost) => void) | undefined,
  ) {
    this.#open = open;
    this.#prepay = prepay;
    this.#answers = answers;
    this.draft = { ...draft, channelId: open.channelId };
    this.#settleAllowance = settleAllowance;
    this.#paid = this.#promised = open.opening.paid;
  }

  /** Reserves. @throws {LloomError} as {@linkcode Payer.begin}, and `budget_exceeded` */
  static async begin(options: PayingOptions, signal: AbortSignal): Promise<Paying> {
    const { payer, terms, bodyBytes, allowance } = options;
    let draft = options.draft();
    const { prepay, maxCost } = estimate(draft, bodyBytes);
    const settleAllowance = allowance?.reserve(maxCost);
    try {
      const open = await payer.begin({
        executor: draft.executor,
        payment: terms,
        prepay,
        maxCost,
        model: draft.model,
        deadlineMs() {
          draft = options.draft();
          return Number(draft.deadline) * 1000;
        },
      }, signal);
      return new Paying(open, draft, prepay, options.answers, settleAllowance);
    } catch (thrown) {
      settleAllowance?.(0n);
      throw thrown;
    }
  }

  /** What it comes to: while it is under way, what is paid so far. */
  get spent(): Cost {
    return this.#spent ?? (this.#sent ? this.#promised : 0n);
  }

  /** What is to be signed with the request. */
  get voucher(): Voucher | undefined {
    return this.#open.opening.voucher;
  }

  /** What the session holds demands against. */
  get meterTerms(): MeterTerms {
    return { prepay: this.#prepay, paid: this.#open.opening.paid, answers: this.#answers };
  }

  /** How the request was paid. */
  get summary(): ReceiptPayment {
    return {
      terms: this.#open.opening.terms,
      cost: this.#cost,
      paid: this.#paid,
      ...(this.#voucher && { voucher: this.#voucher }),
    };
  }

  /** What travels with the request that is sent now. */
  send(
    request: SignedRequest,
    requestHash: Hash,
    salt: Uint8Array,
    voucher: SignedVoucher | undefined,
  ): OpeningPayment {
    this.#sent = true;
    this.#voucher = voucher;
    this.#open.sent(request, requestHash, salt);
    const { terms, paid, first, receipts } = this.#open.opening;
    return { terms, paid, first, receipts, ...(voucher && { voucher }) };
  }

  /** It did not leave: nothing of it is owed. */
  unsent(): void {
    this.#sent = false;
  }

  /** @see OpenPayment.accepted */
  accepted(acknowledged: number): void {
    this.#open.accepted(acknowledged);
  }

  /** @see OpenPayment.pay */
  pay(total: Cost): Promise<VoucherMessage> {
    this.#promised = total;
    return this.#open.pay(total);
  }

  /** Takes note of a voucher that is sent now. */
  sending({ signed, paid }: VoucherMessage): void {
    this.#voucher = signed;
    this.#paid = paid;
  }

  /** @see OpenPayment.settle */
  settle(receipt: PaidReceipt): Promise<VoucherMessage | undefined> {
    this.#end(receipt.cost);
    this.#cost = receipt.cost;
    return this.#open.settle(receipt);
  }

  /** @see OpenPayment.dispute */
  async dispute(receipt: PaidReceipt): Promise<void> {
    this.#end(this.#promised);
    await this.#open.dispute(receipt);
  }

  /** There will be no receipt. @param owed false if the executor said that nothing is owed */
  async abandon(owed: boolean): Promise<void> {
    if (this.#spent !== undefined) return;
    const counts = owed && this.#sent;
    this.#end(counts ? this.#promised : 0n);
    await this.#open.abandon(counts);
  }

  /** @see OpenPayment.disown */
  async disown(): Promise<void> {
    this.#end(this.#promised);
    await this.#open.disown();
  }

  #end(cost: Cost): void {
    if (this.#spent !== undefined) throw new TypeError("end payment: it has ended");
    this.#spent = cost;
    this.#settleAllowance?.(cost);
  }
}

/** Why a request with a price is not asked. */
export function cannotPay(): LloomError {
  return new LloomError(
    "payment_required",
    "ask executor: it has a price, and nothing pays it here",
  );
}
