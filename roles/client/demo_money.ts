/** The demo's money: a chain of its own, and whom it funds. Loads viem. @module */
import type { Address } from "@lloom/core/bytes";
import type { Identity } from "@lloom/core/identity";
import { formatAmount, parseAmount } from "@lloom/core/payments";
import { LocalChain } from "@lloom/host/local-chain";
import { COIN, settleChannel, type Settlement } from "./demo_settlement.ts";
import { Wallet } from "./wallet.ts";

/** What client and executor get; the executor needs it for gas only. */
const FUNDS = parseAmount("0.05", COIN);
const DEPOSIT = "0.01";
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
            ...{ channelDeposit: DEPOSIT, autoOpen: true, closeDelay: 3600, maxCloseDelay: 86_400 },
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
      "",
    ].join("\n");
  }

  /** Gives the executor something for gas. */
  async fund(executor: string): Promise<void> {
    await this.#chain.fillUp(executor.toLowerCase() as Address, FUNDS);
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
