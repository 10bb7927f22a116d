/** A payer and a cashier on one channel, over accounts in memory: no chain, and nothing opens by itself. @module */
import { type Address, type Hash, toHex, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import {
  type Amount,
  buyer,
  type BuyerPayment,
  type BuyerStore,
  type Cashier,
  createMemoryBuyerStore,
  createMemorySellerStore,
  type OpenPayment,
  type Payer,
  type PaymentRequest,
  type PaymentTerms,
  type PricedRequest,
  seller,
  type SellerStore,
  type Tab,
  type VoucherMessage,
} from "@lloom/core/payments";
import type { Signer, Verifier } from "@lloom/core/ports";
import {
  type ChannelTerms,
  createTypedDataHasher,
  FREE_DOMAIN,
  noblePrimitives,
  type SigningDomain,
} from "@lloom/core/signing";

const { keccak256 } = noblePrimitives;

/** Where payments of these tests count. */
export const PAYMENT_DOMAIN: SigningDomain = {
  ...FREE_DOMAIN,
  chainId: 31337n,
  verifyingContract: `0x${"cc".repeat(20)}`,
};

/** How the executor of these tests is paid. */
export const PAYMENT: PaymentTerms = {
  chainId: PAYMENT_DOMAIN.chainId,
  contract: PAYMENT_DOMAIN.verifyingContract,
  asset: ZERO_ADDRESS,
  stepTokens: 8,
  closeDelay: 900,
};

/** A channel, with both sides' accounts of it. */
export interface LedgerParties {
  readonly terms: ChannelTerms;
  readonly channelId: Hash;
  readonly buyerStore: BuyerStore;
  readonly sellerStore: SellerStore;
  readonly payer: LedgerPayer;
  readonly cashier: Cashier;
}

/** Both sides of a channel that is open. */
export async function ledgerParties(
  signer: Signer,
  verifier: Verifier,
  executor: Address,
  deposit: Amount = 1_000_000n,
): Promise<LedgerParties> {
  const { address } = signer;
  const terms: ChannelTerms = {
    client: address,
    executor,
    asset: ZERO_ADDRESS,
    signer: address,
    closeDelay: 900,
    salt: 1n,
  };
  const hasher = createTypedDataHasher(keccak256, PAYMENT_DOMAIN);
  const channelId = toHex(hasher.hashStruct("ChannelTerms", terms));
  const view = { deposit, settled: 0n, status: "open", closesAt: 0 } as const;
  const buyerStore = createMemoryBuyerStore(keccak256);
  const sellerStore = createMemorySellerStore(keccak256);
  await buyerStore.addChannel(buyer.newBuyerChannel(channelId, terms, view));
  await sellerStore.addChannel(seller.newSellerChannel(channelId, terms, view));
  return {
    terms,
    channelId,
    buyerStore,
    sellerStore,
    payer: new LedgerPayer(terms, channelId, buyerStore, signer),
    cashier: {
      terms: PAYMENT,
      admit: (request) => admit(sellerStore, channelId, verifier, address, request),
    },
  };
}

/** What is to be signed and sent. */
type Opening = Omit<BuyerPayment, "refusals">;

/** Pays from one channel; what is to be signed may be changed by a test that cheats. */
export class LedgerPayer implements Payer {
  /** How each reservation ended. */
  readonly ends: string[] = [];
  /** What becomes of a payment before it is signed; by default it stays as it is. */
  cheat: (payment: Opening) => Opening = (payment) => payment;
  #requests = 0;

  constructor(
    readonly terms: ChannelTerms,
    readonly channelId: Hash,
    readonly store: BuyerStore,
    readonly signer: Signer,
  ) {}

  async begin({ maxCost, prepay, deadlineMs, model }: PaymentRequest): Promise<OpenPayment> {
    const { channelId, store, ends, terms } = this;
    const id = `${++this.#requests}`;
    const nowMs = Date.now();
    const wanted = { id, maxCost, prepay, deadlineMs: deadlineMs(), nowMs, model };
    const { refusals, ...reserved } = await store.reserve(channelId, wanted, {});
    const opening = this.cheat(reserved);
    const signed = async (payment: Opening): Promise<VoucherMessage> => {
      const { voucher, paid, first, receipts } = this.cheat(payment);
      return { signed: await this.signer.signVoucher(voucher!), paid, first, receipts };
    };
    return {
      channelId,
      opening: { terms, ...opening },
      sent: ({ commitment, signature }, requestHash, salt) =>
        void store.sent(id, { commitment, signature, requestHash, salt }),
      accepted: (count) => void store.acknowledged(channelId, count),
      pay: async (total) => signed(await store.pay(id, total)),
      settle: async (receipt) => {
        ends.push("settle");
        const payment = await store.settle(id, receipt, Date.now());
        return payment && await signed(payment);
      },
      dispute: (receipt) => {
        ends.push("dispute");
        return store.dispute(id, receipt, Date.now());
      },
      abandon: (owed) => {
        ends.push(owed ? "abandon" : "refused");
        return store.abandon(id, owed, Date.now());
      },
      disown: () => {
        ends.push("disown");
        return store.disown(id, refusals, Date.now());
      },
    };
  }
}

async function admit(
  store: SellerStore,
  channelId: Hash,
  verifier: Verifier,
  signer: Address,
  { request, requestHash, client, payment, prepay, maxCost, step }: PricedRequest,
): Promise<Tab> {
  const { voucher, ...said } = payment;
  const sale = { requestHash, request, client, maxCost, nowMs: Date.now() };
  const taken = { ...said, ...(voucher && { signed: voucher }) };
  const admitted = await store.admit(channelId, sale, taken, { prepay, step });
  return {
    ...admitted,
    async pay(message) {
      const by = await verifier.verifyVoucher(message.signed);
      if (by.signer !== signer) throw new LloomError("voucher_invalid", "test: another's voucher");
      return await store.pay(requestHash, message, Date.now());
    },
    settle: (receipt) => store.settle(requestHash, receipt, Date.now()),
    close: (owed) => store.close(requestHash, owed, Date.now()),
  };
}
