/** The demo's money: a chain of its own, and whom it funds. Loads viem. @module */
import type { Address } from "@lloom/core/bytes";
import type { Identity } from "@lloom/core/identity";
import { formatAmount, parseAmount, planChannel } from "@lloom/core/payments";
import { LocalChain } from "@lloom/host/local-chain";
import { Wallet } from "../wallet.ts";
import { COIN, settleChannel, type Settlement } from "./demo_settlement.ts";

/** What client and executor get; the executor needs it for gas only. */
const FUNDS = parseAmount("0.05", COIN);
const DEPOSIT = parseAmount("0.01", COIN);
/** The shortest that executors accept by default, in seconds. */
const CLOSE_DELAY = 3600;
/** What the executor asks for, in wei per 1,000,000 tokens: 0.0005 ETH in, 0.002 ETH out. */
const PRICES = { inbound: 500_000_000_000_000n, outbound: 2_000_000_000_000_000n };
/** A step so short that even a short answer is paid in several. */
const STEP_TOKENS = 16;

/** Whose money it is. */
export interface DemoMoneyOptions {
  readonly identity: Identity;
  /** For the client's account; to be removed with all that is in it. */
  readonly dataDir: string;
  readonly sandboxWorkers: boolean;
}

/** See the module. */
export class DemoMoney {
  /** The client's. */
  readonly wallet: Wallet;
  readonly #chain: LocalChain;

  private constructor(chain: LocalChain, wallet: Wallet) {
    this.#chain = chain;
    this.wallet = wallet;
  }

  /** Starts a chain and funds the client; undefined on a machine without anvil. @throws {LloomError} */
  static async start(options: DemoMoneyOptions): Promise<DemoMoney | undefined> {
    const chain = await LocalChain.start();
    if (chain === undefined) return undefined;
    try {
      const { blockchain } = chain;
      const [wallet] = await Promise.all([
        Wallet.open({
          ...options,
          blockchain,
          payments: {
            ...{ channelDeposit: "0.01", autoOpen: false },
            ...{ closeDelay: CLOSE_DELAY, maxCloseDelay: CLOSE_DELAY },
            ...{ maxPrice: undefined, budgetHour: undefined, budgetDay: undefined },
            keepContent: false,
          },
        }),
        chain.fillUp(options.identity.address, FUNDS),
      ]);
      return new DemoMoney(chain, wallet);
    } catch (error) {
      await chain.stop();
      throw error;
    }
  }

  /** The chain, in words. */
  get description(): string {
    const { rpcUrl, pid } = this.#chain;
    return `anvil at ${rpcUrl}, process ${pid}, contracts deployed`;
  }

  /** What the client began with. */
  get funds(): string {
    return formatAmount(FUNDS, COIN);
  }

  /** What the executor's `config.toml` says of money. */
  get executorToml(): string {
    return [
      this.#chain.toml,
      "[pricing]",
      `default_inbound_price = "${PRICES.inbound}"`,
      `default_outbound_price = "${PRICES.outbound}"`,
      "",
      "[payments]",
      `step_tokens = ${STEP_TOKENS}`,
      'redeem_minimum = "0"',
      "",
    ].join("\n");
  }

  /** Gives an executor something for gas, and opens a channel to it. @returns that, in words */
  async open(executorAddress: string): Promise<string> {
    const { wallet } = this;
    const executor = executorAddress.toLowerCase() as Address;
    const { address: client } = wallet.identity;
    const terms = {
      client,
      executor,
      asset: COIN.address,
      signer: client,
      closeDelay: CLOSE_DELAY,
    };
    const channel = planChannel(terms);
    const ledger = await wallet.ledger();
    await ledger.addChannel(channel);
    const { opener } = await wallet.chain();
    const [view] = await Promise.all([
      opener.open(channel, DEPOSIT),
      this.#chain.fillUp(executor, FUNDS),
    ]);
    await ledger.viewChannel(channel.channelId, view);
    return `${channel.channelId.slice(0, 18)}…, opened with ${formatAmount(view.deposit, COIN)}`;
  }

  /** Has the channel redeemed and closed. */
  settle(signal: AbortSignal): Promise<Settlement> {
    return settleChannel(this.#chain, this.wallet, FUNDS, signal);
  }

  /** Ends wallet and chain. */
  async close(): Promise<void> {
    await this.wallet.close();
    await this.#chain.stop();
  }
}
