/** Requests of the past: by name, what they cost, and their receipts as files. @module */
import { type Address, ZERO_HASH } from "@lloom/core/bytes";
import {
  type BuyerStore,
  costOf,
  formatCost,
  type Purchase,
  type ReceiptFile,
  receiptFileOf,
  type ReceiptParts,
  type SentRequest,
} from "@lloom/core/payments";
import {
  createTypedDataHasher,
  domainOf,
  noblePrimitives,
  type SigningDomain,
} from "@lloom/core/signing";
import { UsageError } from "@lloom/host";
import { signedProof } from "../spending.ts";
import type { Funds, Wallet } from "../wallet.ts";

/**
 * The request that somebody means: by its id, or its hash, or how one of them begins.
 * @throws {UsageError} if that is none, or several
 */
export async function findRequest(store: BuyerStore, name: string): Promise<Purchase> {
  const found = await store.find(name);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new UsageError(
    found.length === 0
      ? "find request: none of that name; `history` lists them"
      : "find request: several begin so; write more of it",
  );
}

/** What a request came to. */
export function costInWords({ channelId, cost }: Purchase, funds: Funds | undefined): string {
  return channelId === ZERO_HASH || funds === undefined ? "free" : formatCost(cost, funds.asset);
}

/** The receipt of a request, with what was kept of its words; undefined if it has none. */
export async function receiptOf(
  purchase: Purchase,
  wallet: Wallet,
): Promise<ReceiptFile | undefined> {
  const { id, channelId, executor, request, response } = purchase;
  if (request === undefined || response === undefined) return undefined;
  const domain = domainOf(channelId, wallet.domain);
  const kept = await (await wallet.ledger()).content(id);
  const address = signerOf(request, domain);
  const { identity } = wallet;
  const payment = await paymentOf(purchase, request, response, wallet);
  return receiptFileOf({
    executor: { address: executor },
    client: { address, ...(address === identity.address && { peerId: identity.peerId }) },
    ...{ domain, request, salt: request.salt, response },
    ...(kept?.body && { body: kept.body }),
    ...(kept?.content && { content: kept.content }),
    ...(payment && { payment }),
  });
}

async function paymentOf(
  { id, channelId }: Purchase,
  { commitment }: SentRequest,
  { commitment: { inboundTokens, outboundTokens } }: NonNullable<Purchase["response"]>,
  wallet: Wallet,
): Promise<ReceiptParts["payment"]> {
  if (channelId === ZERO_HASH) return undefined;
  const channels = await (await wallet.ledger()).channels();
  const { terms } = channels.find((channel) => channel.channelId === channelId)!;
  // By the receipt, whatever of it was accepted.
  const cost = costOf(commitment, inboundTokens, outboundTokens);
  // A ledger may have served another key before, which signed its vouchers.
  const isOurs = terms.signer === wallet.identity.address;
  const proof = isOurs ? await signedProof(id, wallet) : undefined;
  if (proof === undefined) return { terms, cost };
  const { voucher, index, path } = proof;
  return { terms, cost, voucher, acknowledged: { index, path } };
}

function signerOf({ commitment, signature }: SentRequest, domain: SigningDomain): Address {
  const hasher = createTypedDataHasher(noblePrimitives.keccak256, domain);
  return noblePrimitives.recover(hasher.digest("LlmRequestCommitment", commitment), signature);
}
