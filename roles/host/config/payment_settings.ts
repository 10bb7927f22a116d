/** `[payments]`, at those who pay and at those who are paid. @module */
import { flag, type Group, integer, setting, type ValueType } from "./setting.ts";

/** The contract's bounds on how long a client's own close takes, in seconds. */
const MIN_CLOSE_DELAY_S = 15 * 60;
const MAX_CLOSE_DELAY_S = 30 * 86_400;

/**
 * An amount in whole units of the asset, such as `0.05`: text, because its decimals are exact.
 * How many base units it is only the asset's own decimals tell (`parseAmount`).
 */
export type AmountText = string;

/** `[payments]` of a client. */
export interface ClientPaymentsConfig {
  /** What is put into a new channel, and added to one that runs out. */
  readonly channelDeposit: AmountText;
  /** Whether channels are opened and topped up without being asked for. */
  readonly autoOpen: boolean;
  /** How long the client's own close takes, in seconds, where an executor does not want longer. */
  readonly closeDelay: number;
  /** The longest that an executor may want, in seconds. */
  readonly maxCloseDelay: number;
  /** The most that one request may cost; absent for `channelDeposit`. */
  readonly maxPrice: AmountText | undefined;
  /** The most that all requests of an hour may cost; absent for no limit. */
  readonly budgetHour: AmountText | undefined;
  /** The most that all requests of a day may cost; absent for no limit. */
  readonly budgetDay: AmountText | undefined;
  /** Whether prompts and answers are kept with their receipts. */
  readonly keepContent: boolean;
}

/** `[payments]` of an executor. */
export interface ExecutorPaymentsConfig {
  /** Tokens of answer that are delivered before their payment is waited for. */
  readonly stepTokens: number;
  /** The shortest that a client's own close may take, in seconds. */
  readonly minCloseDelay: number;
  /** The smallest deposit to serve a channel for. */
  readonly minDeposit: AmountText;
  /** A channel with so much to redeem is redeemed. */
  readonly redeemThreshold: AmountText;
  /** A channel with less to redeem is left: its transaction would cost more. */
  readonly redeemMinimum: AmountText;
  /** A voucher so old is redeemed, in seconds. */
  readonly redeemMaxAge: number;
}

/** An amount in whole units of the asset. */
function amount(): ValueType<AmountText> {
  return {
    allowed: 'an amount in whole units of the asset, as text, such as "0.05"',
    parse: (raw) =>
      typeof raw === "string" && /^\d{1,30}(?:\.\d{1,30})?$/.test(raw) ? raw : undefined,
    fromText: (value) => value,
  };
}

/** What a client pays, and how much at most. */
export const CLIENT_PAYMENTS: Group<ClientPaymentsConfig> = {
  kind: "group",
  doc:
    "What this client spends, once `[blockchain]` names a chain. Amounts are in whole units of " +
    "the asset.",
  table: {
    channelDeposit: setting(
      amount(),
      "0.01",
      "What is put into a new channel, and added to one that runs out, in whole units of the asset; " +
        "more where requests may come to more. What is not spent comes back when the channel is closed.",
      { env: "LLOOM_CHANNEL_DEPOSIT", flag: "--channel-deposit <amount>" },
    ),
    autoOpen: setting(
      flag(),
      true,
      "Open and top up channels as requests need them; otherwise `channel open` does.",
      { env: "LLOOM_AUTO_OPEN" },
    ),
    closeDelay: setting(
      integer(MIN_CLOSE_DELAY_S, MAX_CLOSE_DELAY_S, "seconds"),
      3600,
      "How long closing a channel takes if its executor does not consent; an executor may want more.",
    ),
    maxCloseDelay: setting(
      integer(MIN_CLOSE_DELAY_S, MAX_CLOSE_DELAY_S, "seconds"),
      86_400,
      "The longest that an executor may want.",
    ),
    maxPrice: setting(
      amount(),
      undefined,
      "The most that one request may cost, in whole units of the asset.",
      {
        env: "LLOOM_MAX_PRICE",
        flag: "--max-price <amount>",
        fallbackText: "`channel_deposit`",
      },
    ),
    budgetHour: setting(
      amount(),
      undefined,
      "The most that all requests of 60 minutes may cost, in whole units of the asset, those under " +
        "way counted in full.",
      { env: "LLOOM_BUDGET_HOUR", flag: "--budget-hour <amount>", fallbackText: "no limit" },
    ),
    budgetDay: setting(
      amount(),
      undefined,
      "The most that all requests of 24 hours may cost, in whole units of the asset, those under " +
        "way counted in full.",
      { env: "LLOOM_BUDGET_DAY", flag: "--budget-day <amount>", fallbackText: "no limit" },
    ),
    keepContent: setting(
      flag(),
      true,
      "Keep prompts and answers beside their receipts, for `show-request`; otherwise hashes only.",
      { env: "LLOOM_KEEP_CONTENT" },
    ),
  },
};

/** What an executor asks of those who pay, and when it redeems. */
export const EXECUTOR_PAYMENTS: Group<ExecutorPaymentsConfig> = {
  kind: "group",
  doc: "How this executor is paid, once `[blockchain]` names a chain and `[pricing]` a price. " +
    "Amounts are in whole units of the asset.",
  table: {
    stepTokens: setting(
      integer(1, 1_000_000, "tokens"),
      256,
      "Tokens of answer delivered before their payment is waited for: what a client that stops paying " +
        "has of an answer for nothing, and of several at once on a new channel up to 16 times.",
    ),
    minCloseDelay: setting(
      integer(MIN_CLOSE_DELAY_S, MAX_CLOSE_DELAY_S, "seconds"),
      3600,
      "The shortest time between a client's own close and its end: for so long this executor may be " +
        "away, and still redeem.",
    ),
    minDeposit: setting(amount(), "0.0001", "The smallest deposit to serve a channel for."),
    redeemThreshold: setting(amount(), "0.01", "Redeem a channel that has so much to redeem."),
    redeemMinimum: setting(
      amount(),
      "0.00001",
      "Leave a channel that has less to redeem, and less than redeem_threshold: choose what a " +
        "transaction costs.",
    ),
    redeemMaxAge: setting(
      integer(60, MAX_CLOSE_DELAY_S, "seconds"),
      86_400,
      "Redeem whatever is there after this time.",
    ),
  },
};
