/** Pays tokens out, each once. @module */
import type { Address, Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { type Amount, type Asset, planTopUp, transferCall } from "@lloom/core/payments";
import type { ChainReader, Outbox } from "@lloom/core/payments/chain";
import type { Clock } from "@lloom/core/ports";
import type { Claim, SqliteFaucetStore } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { Problem } from "./problem.ts";
import { hashOfToken, TOKEN_LIFE_MS } from "./requests.ts";

const log = getLogger(["lloom", "faucet"]);

/** A key that is older may be forgotten by the outbox, which would pay it again. */
const OUTBOX_MEMORY_MS = 30 * 86_400_000;

/** What became of a token. */
export type Payout =
  | {
    /** Not redeemed. */
    readonly state: "open";
    /** Who would be paid. */
    readonly recipient: Address;
  }
  | {
    /** The account has enough already: nothing is paid, and the token is as it was. */
    readonly state: "enough";
    /** Who was not paid. */
    readonly recipient: Address;
  }
  | {
    /** On its way. */
    readonly state: "pending";
    /** Who is paid. */
    readonly recipient: Address;
    /** How much. */
    readonly amount: Amount;
  }
  | {
    /** Paid, for good. */
    readonly state: "paid";
    /** Who was paid. */
    readonly recipient: Address;
    /** How much. */
    readonly amount: Amount;
    /** How. */
    readonly transactionHash: Hash;
  }
  | {
    /** Refused by the chain, for good. */
    readonly state: "failed";
    /** Who was not paid. */
    readonly recipient: Address;
  };

/** What {@linkcode Payouts} works with. */
export interface PayoutsComponents {
  /** Remembers. */
  readonly store: SqliteFaucetStore;
  /** Tells balances. */
  readonly reader: Pick<ChainReader, "balance" | "gasCost">;
  /** Sends money. */
  readonly outbox: Pick<Outbox, "account" | "submit" | "confirmed">;
  /** The system's. */
  readonly clock: Pick<Clock, "now">;
}

/**
 * A token's hash is the key under which the outbox knows its payment, and what is promised is on
 * disk before the outbox hears of it: so a token pays once, redeemed twice at the same moment or
 * across a crash.
 */
export class Payouts {
  readonly #asset: Asset;
  readonly #target: Amount;
  readonly #components: PayoutsComponents;
  readonly #stopping = new AbortController();
  readonly #following = new Set<Promise<void>>();
  /** Payments are decided one after the other: two tokens of one account must not both fill it up. */
  #last: Promise<unknown> = Promise.resolve();

  /** Payouts of an asset, up to a balance. */
  constructor(
    options: { readonly asset: Asset; readonly target: Amount },
    components: PayoutsComponents,
  ) {
    this.#asset = options.asset;
    this.#target = options.target;
    this.#components = components;
  }

  /** Goes on with what was promised before the process ended. */
  async resume(): Promise<void> {
    const { store, clock } = this.#components;
    for (const claim of store.promised()) {
      if (claim.at + OUTBOX_MEMORY_MS > clock.now()) await this.#pay(claim);
      // Whether it was paid is not known any more, and twice would be worse than not at all.
      else store.noteFailed(claim.token);
    }
  }

  /** What became of a token. @throws {Problem} `token_unknown`, `token_expired` */
  look(token: string): Payout {
    return toPayout(this.#claim(token));
  }

  /**
   * Pays a token, or tells what became of it.
   * @throws {Problem} `token_unknown`, `token_expired`, `unavailable`
   */
  redeem(token: string): Promise<Payout> {
    this.#claim(token); // strangers need not wait to be told that they have none
    const decided = this.#last.then(() => this.#decide(token));
    this.#last = decided.catch(() => {}); // whoever redeems hears of it; the next one need not
    return decided;
  }

  /** Resolves when nothing is decided or followed any more; what is on its way goes on later. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#last;
    await Promise.all(this.#following);
  }

  async #decide(token: string): Promise<Payout> {
    const claim = this.#claim(token);
    if (claim.state !== "open") return toPayout(claim);
    const { store, reader, outbox } = this.#components;
    const { recipient } = claim;
    try {
      const plan = await planTopUp(reader, {
        asset: this.#asset.address,
        from: outbox.account,
        to: recipient,
        target: this.#target,
        promised: store.promised().reduce(
          (sum, other) => other.recipient === recipient ? sum + (other.amount ?? 0n) : sum,
          0n,
        ),
      });
      if (plan === undefined) return { state: "enough", recipient };
      store.promise(claim.token, plan.amount);
      const promised = this.#claim(token);
      await this.#pay(promised);
      return toPayout(promised);
    } catch (error) {
      const { code } = LloomError.wrap(error);
      log.error("pay token: {code}", { code });
      throw new Problem("unavailable", words(code), { cause: error });
    }
  }

  async #pay({ token, recipient, amount }: Claim): Promise<void> {
    if (amount === undefined) throw new TypeError("pay token: nothing was promised");
    const { outbox } = this.#components;
    await outbox.submit({
      key: keyOf(token),
      ...transferCall(this.#asset.address, recipient, amount),
    });
    const following = this.#follow(token);
    this.#following.add(following);
    void following.finally(() => this.#following.delete(following));
  }

  async #follow(token: Hash): Promise<void> {
    const { store, outbox } = this.#components;
    const { signal } = this.#stopping;
    try {
      const { transactionHash } = await outbox.confirmed(keyOf(token), signal);
      store.notePaid(token, transactionHash);
      log.info("paid a token");
    } catch (error) {
      if (signal.aborted) return;
      const { code } = LloomError.wrap(error);
      log.error("pay token: {code}", { code });
      if (code === "transaction_failed" || code === "insufficient_funds") store.noteFailed(token);
    }
  }

  #claim(token: string): Claim {
    const hash = hashOfToken(token);
    const claim = hash === undefined ? undefined : this.#components.store.claim(hash);
    if (claim === undefined) {
      throw new Problem(
        "token_unknown",
        "This token is not known. Was the link copied as a whole?",
      );
    }
    const expired = claim.at + TOKEN_LIFE_MS <= this.#components.clock.now();
    if (claim.state === "open" && expired) {
      throw new Problem(
        "token_expired",
        "This token has expired: it was good for 15 minutes. Ask for another one.",
      );
    }
    return claim;
  }
}

function keyOf(token: Hash): string {
  return `faucet:${token}`;
}

function toPayout({ state, recipient, amount = 0n, transactionHash }: Claim): Payout {
  if (state === "open" || state === "failed") return { state, recipient };
  if (transactionHash === undefined) return { state: "pending", recipient, amount };
  return { state: "paid", recipient, amount, transactionHash };
}

/** What a person may be told. */
function words(code: LloomError["code"]): string {
  if (code === "insufficient_funds") return "The faucet is empty just now. Try again later.";
  if (code === "transaction_failed") return "The account refuses to be paid.";
  return "The chain cannot be reached just now. Try again in a minute.";
}
