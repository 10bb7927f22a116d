/** An executor's money: its account, what it asks of those who pay, and how it redeems. @module */
import type { Hash } from "@lloom/core/bytes";
import type { Identity } from "@lloom/core/identity";
import { CloseServer } from "@lloom/core/net";
import {
  type Amount,
  type Asset,
  type ChannelCashier,
  createCashier,
  parseAmount,
  type PaymentTerms,
  type SellerStore,
  Settler,
} from "@lloom/core/payments";
import type { Signer, Verifier } from "@lloom/core/ports";
import { ledgerPath, type PaymentChain, paymentChain, systemClock } from "@lloom/host";
import type { ChainAccess, HeldAccount } from "@lloom/host/chain";
import type { ExecutorConfig } from "@lloom/host/config";
import { type OpenLedger, openSellerStore } from "@lloom/host/stores";

/** Whose till, and where. */
export interface TillOptions {
  /** Who is paid; its address is the account on the chain. */
  readonly identity: Identity;
  /** How, and where it is kept. */
  readonly config: Pick<ExecutorConfig, "blockchain" | "payments" | "storage">;
  /** Whether its worker may touch nothing but its file. */
  readonly sandboxWorkers: boolean;
}

/** What a till holds open. */
interface TillParts {
  readonly chain: PaymentChain;
  readonly asset: Asset;
  readonly ledger: OpenLedger<SellerStore>;
  readonly access: ChainAccess;
  readonly account: HeldAccount;
  readonly redeemer: Redeemer;
}

type Redeemer = ConstructorParameters<typeof Settler>[1]["redeemer"];

/** An executor's till. It keeps the account on the chain, which no other process can use meanwhile. */
export class Till {
  /** What it is paid with. */
  readonly asset: Asset;
  /** Its account. */
  readonly store: SellerStore;
  /** Redeems. */
  readonly settler: Settler;
  readonly #options: TillOptions;
  readonly #parts: TillParts;
  #started = false;

  private constructor(options: TillOptions, parts: TillParts) {
    const { redeemThreshold, redeemMinimum, redeemMaxAge } = options.config.payments;
    this.asset = parts.asset;
    this.store = parts.ledger.store;
    this.#options = options;
    this.#parts = parts;
    this.settler = new Settler({
      threshold: parseAmount(redeemThreshold, parts.asset),
      minimum: parseAmount(redeemMinimum, parts.asset),
      maxAgeMs: redeemMaxAge * 1000,
    }, {
      store: this.store,
      chain: parts.access.reader,
      clock: systemClock,
      redeemer: parts.redeemer,
    });
  }

  /**
   * Opens the till; undefined where no chain is configured. Loads viem. Asks the chain only about a
   * token's decimals.
   * @throws {LloomError} `in_use` while another process uses it, `config_invalid` for an amount that
   * the asset cannot hold; `chain_unavailable`, `chain_mismatch`
   */
  static async open(options: TillOptions): Promise<Till | undefined> {
    const { identity, config: { blockchain, storage: { dataDir } }, sandboxWorkers } = options;
    const chain = paymentChain(blockchain);
    if (chain === undefined) return undefined;
    const { ChainAccess, createRedeemer } = await import("@lloom/host/chain");
    const access = new ChainAccess({ blockchain, identity, dataDir });
    let account: HeldAccount | undefined;
    let ledger: OpenLedger<SellerStore> | undefined;
    try {
      account = await access.hold();
      const asset = await access.reader.asset(chain.asset);
      ledger = await openSellerStore({
        path: ledgerPath(dataDir, chain),
        sandbox: sandboxWorkers,
      });
      return new Till(options, {
        ...{ chain, asset, ledger, access, account },
        redeemer: createRedeemer(account),
      });
    } catch (error) {
      await ledger?.close();
      await account?.release();
      access.close();
      throw error;
    }
  }

  /** How it wants to be paid, as it announces. */
  get terms(): PaymentTerms {
    const { stepTokens, minCloseDelay } = this.#options.config.payments;
    const { chainId, contract, asset } = this.#parts.chain;
    return { chainId, contract, asset, stepTokens, closeDelay: minCloseDelay };
  }

  /**
   * Begins to take payments, and to redeem them. Requests found under way are closed: their process
   * has ended.
   */
  async start(crypto: Signer & Verifier): Promise<TillService> {
    const clock = systemClock;
    await this.store.recover(clock.now());
    const { identity, config: { payments } } = this.#options;
    const cashier = createCashier({
      terms: this.terms,
      executor: identity.address,
      minDeposit: parseAmount(payments.minDeposit, this.asset),
    }, {
      store: this.store,
      chain: this.#parts.access.reader,
      verifier: crypto,
      clock,
      watchedMs: (viewedMs) => this.settler.watchedMs(viewedMs),
    });
    this.settler.start();
    this.#started = true;
    return { cashier, closing: new CloseServer({ cashier, signer: crypto, clock }) };
  }

  /** What it has in the payment contract. @throws {LloomError} `chain_unavailable` */
  credit(): Promise<Amount> {
    const { access: { reader }, account: { outbox } } = this.#parts;
    return reader.credit(this.asset.address, outbox.account);
  }

  /**
   * Pays out what it has in the payment contract, to its own account.
   * @returns undefined if that is nothing
   * @throws {LloomError} `chain_unavailable`, `transaction_failed`, `insufficient_funds`
   */
  async withdraw(signal: AbortSignal): Promise<Withdrawal | undefined> {
    const amount = await this.credit();
    if (amount === 0n) return undefined;
    const { actions, outbox } = this.#parts.account;
    const key = await actions.withdraw(crypto.randomUUID(), this.asset.address, amount);
    const { transactionHash } = await outbox.confirmed(key, signal);
    return { amount, transactionHash };
  }

  /**
   * Has everything redeemed, if it was started, and closes.
   * @param graceMs how long that may take to be on disk; what is there is sent for certain, if need be
   * after the next start
   */
  async close(graceMs: number): Promise<void> {
    const { ledger, access, account } = this.#parts;
    if (this.#started) await this.settler.stop(graceMs);
    await ledger.close();
    await account.release();
    access.close();
  }
}

/** Money that was paid out. */
export interface Withdrawal {
  /** How much. */
  readonly amount: Amount;
  /** By which transaction. */
  readonly transactionHash: Hash;
}

/** A till at work. */
export interface TillService {
  /** Admits requests, and takes vouchers. */
  readonly cashier: ChannelCashier;
  /** Agrees to close channels. */
  readonly closing: CloseServer;
}
