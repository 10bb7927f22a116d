/** What a request cost, and what is left: for its summary and its report. @module */
import type { Receipt } from "@lloom/core/net";
import {
  type Asset,
  formatAmount,
  formatCost,
  type Prices,
  type ReceiptProof,
  roomOf,
} from "@lloom/core/payments";
import type { SignedVoucher } from "@lloom/core/ports";
import { createSigner, noblePrimitives } from "@lloom/core/signing";
import type { Wallet } from "./wallet.ts";

/** Money in words: amounts in whole units of the asset, with its symbol. */
export interface Spending {
  /** What the request came to. */
  readonly cost: string;
  /** For 1,000,000 tokens of prompt. */
  readonly inboundPrice: string;
  /** For 1,000,000 tokens of answer. */
  readonly outboundPrice: string;
  /** What it was paid from. */
  readonly channelId: string;
  /** What further requests can be paid with from there. */
  readonly channelLeft: string;
}

/** That a receipt is acknowledged, by the client's signature. */
export interface Acknowledgement extends Pick<ReceiptProof, "index" | "path"> {
  /** The newest voucher of the channel. */
  readonly voucher: SignedVoucher;
}

/** Prices for 1,000,000 tokens, in words. */
export function pricesInWords(
  { inboundPrice, outboundPrice }: Prices,
  asset: Asset,
): Pick<Spending, "inboundPrice" | "outboundPrice"> {
  return {
    inboundPrice: formatAmount(inboundPrice, asset),
    outboundPrice: formatAmount(outboundPrice, asset),
  };
}

/** What a request cost; undefined if it was free. */
export async function spendingOf(receipt: Receipt, wallet: Wallet): Promise<Spending | undefined> {
  const { payment, request: { commitment } } = receipt;
  if (payment === undefined || wallet.funds === undefined) return undefined;
  const { asset } = wallet.funds;
  const channels = await (await wallet.ledger()).channels();
  const channel = channels.find(({ channelId }) => channelId === commitment.channelId);
  return {
    cost: formatCost(payment.cost, asset),
    ...pricesInWords(commitment, asset),
    channelId: commitment.channelId,
    channelLeft: formatCost(channel === undefined ? 0n : roomOf(channel), asset),
  };
}

/** The proof that a paid request's receipt is acknowledged; undefined if there is none. */
export async function acknowledgementOf(
  { requestHash, payment }: Pick<Receipt, "requestHash" | "payment">,
  wallet: Wallet,
): Promise<Acknowledgement | undefined> {
  if (payment === undefined) return undefined;
  const [purchase] = await (await wallet.ledger()).find(requestHash);
  return purchase && await signedProof(purchase.id, wallet);
}

/** The proof that a request's receipt is acknowledged, with the voucher signed; undefined if it is not. */
export async function signedProof(
  id: string,
  wallet: Wallet,
): Promise<Acknowledgement | undefined> {
  const proof = await (await wallet.ledger()).proof(id);
  if (proof === undefined || wallet.domain === undefined) return undefined;
  const key = wallet.identity.exportPrivateKey();
  const signer = createSigner(noblePrimitives, { payment: wallet.domain }, key);
  const { index, path, voucher } = proof;
  return { index, path, voucher: await signer.signVoucher(voucher) };
}
