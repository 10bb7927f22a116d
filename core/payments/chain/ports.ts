/** The chain as the rest of Lloom sees it. Loads nothing: the implementation beside it loads viem. @module */
import type { Address, Hash, Hex } from "../../bytes.ts";
import type { Amount, Asset } from "../amounts.ts";
import type { ChannelView } from "../channel.ts";
import type { ChannelTerms } from "../../signing/typed_data.ts";

/** Which chain, and how it is reached. */
export interface ChainOptions {
  /** Endpoints in order of preference: http, https, ws or wss. May hold secrets; never logged. */
  readonly rpcUrls: readonly string[];
  /** The chain's number (EIP-155). An endpoint of another chain is never used. */
  readonly chainId: bigint;
  /** Where `LloomChannels` is. */
  readonly contract: Address;
  /** Blocks, its own included, after which a transaction or an event counts as final. @default 1 */
  readonly confirmations?: number;
  /** How people call the native coin. @default "ETH" */
  readonly coin?: string;
  /** How long an endpoint may take for one answer, in milliseconds. @default 10000 */
  readonly timeoutMs?: number;
  /** Between two looks at the chain while something is awaited, in milliseconds. @default 1000 */
  readonly pollMs?: number;
  /** An endpoint so many blocks behind the best one is passed over. @default 20 */
  readonly maxLagBlocks?: number;
}

/** The newest block. */
export interface ChainHead {
  /** Its number. */
  readonly number: bigint;
  /** Unix seconds. */
  readonly timestamp: number;
}

/** How much of the chain is looked at: what is final, or all that is known. */
export type Depth = "confirmed" | "latest";

/** What happened to a channel. */
export type ChannelChange =
  | {
    readonly type: "opened";
    /** The channel's whole terms. */
    readonly terms: ChannelTerms;
    /** What it was opened with. */
    readonly deposit: Amount;
  }
  | {
    readonly type: "topped_up";
    /** What it holds now. */
    readonly deposit: Amount;
  }
  | {
    readonly type: "redeemed";
    /** What this redemption paid. */
    readonly paid: Amount;
    /** What was paid in all so far. */
    readonly settled: Amount;
  }
  | {
    readonly type: "close_requested";
    /** Unix seconds until which vouchers count in any case. */
    readonly closesAt: number;
  }
  | {
    readonly type: "closed";
    /** What the executor got in all. */
    readonly settled: Amount;
    /** What went back to the client. */
    readonly refunded: Amount;
  };

/** A change, and where on the chain it is. */
export interface ChannelEvent {
  /** The channel. */
  readonly channelId: Hash;
  /** What happened. */
  readonly change: ChannelChange;
  /** The block. */
  readonly blockNumber: bigint;
  /** The block, by its hash. */
  readonly blockHash: Hash;
  /** The event's place in the block. */
  readonly logIndex: number;
  /** The transaction. */
  readonly transactionHash: Hash;
  /** That it was reported before, and is undone: the chain took another way. */
  readonly removed: boolean;
}

/**
 * Reads the chain. Every method throws `chain_unavailable` if no endpoint gives a sensible answer,
 * and `chain_mismatch` if all that answer are of another chain, or without the contract.
 */
export interface ChainReader {
  /** Blocks, its own included, after which something counts as final. */
  readonly confirmations: number;
  /** The newest block. */
  head(): Promise<ChainHead>;
  /** A channel. @param at default `confirmed` */
  channel(id: Hash, at?: Depth): Promise<ChannelView>;
  /** What an account may withdraw from the contract. */
  credit(asset: Address, account: Address): Promise<Amount>;
  /** What an account has of an asset outside the contract. */
  balance(asset: Address, account: Address): Promise<Amount>;
  /** What the contract may pull of an account's tokens. */
  allowance(asset: Address, account: Address): Promise<Amount>;
  /** An asset's name and decimals. @throws {LloomError} `config_invalid` if it is no token */
  asset(address: Address): Promise<Asset>;
  /**
   * What a call would cost at most in the chain's coin, at today's price of gas.
   * @throws {LloomError} `transaction_failed` or `insufficient_funds` if it would fail
   */
  gasCost(call: Call, from: Address): Promise<Amount>;
  /**
   * Follows the channels until aborted: each event once it is seen, and again as `removed` if a
   * reorganization undoes it. While no endpoint answers, it waits and goes on.
   * @throws {LloomError} `chain_unavailable` if the chain turns out to end before blocks that were
   * read already: what was told of them may be false, and events may have been missed
   * @param fromBlock the first block that is looked at
   * @param onEvents awaited; `upTo` is the newest final block, to resume behind after a restart.
   * Events after it come again then.
   */
  watch(
    fromBlock: bigint,
    onEvents: (events: readonly ChannelEvent[], upTo: bigint) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
}

/** What a transaction does. */
export interface Call {
  /** Whom it calls. */
  readonly to: Address;
  /** The call's data; `0x` for a mere payment. */
  readonly data: Hex;
  /** Coin that goes along, in its base units. */
  readonly value: Amount;
}

/** A transaction that this node wants to be executed once. */
export interface Intent extends Call {
  /** Names what it is for, once and for all: the same key is the same wish. */
  readonly key: string;
}

/** How far an intent has come. */
export type IntentStatus = "unknown" | "pending" | "confirmed" | "failed";

/** Where an intent was executed. */
export interface Confirmation {
  /** The transaction that did. */
  readonly transactionHash: Hash;
  /** Its block. */
  readonly blockNumber: bigint;
}

/** Sends transactions of this node's account: each at most once, and in the end for certain. */
export interface Outbox {
  /** The account that sends and pays. */
  readonly account: Address;
  /**
   * Takes an intent; resolves once it is on disk. One that is known is not sent again: if it failed
   * it is tried anew, and if it was confirmed, it is looked for on the chain again, since a deep
   * reorganization may have undone it.
   */
  submit(intent: Intent): Promise<void>;
  /**
   * Resolves when an intent is final.
   * @throws {LloomError} `transaction_failed` or `insufficient_funds` if it never will be, or is not
   * known, or the abort signal's reason
   */
  confirmed(key: string, signal?: AbortSignal): Promise<Confirmation>;
  /** How far an intent is. */
  status(key: string): Promise<IntentStatus>;
  /** Stops; what is not final is taken up again by the next outbox on the same store. */
  stop(): Promise<void>;
}

/** A transaction, signed. */
export interface Attempt {
  /** By which the chain knows it. */
  readonly hash: Hash;
  /** As it is broadcast. */
  readonly raw: Hex;
  /** The most it pays for a unit of gas, in base units of the coin. */
  readonly maxFeePerGas: bigint;
  /** What of it goes to the block's proposer. */
  readonly maxPriorityFeePerGas: bigint;
}

/** An intent and what became of it: the row of an {@linkcode OutboxStore}. */
export interface OutboxRecord extends Intent {
  /** Grows with every change. */
  readonly revision: number;
  /** Unix milliseconds of the last change of state. */
  readonly sinceMs: number;
  /**
   * `waiting`: not signed yet, nothing can happen. `pending`: one of the attempts will be executed.
   * `confirmed`, `failed`: over.
   */
  readonly state: "waiting" | "pending" | "confirmed" | "failed";
  /**
   * The account's nonce that all attempts share, but those signed for one that was false; absent
   * until there is one.
   */
  readonly nonce?: number;
  /** Units of gas that each attempt may use. */
  readonly gas?: bigint;
  /** All that were ever broadcast, oldest first; emptied some time after the end. */
  readonly attempts: readonly Attempt[];
  /** Where it was executed, whether it succeeded or was reverted. */
  readonly mined?: Confirmation;
  /** Why it failed. */
  readonly failure?: {
    /** The kind. */
    readonly code: "transaction_failed" | "insufficient_funds";
    /** In words. */
    readonly message: string;
  };
}

/** Keeps an outbox across restarts, for one process at a time. */
export interface OutboxStore {
  /** All records. */
  load(): Promise<readonly OutboxRecord[]>;
  /** Replaces records by key, all or none; resolves once that survives a power cut. In the order of the calls. */
  write(records: readonly OutboxRecord[], forgotten: readonly string[]): Promise<void>;
}
