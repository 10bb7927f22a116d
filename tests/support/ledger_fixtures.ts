/** Channels, requests and receipts for the tests of ledgers. Their signatures are nobody's. @module */
import { type Address, type Hash, toHex, ZERO_ADDRESS, ZERO_HASH } from "@lloom/core/bytes";
import {
  type Amount,
  buyer,
  type BuyerPayment,
  type ChannelView,
  type Cost,
  type NewPurchase,
  type NewSale,
  type PaidReceipt,
  seller,
  type SentRequest,
  toCost,
} from "@lloom/core/payments";
import { type ChannelTerms, noblePrimitives } from "@lloom/core/signing";

export const { keccak256 } = noblePrimitives;

/** Unix milliseconds at which most tests begin. */
export const START_MS = 1_800_000_000_000;
export const SIGNATURE = new Uint8Array(65).fill(7);

export function hashOf(text: string): Hash {
  return toHex(keccak256(new TextEncoder().encode(text)));
}

export function channelId(name: string): Hash {
  return hashOf(`channel ${name}`);
}

export function terms(asset: Address = ZERO_ADDRESS): ChannelTerms {
  return {
    client: `0x${"c1".repeat(20)}`,
    executor: `0x${"e1".repeat(20)}`,
    asset,
    signer: `0x${"c1".repeat(20)}`,
    closeDelay: 3600,
    salt: (1n << 96n) - 1n,
  };
}

export function view(deposit: Amount, fields: Partial<ChannelView> = {}): ChannelView {
  return { deposit, settled: 0n, status: "open", closesAt: 0, ...fields };
}

export function buyerChannel(name: string, deposit: Amount, asset?: Address): buyer.BuyerChannel {
  return buyer.newBuyerChannel(channelId(name), terms(asset), view(deposit));
}

export function sellerChannel(name: string, deposit: Amount): seller.SellerChannel {
  return seller.newSellerChannel(channelId(name), terms(), view(deposit));
}

/** What to set aside for a request of at most so many base units. */
export function purchase(id: string, most: Amount, fields: Partial<NewPurchase> = {}): NewPurchase {
  return {
    ...{ id, model: "m", maxCost: toCost(most), prepay: 0n },
    ...{ deadlineMs: START_MS + 60_000, nowMs: START_MS },
    ...fields,
  };
}

/** The request of an id as its client signed it. */
export function sentRequest(id: string, channel: Hash = ZERO_HASH): SentRequest {
  return {
    commitment: {
      channelId: channel,
      executor: terms().executor,
      model: "m",
      promptHash: hashOf(`prompt ${id}`),
      systemPromptHash: ZERO_HASH,
      maxTokens: 100,
      temperature: 7000,
      inboundPrice: 1n,
      outboundPrice: (1n << 200n) + 1n,
      nonce: (1n << 64n) - 1n,
      deadline: 1_800_000_060n,
    },
    signature: SIGNATURE,
    requestHash: hashOf(id),
    salt: new Uint8Array(32).fill(5),
  };
}

/** The receipt of a request, which comes to `cost`. */
export function receipt(id: string, cost: Cost): PaidReceipt {
  return {
    response: {
      commitment: {
        requestHash: hashOf(id),
        client: terms().client,
        model: "m",
        contentHash: hashOf(`content ${id}`),
        inboundTokens: 3,
        outboundTokens: 4,
        inboundPrice: 1n,
        outboundPrice: 1n,
        timestamp: 1_800_000_001n,
        success: true,
      },
      signature: SIGNATURE,
    },
    responseHash: hashOf(`response ${id}`),
    cost,
  };
}

/** The same request as its executor admits it. */
export function sale(id: string, most: Amount, fields: Partial<NewSale> = {}): NewSale {
  const { commitment, signature, requestHash } = sentRequest(id);
  const request = { commitment, signature };
  const { client } = terms();
  return { requestHash, request, client, maxCost: toCost(most), nowMs: START_MS, ...fields };
}

/** What a client pays, as its executor takes it. */
export function taken({ voucher, ...rest }: BuyerPayment): seller.TakenVoucher {
  return { ...rest, ...(voucher && { signed: { voucher, signature: SIGNATURE } }) };
}
