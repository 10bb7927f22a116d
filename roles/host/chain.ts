/** A role's way to its chain, and its account there. Loads viem: import it when a chain is needed. @module */
import type { Identity } from "@lloom/core/identity";
import type { ChannelOpener } from "@lloom/core/payments";
import {
  Chain,
  type ChainReader,
  ChannelActions,
  createChannelOpener,
  createTransactionSigner,
  openOutbox,
  type Outbox,
} from "@lloom/core/payments/chain";
import { outboxPath, requirePaymentChain } from "./blockchain.ts";
import { systemClock } from "./clock.ts";
import type { BlockchainConfig } from "./config/common_settings.ts";
import { SqliteOutboxStore } from "./stores/sqlite_outbox_store.ts";

export { createRedeemer } from "@lloom/core/payments/chain";

/** Base units of a coin of 18 decimals. */
const GWEI = 1_000_000_000n;

/** What an account can do on its chain. */
export interface ChainAccount {
  /** Sends its transactions. */
  readonly outbox: Outbox;
  /** Its actions on the payment contract. */
  readonly actions: ChannelActions;
}

/** An account that is kept. */
export interface HeldAccount extends ChainAccount {
  /** Lets go of it; to be called once. */
  release(): Promise<void>;
}

/** How a role is connected to its chain. */
export interface ChainAccessOptions {
  /** Which chain. */
  readonly blockchain: BlockchainConfig;
  /** Whose account. */
  readonly identity: Identity;
  /** Where its transactions are kept. */
  readonly dataDir: string;
}

/**
 * A chain, and an account on it. The account is held only while it is used: two processes with one
 * account would take each other's nonces, so that others wait, or fail, meanwhile.
 */
export class ChainAccess {
  /** Reads the chain. */
  readonly reader: ChainReader;
  /** Puts the account's money into channels. */
  readonly opener: ChannelOpener;
  readonly #chain: Chain;
  readonly #options: ChainAccessOptions;
  #account: Promise<OpenAccount> | undefined;
  #closed: Promise<void> = Promise.resolve();
  #holders = 0;

  /** Opens nothing yet. @throws {LloomError} `config_invalid` where no chain is configured */
  constructor(options: ChainAccessOptions) {
    const { rpcUrls, confirmations, pollMs, coin } = options.blockchain;
    const { chainId, contract } = requirePaymentChain(options.blockchain);
    this.#chain = new Chain(
      { rpcUrls, confirmations, pollMs, coin, chainId, contract },
      { clock: systemClock },
    );
    this.#options = options;
    this.reader = this.#chain;
    const opening = <T>(open: (opener: ChannelOpener) => Promise<T>): Promise<T> =>
      this.use((account) => open(createChannelOpener({ ...account, chain: this.reader })));
    this.opener = {
      view: (channelId) => this.reader.channel(channelId),
      open: (channel, amount) => opening((opener) => opener.open(channel, amount)),
      topUp: (channel, amount) => opening((opener) => opener.topUp(channel, amount)),
    };
  }

  /**
   * Does something with the account. What it submits is carried on with by the next use, if this one
   * ends before it is final.
   * @throws {LloomError} `in_use` while another process uses the account
   */
  async use<T>(act: (account: ChainAccount) => Promise<T>): Promise<T> {
    const account = await this.hold();
    try {
      return await act(account);
    } finally {
      await account.release();
    }
  }

  /**
   * Keeps the account until it is released.
   * @throws {LloomError} `in_use` while another process uses it
   */
  async hold(): Promise<HeldAccount> {
    this.#holders++;
    this.#account ??= this.#open(this.#closed);
    const account = this.#account;
    try {
      const { outbox, actions } = await account;
      return { outbox, actions, release: () => this.#release(account) };
    } catch (error) {
      await this.#release(account);
      throw error;
    }
  }

  /** Lets go of the chain. To be called when nobody uses the account. */
  close(): void {
    this.#chain.close();
  }

  async #release(account: Promise<OpenAccount>): Promise<void> {
    if (--this.#holders > 0) return;
    this.#account = undefined;
    this.#closed = account.then((opened) => opened.close(), () => {});
    await this.#closed;
  }

  /** @param closed when whoever held it before has let go */
  async #open(closed: Promise<void>): Promise<OpenAccount> {
    await closed;
    const { blockchain, identity, dataDir } = this.#options;
    const chain = requirePaymentChain(blockchain);
    const store = new SqliteOutboxStore(outboxPath(dataDir, chain));
    try {
      const signer = createTransactionSigner(identity.exportPrivateKey(), chain.chainId);
      const clock = systemClock;
      const outbox = await openOutbox(
        { maxFeePerGas: BigInt(blockchain.maxFeePerGas) * GWEI },
        { chain: this.#chain, store, signer, clock },
      );
      const components = { chain: this.reader, outbox };
      return {
        outbox,
        actions: new ChannelActions(chain.contract, components),
        async close() {
          await outbox.stop();
          store.close();
        },
      };
    } catch (error) {
      store.close();
      throw error;
    }
  }
}

interface OpenAccount extends ChainAccount {
  close(): Promise<void>;
}
