/** What happens to an outbox, and what it wants done. @module */
import type { Hash, Hex } from "../../bytes.ts";
import type { Intent, OutboxRecord } from "./ports.ts";

/** Times and bounds of an outbox. */
export interface OutboxOptions {
  /** Blocks after which an execution is final. @default 1 */
  readonly confirmations?: number;
  /** The most that is paid for a unit of gas, in base units of the coin; above it, transactions wait. @default 500 gwei */
  readonly maxFeePerGas?: bigint;
  /** How long a transaction may wait before its fee is raised, if blocks go by meanwhile. @default 30000 */
  readonly replaceAfterMs?: number;
  /** Between two broadcasts of the same transaction. @default 15000 */
  readonly rebroadcastMs?: number;
  /** Transactions that are broadcast and not final. @default 16 */
  readonly maxInFlight?: number;
}

/** What the chain says, as of one moment and one endpoint. */
export interface Observation {
  /** The newest block. */
  readonly head: bigint;
  /** The price of gas in the next block that is burned. */
  readonly baseFee: bigint;
  /** What proposers expect on top. */
  readonly priorityFee: bigint;
  /** The account's next nonce as of the newest block. */
  readonly nonce: number;
  /** The same as of the newest final block. */
  readonly finalNonce: number;
  /** Those of the transactions asked for that are in a block. */
  readonly executed: ReadonlyMap<Hash, { readonly blockNumber: bigint; readonly success: boolean }>;
}

/** What happens to an outbox. */
export type OutboxEvent =
  | { readonly type: "submit"; readonly intent: Intent }
  /** A record of a `store` effect is on disk. */
  | { readonly type: "stored"; readonly key: string; readonly revision: number }
  /** It would succeed now, with so much gas. */
  | { readonly type: "estimated"; readonly key: string; readonly gas: bigint }
  /** It would not. */
  | {
    readonly type: "refused";
    readonly key: string;
    readonly failure: NonNullable<OutboxRecord["failure"]>;
  }
  /** Nobody could say. */
  | { readonly type: "unanswered"; readonly key: string }
  | { readonly type: "observed"; readonly observation: Observation };

/** What an outbox wants done. */
export type OutboxEffect =
  /** Write it to disk, after all that came before, and answer `stored`. */
  | { readonly type: "store"; readonly record: OutboxRecord }
  /** Forget a record that ended long ago. */
  | { readonly type: "forget"; readonly key: string }
  /** Find out whether it would succeed: `estimated`, `refused` or `unanswered` is the answer. */
  | { readonly type: "estimate"; readonly record: OutboxRecord }
  | { readonly type: "broadcast"; readonly raw: Hex }
  /** Tell the owner: nothing of this account has so many nonces, without which the rest cannot be executed. */
  | { readonly type: "gap"; readonly nonce: number; readonly missing: number }
  /** That it was submitted is on disk. */
  | { readonly type: "submitted"; readonly key: string }
  /** It is over, and that is on disk. */
  | { readonly type: "ended"; readonly record: OutboxRecord };
