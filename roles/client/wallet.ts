/** A client's money, and its memory of what it asked and was answered. @module */
import { type Address, toHex } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { Identity } from "@lloom/core/identity";
import type { Receipt } from "@lloom/core/net";
import {
  type Amount,
  type Asset,
  type Budgets,
  type BuyerStore,
  type ChannelOpener,
  type ChannelPayer,
  createPayer,
  type NamedChannel,
  parseAmount,
} from "@lloom/core/payments";
import type { Signer } from "@lloom/core/ports";
import type { PaymentMeans } from "@lloom/core/routing";
import {
  createTypedDataHasher,
  FREE_DOMAIN,
  noblePrimitives,
  type SigningDomain,
} from "@lloom/core/signing";
import { ledgerPath, nativeAsset, type PaymentChain, paymentChain, systemClock } from "@lloom/host";
import type { ChainAccess } from "@lloom/host/chain";
import type { BlockchainConfig, ClientPaymentsConfig } from "@lloom/host/config";
import { openBuyerStore, type OpenLedger } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["lloom", "wallet"]);

/** Whose wallet, and where. */
export interface WalletOptions {
  /** Whose money; its address is the account on the chain. */
  readonly identity: Identity;
  /** Which chain; without one the wallet pays nothing, and only remembers. */
  readonly blockchain: BlockchainConfig;
  /** What may be spent. */
  readonly payments: ClientPaymentsConfig;
  /** Where it is kept. */
  readonly dataDir: string;
  /** Takes all permissions from its worker but that file; needs Deno's `--unstable-worker-options`. @default false */
  readonly sandboxWorkers?: boolean;
  /** Told before money is put into a channel. */
  readonly onDeposit?: (deposit: Deposit) => void;
}

/** Money that is about to be put into a channel. */
export interface Deposit {
  /** Whom the channel pays. */
  readonly executor: Address;
  /** How much, in base units. */
  readonly amount: Amount;
  /** What it is in. */
  readonly asset: Asset;
  /** Whether the channel is a new one. */
  readonly isNew: boolean;
}

/** What a wallet with a chain has. */
export interface Funds {
  /** The chain. */
  readonly chain: PaymentChain;
  /** What is paid with. */
  readonly asset: Asset;
  /** What is put into a channel at once. */
  readonly channelDeposit: Amount;
  /** The most that requests may cost. */
  readonly budgets: Budgets;
}

/**
 * A client's wallet. The chain is asked, and viem loaded, once that is needed: a request on a channel
 * with room needs neither.
 */
export class Wallet {
  /** Whose it is. */
  readonly identity: Identity;
  /** What can be paid with; absent without a chain. */
  readonly funds: Funds | undefined;
  readonly #options: WalletOptions;
  readonly #chain: LazyChain;
  readonly #keeping = new Set<Promise<void>>();
  #ledger: Promise<OpenLedger<BuyerStore>> | undefined;

  private constructor(options: WalletOptions, funds: Funds | undefined, chain: LazyChain) {
    this.identity = options.identity;
    this.funds = funds;
    this.#options = options;
    this.#chain = chain;
  }

  /** The most that one request may cost: without a limit, what is put into a channel; absent without a chain. */
  get maxPrice(): Amount | undefined {
    return this.funds?.budgets.request ?? this.funds?.channelDeposit;
  }

  /**
   * Opens a wallet. Asks the chain only about a token's decimals.
   * @throws {LloomError} `config_invalid` for an amount that the asset cannot hold, or a token that is
   * none; `chain_unavailable`, `chain_mismatch`
   */
  static async open(options: WalletOptions): Promise<Wallet> {
    const { blockchain, payments } = options;
    const lazy = new LazyChain(options);
    const chain = paymentChain(blockchain);
    if (chain === undefined) return new Wallet(options, undefined, lazy);
    const asset = nativeAsset(blockchain) ?? await (await lazy.open()).reader.asset(chain.asset);
    const amount = (text: string) => parseAmount(text, asset);
    const { maxPrice, budgetHour, budgetDay } = payments;
    return new Wallet(options, {
      chain,
      asset,
      channelDeposit: amount(payments.channelDeposit),
      budgets: {
        ...(maxPrice !== undefined && { request: amount(maxPrice) }),
        ...(budgetHour !== undefined && { hour: amount(budgetHour) }),
        ...(budgetDay !== undefined && { day: amount(budgetDay) }),
      },
    }, lazy);
  }

  /** Where its payments count; undefined without a chain. */
  get domain(): SigningDomain | undefined {
    return this.funds?.chain.domain;
  }

  /** What executors must accept to be paid; undefined without a chain. */
  get means(): PaymentMeans | undefined {
    const { maxCloseDelay } = this.#options.payments;
    return this.funds && { ...this.funds.chain, maxCloseDelay };
  }

  /** The account, opened when it is first used. @throws {LloomError} `config_invalid` */
  async ledger(): Promise<BuyerStore> {
    const { dataDir, sandboxWorkers = false } = this.#options;
    const path = ledgerPath(dataDir, this.funds?.chain);
    this.#ledger ??= openBuyerStore({ path, sandbox: sandboxWorkers });
    return (await this.#ledger).store;
  }

  /** The chain, connected to when it is first used. @throws {LloomError} `config_invalid` without one */
  chain(): Promise<ChainAccess> {
    return this.#chain.open();
  }

  /**
   * What pays requests; undefined without a chain.
   * @param signer of the wallet's identity, in the wallet's domain
   */
  async payer(
    signer: Pick<Signer, "address" | "signVoucher">,
  ): Promise<ChannelPayer | undefined> {
    if (this.funds === undefined) return undefined;
    const { chain, channelDeposit, budgets } = this.funds;
    const { autoOpen, closeDelay, maxCloseDelay } = this.#options.payments;
    return createPayer(
      { ...chain, channelDeposit, autoOpen, closeDelay, maxCloseDelay, budgets },
      { store: await this.ledger(), signer, chain: this.#opener(this.funds), clock: systemClock },
    );
  }

  /**
   * Remembers a request once it is over: what was signed, and, unless the settings say otherwise, what
   * was said. A request without a receipt leaves nothing but what was paid.
   * @param receipt may reject, which is another's to handle
   */
  keep(receipt: Promise<Receipt>, body: Uint8Array): void {
    const startedMs = systemClock.now();
    receipt.then((proof) => {
      const keeping = this.#record(proof, body, startedMs)
        .catch((error) =>
          log.warn("a request is not in the history: {code}", { code: LloomError.wrap(error).code })
        )
        .finally(() => this.#keeping.delete(keeping));
      this.#keeping.add(keeping);
    }, () => undefined);
  }

  /** Writes what is to be remembered, and closes everything. */
  async close(): Promise<void> {
    await Promise.all(this.#keeping);
    await (await this.#ledger)?.close();
    await this.#chain.close();
  }

  /** Puts money into channels, and tells before. */
  #opener({ asset }: Funds): ChannelOpener {
    const { onDeposit } = this.#options;
    const opener = async () => (await this.chain()).opener;
    const told = (channel: NamedChannel, amount: Amount, isNew: boolean) =>
      onDeposit?.({ executor: channel.terms.executor, amount, asset, isNew });
    return {
      view: async (channelId) => (await opener()).view(channelId),
      async open(channel, amount) {
        told(channel, amount, true);
        return (await opener()).open(channel, amount);
      },
      async topUp(channel, amount) {
        told(channel, amount, false);
        return (await opener()).topUp(channel, amount);
      },
    };
  }

  async #record(receipt: Receipt, body: Uint8Array, startedMs: number): Promise<void> {
    const { keepContent } = this.#options.payments;
    if (receipt.payment !== undefined && !keepContent) return;
    const store = await this.ledger();
    const { requestHash, salt, content, response } = receipt;
    let id = toHex(crypto.getRandomValues(new Uint8Array(16))).slice(2);
    const recorded: Promise<void>[] = [];
    if (receipt.payment === undefined) {
      const endedMs = systemClock.now();
      const request = { ...receipt.request, requestHash, salt };
      const responseHash = hasher.hashStruct("LlmResponseCommitment", response.commitment);
      const signed = { response, responseHash: toHex(responseHash) };
      recorded.push(store.recordFree({ id, startedMs, endedMs, request, receipt: signed }));
    } else {
      const [purchase] = await store.find(requestHash);
      if (purchase === undefined) throw new LloomError("internal", "keep request: it is unknown");
      id = purchase.id;
    }
    if (keepContent) recorded.push(store.keep(id, { body, content }));
    await Promise.all(recorded);
  }
}

/** Hashes structs, which no domain is part of. */
const hasher = createTypedDataHasher(noblePrimitives.keccak256, FREE_DOMAIN);

/** The chain, opened when it is first used. */
class LazyChain {
  readonly #options: WalletOptions;
  #access: Promise<ChainAccess> | undefined;

  constructor(options: WalletOptions) {
    this.#options = options;
  }

  open(): Promise<ChainAccess> {
    this.#access ??= import("@lloom/host/chain").then(({ ChainAccess }) =>
      new ChainAccess(this.#options)
    );
    return this.#access;
  }

  async close(): Promise<void> {
    (await this.#access)?.close();
  }
}
