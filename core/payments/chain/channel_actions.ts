/** What a node does with its money on the chain. @module */
import { type Address, type Hash, toHex, ZERO_ADDRESS } from "../../bytes.ts";
import { LloomError } from "../../errors.ts";
import { noblePrimitives } from "../../signing/noble_primitives.ts";
import type { ChannelTerms, CloseConsent } from "../../signing/typed_data.ts";
import type { Amount } from "../amounts.ts";
import { ChannelCalls, type Redeemable } from "./calls.ts";
import type { Call, ChainReader, Outbox } from "./ports.ts";

/** What actions need. */
export interface ChannelActionsComponents {
  /** The chain. */
  readonly chain: Pick<ChainReader, "balance" | "credit" | "allowance">;
  /** Sends for the account that acts. */
  readonly outbox: Outbox;
}

/** Where money is taken from: the account itself, or what it has in the contract. */
export type Purse = "wallet" | "credit";

/**
 * Actions of one account. Each resolves with the key of its intent once that is on disk; the caller
 * awaits `outbox.confirmed(key)`. A token is allowed and deposited first where it must be, which is
 * awaited, so that an action on tokens takes some blocks.
 *
 * An `id` names one wish: the same action with the same id happens once, whatever was cut off.
 */
export class ChannelActions {
  readonly #calls: ChannelCalls;
  readonly #chain: ChannelActionsComponents["chain"];
  readonly #outbox: Outbox;

  /** The actions of one account on one contract. @param contract where `LloomChannels` is */
  constructor(contract: Address, components: ChannelActionsComponents) {
    this.#calls = new ChannelCalls(contract);
    this.#chain = components.chain;
    this.#outbox = components.outbox;
  }

  /** Moves money of the wallet into the contract. @throws {LloomError} `insufficient_funds` */
  async deposit(
    id: string,
    asset: Address,
    amount: Amount,
    account: Address = this.#outbox.account,
  ): Promise<string> {
    const key = `deposit:${id}`;
    if (await this.#isBegun(key)) return key;
    if (asset === ZERO_ADDRESS) await this.#assertHas(asset, amount);
    else await this.#allow(id, asset, amount);
    const value = asset === ZERO_ADDRESS ? amount : 0n;
    return this.#submit(key, this.#calls.deposit(asset, account, amount, value));
  }

  /** Pays out of what the account has in the contract. */
  withdraw(
    id: string,
    asset: Address,
    amount: Amount,
    to: Address = this.#outbox.account,
  ): Promise<string> {
    return this.#submit(`withdraw:${id}`, this.#calls.withdraw(asset, to, amount));
  }

  /**
   * Opens a channel, out of the credit if that suffices, else out of the wallet.
   * @param id the channel's, so that the same terms open one channel
   * @throws {LloomError} `insufficient_funds`
   */
  async open(id: Hash, terms: ChannelTerms, amount: Amount): Promise<string> {
    const key = `open:${id}`;
    if (await this.#isBegun(key)) return key;
    const purse = await this.#purse(terms.asset, amount);
    if (terms.asset === ZERO_ADDRESS) {
      const value = purse === "wallet" ? amount : 0n;
      return this.#submit(key, this.#calls.open(terms, amount, value));
    }
    if (purse === "credit") return this.#submit(key, this.#calls.open(terms, amount, 0n));
    await this.#allow(id, terms.asset, amount);
    return this.#submit(key, this.#calls.openPull(terms, amount));
  }

  /**
   * Adds to a channel, out of the credit if that suffices, else out of the wallet.
   * @param id the channel's
   * @param deposit what the channel has: it only grows, so that two top-ups of one deposit are one wish
   * @throws {LloomError} `insufficient_funds`
   */
  async topUp(id: Hash, terms: ChannelTerms, deposit: Amount, amount: Amount): Promise<string> {
    const key = `topup:${id}:${deposit}`;
    if (await this.#isBegun(key)) return key;
    const purse = await this.#purse(terms.asset, amount);
    const isCoin = terms.asset === ZERO_ADDRESS;
    if (purse === "wallet" && !isCoin) await this.#depositFor(key, terms.asset, amount);
    const value = purse === "wallet" && isCoin ? amount : 0n;
    return this.#submit(key, this.#calls.topUp(terms, amount, value));
  }

  /** Starts the delay before a channel may be finalized. @param id the channel's */
  requestClose(id: Hash, terms: ChannelTerms): Promise<string> {
    return this.#submit(`request-close:${id}`, this.#calls.requestClose(terms));
  }

  /** Ends a channel whose delay is over. @param id the channel's */
  finalize(id: Hash, terms: ChannelTerms): Promise<string> {
    return this.#submit(`finalize:${id}`, this.#calls.finalize(terms));
  }

  /** Ends a channel at once as its executor agreed. */
  closeWithConsent(
    terms: ChannelTerms,
    consent: CloseConsent,
    signature: Uint8Array,
  ): Promise<string> {
    const { channelId, finalAmount, deadline } = consent;
    const key = `consent:${channelId}:${finalAmount}:${deadline}`;
    return this.#submit(key, this.#calls.closeWithConsent(terms, consent, signature));
  }

  /** Redeems vouchers of different channels; such as pay nothing are skipped. @throws {RangeError} if there are none */
  redeem(items: readonly Redeemable[]): Promise<string> {
    if (items.length === 0) throw new RangeError("redeem vouchers: there are none");
    const of = items.map(({ signed: { voucher } }) =>
      `${voucher.channelId}:${voucher.cumulativeAmount}`
    );
    const hash = noblePrimitives.keccak256(new TextEncoder().encode(of.join()));
    return this.#submit(`redeem:${toHex(hash)}`, this.#calls.redeemMany(items));
  }

  /** Redeems a channel's last voucher and ends it. */
  redeemAndClose(item: Redeemable): Promise<string> {
    const { channelId } = item.signed.voucher;
    return this.#submit(`redeem-close:${channelId}`, this.#calls.redeemAndClose(item));
  }

  async #submit(key: string, call: Call): Promise<string> {
    await this.#outbox.submit({ key, ...call });
    return key;
  }

  /** Whether an action is under way or done, so that where its money comes from is settled. */
  async #isBegun(key: string): Promise<boolean> {
    const status = await this.#outbox.status(key);
    return status === "pending" || status === "confirmed";
  }

  async #purse(asset: Address, amount: Amount): Promise<Purse> {
    const { account } = this.#outbox;
    if (await this.#chain.credit(asset, account) >= amount) return "credit";
    await this.#assertHas(asset, amount);
    return "wallet";
  }

  async #assertHas(asset: Address, amount: Amount): Promise<void> {
    if (await this.#chain.balance(asset, this.#outbox.account) >= amount) return;
    throw new LloomError("insufficient_funds", "spend: the account has less than the amount");
  }

  /** Has the contract be allowed to pull tokens, if it is not yet. */
  async #allow(id: string, asset: Address, amount: Amount): Promise<void> {
    await this.#assertHas(asset, amount);
    const allowed = await this.#chain.allowance(asset, this.#outbox.account);
    if (allowed >= amount) return;
    // Some tokens let an allowance be changed only from and to zero.
    const steps = allowed > 0n ? [0n, amount] : [amount];
    for (const step of steps) {
      // One that is over may be used up, by whatever else the account does; another does no harm.
      const key = `approve:${await this.#unconfirmed(`${id}:${step}`, "approve:")}`;
      await this.#outbox.confirmed(await this.#submit(key, this.#calls.approve(asset, step)));
    }
  }

  /** Deposits what a top-up takes; again, if that failed because something else took it. */
  async #depositFor(key: string, asset: Address, amount: Amount): Promise<void> {
    const hasFailed = await this.#outbox.status(key) === "failed";
    const id = hasFailed ? await this.#unconfirmed(key, "deposit:") : key;
    await this.#outbox.confirmed(await this.deposit(id, asset, amount));
  }

  /** An id for one wish more of a kind: the first that is not granted yet. */
  async #unconfirmed(id: string, kind: string): Promise<string> {
    let next = id;
    for (let n = 2; await this.#outbox.status(kind + next) === "confirmed"; n++) {
      next = `${id}:${n}`;
    }
    return next;
  }
}
