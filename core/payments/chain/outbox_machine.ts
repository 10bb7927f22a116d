/**
 * Decides what an outbox does, without I/O: event in, effects out.
 *
 * | state       | what may happen on the chain            | becomes                                      |
 * |-------------|-----------------------------------------|----------------------------------------------|
 * | `waiting`   | nothing: it has no nonce                | `pending`, or `failed` when it would revert  |
 * | `pending`   | one of its attempts is executed         | `confirmed`, or `failed` if it was reverted  |
 * | `confirmed` | nothing more                            | `pending` if a reorganization took it back   |
 * | `failed`    | nothing                                 | `waiting` when it is submitted anew          |
 *
 * An intent happens at most once because all its attempts share one nonce, which it keeps until it
 * is over, or until that is so far above the account's that it can only have been false; and for certain because what was signed is on disk before it is broadcast, and is
 * broadcast, with a higher fee when that is what it takes, until the chain has it for good.
 * @module
 */
import { type Hash, ZERO_ADDRESS } from "../../bytes.ts";
import { AccountNonces, pendingNonces } from "./account_nonces.ts";
import { type Doubt, doubted, isBelieved, LOOKS_TO_BELIEVE, NO_DOUBT } from "./doubt.ts";
import type { Observation, OutboxEffect, OutboxEvent, OutboxOptions } from "./outbox_events.ts";
import type { Confirmation, Intent, OutboxRecord } from "./ports.ts";
import type { TransactionSigner } from "./transaction.ts";

const DEFAULTS: Required<OutboxOptions> = {
  confirmations: 1,
  maxFeePerGas: 500_000_000_000n,
  replaceAfterMs: 30_000,
  rebroadcastMs: 15_000,
  maxInFlight: 16,
};

/** Blocks that must have gone by before a fee is raised: a chain that stands still needs no higher one. */
const REPLACE_AFTER_BLOCKS = 2n;
/** Attempts of one intent. Each costs a question at every look; 32 raises multiply a fee by a thousand. */
const MAX_ATTEMPTS = 32;
/** Nonces that nothing has are filled with empty transactions if they are no more; each costs `FILL_GAS`. */
const MAX_FILLED = 16;
/** Units of gas of an empty transaction, with room for chains that count more than 21000. */
const FILL_GAS = 100_000n;
/** How long a transaction is kept after its end, in case a reorganization takes it back. */
const KEEP_ATTEMPTS_MS = 86_400_000;
/** How long a key is remembered after its end. */
const KEEP_KEY_MS = 90 * 86_400_000;

/** An intent, and what need not survive a restart. */
interface Entry {
  record: OutboxRecord;
  /** Whether the record is on disk. */
  stored: boolean;
  estimating: boolean;
  /** The revision with which a submission is on disk, while it is not. */
  submitted: number | undefined;
  broadcastMs: number;
  /** Since when, and what height, the newest attempt waits; undefined before the first look. */
  waits: { readonly ms: number; readonly head: bigint } | undefined;
  /** Looks in a row that contradict the record, and when they began. */
  contradicted: Doubt;
}

/** An outbox's decisions. See the module's table. */
export class OutboxMachine {
  readonly #options: Required<OutboxOptions>;
  readonly #signer: Pick<TransactionSigner, "sign">;
  readonly #entries = new Map<string, Entry>();
  #seen: Observation | undefined;
  readonly #nonces = new AccountNonces();
  #gap: Doubt = NO_DOUBT;

  /** An outbox as it was left. @param records all that a store has */
  constructor(
    records: readonly OutboxRecord[],
    options: OutboxOptions,
    signer: Pick<TransactionSigner, "sign">,
  ) {
    this.#options = { ...DEFAULTS, ...options };
    this.#signer = signer;
    for (const record of records) this.#entries.set(record.key, entryOf(record, true));
  }

  /** A record; undefined if the key is not known. */
  record(key: string): OutboxRecord | undefined {
    return this.#entries.get(key)?.record;
  }

  /** Whether anything is not final, so that the chain must be looked at. */
  get busy(): boolean {
    return this.#entries.values().some(({ record }) => !isOver(record));
  }

  /** Whether the last look contradicts a record, so that another endpoint should be asked. */
  get doubts(): boolean {
    return this.#gap.looks > 0 ||
      this.#entries.values().some(({ contradicted }) => contradicted.looks > 0);
  }

  /** The transactions that the next observation must tell of. */
  get watched(): Hash[] {
    return [...this.#entries.values()].filter(({ record }) => record.state === "pending")
      .flatMap(({ record }) => record.attempts.map(({ hash }) => hash));
  }

  /** Takes an event; returns what is to be done about it, in order. @param nowMs unix milliseconds */
  handle(event: OutboxEvent, nowMs: number): OutboxEffect[] {
    switch (event.type) {
      case "submit":
        return this.#submit(event.intent, nowMs);
      case "stored":
        return this.#stored(event.key, event.revision, nowMs);
      case "estimated":
        return this.#estimated(event.key, event.gas, nowMs);
      case "refused": {
        const entry = this.#answered(event.key);
        if (entry === undefined) return [];
        return this.#change(entry, { state: "failed", failure: event.failure }, nowMs);
      }
      case "unanswered":
        this.#answered(event.key);
        return [];
      case "observed":
        return this.#observed(event.observation, nowMs);
    }
  }

  #submit(intent: Intent, nowMs: number): OutboxEffect[] {
    const { key, to, data, value } = intent;
    const known = this.#entries.get(key);
    if (known === undefined || known.record.state === "failed") {
      const revision = (known?.record.revision ?? 0) + 1;
      const entry = entryOf(
        { key, to, data, value, revision, sinceMs: nowMs, state: "waiting", attempts: [] },
        false,
      );
      entry.submitted = revision;
      this.#entries.set(key, entry);
      return [{ type: "store", record: entry.record }];
    }
    const { state, attempts } = known.record;
    const effects = state === "confirmed" && attempts.length > 0
      ? this.#change(known, { state: "pending" }, nowMs)
      : [];
    known.submitted = known.record.revision;
    return known.stored ? this.#tellSubmitted(known, known.record.revision) : effects;
  }

  #stored(key: string, revision: number, nowMs: number): OutboxEffect[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    const effects = this.#tellSubmitted(entry, revision);
    if (entry.record.revision !== revision) return effects;
    entry.stored = true;
    const { record } = entry;
    if (isOver(record)) return [...effects, { type: "ended", record }];
    if (record.state === "pending") return [...effects, ...this.#broadcast(entry, nowMs)];
    return [...effects, ...this.#startEstimates()];
  }

  #tellSubmitted(entry: Entry, revision: number): OutboxEffect[] {
    if (entry.submitted === undefined || revision < entry.submitted) return [];
    entry.submitted = undefined;
    return [{ type: "submitted", key: entry.record.key }];
  }

  /** Asks about the oldest ones that wait, as many as may be in flight, if gas is not too dear. */
  #startEstimates(): OutboxEffect[] {
    if (this.#seen === undefined || this.#fees(this.#seen) === undefined || !this.#nonces.isSure) {
      return [];
    }
    const entries = [...this.#entries.values()];
    let room = this.#options.maxInFlight -
      entries.filter(({ record, estimating }) => record.state === "pending" || estimating).length;
    const effects: OutboxEffect[] = [];
    for (const entry of entries) {
      const { record, stored, estimating } = entry;
      if (record.state !== "waiting" || !stored || estimating || room <= 0) continue;
      room--;
      entry.estimating = true;
      effects.push({ type: "estimate", record });
    }
    return effects;
  }

  #answered(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || !entry.estimating) return undefined;
    entry.estimating = false;
    return entry;
  }

  #estimated(key: string, gas: bigint, nowMs: number): OutboxEffect[] {
    const entry = this.#answered(key);
    const fees = this.#seen && this.#fees(this.#seen);
    // Asked again at the next look.
    if (entry === undefined || fees === undefined || !this.#nonces.isSure) return [];
    const nonce = this.#nonces.free(this.#records);
    const attempt = this.#signer.sign({ ...entry.record, nonce, gas, ...fees });
    this.#signed(entry);
    return this.#change(entry, { state: "pending", nonce, gas, attempts: [attempt] }, nowMs);
  }

  get #records(): IteratorObject<OutboxRecord> {
    return this.#entries.values().map(({ record }) => record);
  }

  /** Goes after a nonce that nothing has, while what is pending has higher ones. */
  #observedGap(seen: Observation, nowMs: number): OutboxEffect[] {
    const lowest = Math.min(...pendingNonces(this.#records));
    const isGap = Number.isFinite(lowest) && seen.nonce < lowest;
    this.#gap = isGap ? doubted(this.#gap, nowMs) : NO_DOUBT;
    const fees = this.#fees(seen);
    if (!isBelieved(this.#gap, nowMs) || fees === undefined) return [];
    this.#gap = NO_DOUBT;
    this.#nonces.lower(seen.nonce);
    const missing = lowest - seen.nonce;
    const told: OutboxEffect = { type: "gap", nonce: seen.nonce, missing };
    if (missing > MAX_FILLED) {
      const entry = this.#entries.values().find(({ record }) =>
        record.state === "pending" && record.nonce === lowest
      )!;
      const { record } = entry;
      const nonce = this.#nonces.free(this.#records);
      // The old attempts stay: should one be in a block after all, it is found.
      const attempt = this.#signer.sign({ ...record, nonce, gas: record.gas!, ...fees });
      this.#signed(entry);
      const attempts = [...record.attempts, attempt];
      return [told, ...this.#change(entry, { nonce, attempts }, nowMs)];
    }
    const effects: OutboxEffect[] = [told];
    for (let nonce = seen.nonce; nonce < lowest; nonce++) {
      const intent = {
        key: `fill:${nonce}:${nowMs}`,
        to: ZERO_ADDRESS,
        data: "0x",
        value: 0n,
      } as const;
      const attempts = [this.#signer.sign({ ...intent, nonce, gas: FILL_GAS, ...fees })];
      const since = { revision: 1, sinceMs: nowMs, state: "pending" } as const;
      const record: OutboxRecord = { ...intent, ...since, nonce, gas: FILL_GAS, attempts };
      this.#entries.set(record.key, entryOf(record, false));
      effects.push({ type: "store", record });
    }
    return effects;
  }

  #signed(entry: Entry): void {
    entry.waits = undefined;
    entry.broadcastMs = -Infinity;
  }

  /** What a new transaction pays; undefined while that is too much. */
  #fees({ baseFee, priorityFee }: Observation): Fees | undefined {
    const cap = this.#options.maxFeePerGas;
    if (baseFee + priorityFee > cap) return undefined;
    // Twice the base fee holds for six full blocks; what is not needed is not paid.
    const wanted = 2n * baseFee + priorityFee;
    return { maxFeePerGas: wanted < cap ? wanted : cap, maxPriorityFeePerGas: priorityFee };
  }

  #observed(seen: Observation, nowMs: number): OutboxEffect[] {
    this.#seen = seen;
    this.#nonces.observe(seen.nonce, this.#records);
    const effects: OutboxEffect[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.record.state === "pending") effects.push(...this.#pending(entry, seen, nowMs));
      else if (isOver(entry.record)) effects.push(...this.#over(entry, seen, nowMs));
    }
    return [...effects, ...this.#observedGap(seen, nowMs), ...this.#startEstimates()];
  }

  #pending(entry: Entry, seen: Observation, nowMs: number): OutboxEffect[] {
    const { record } = entry;
    const nonce = record.nonce!;
    for (const { hash } of record.attempts) {
      const found = seen.executed.get(hash);
      if (found === undefined) continue;
      entry.contradicted = NO_DOUBT;
      const depth = seen.head - found.blockNumber + 1n;
      if (depth < BigInt(this.#options.confirmations) || seen.finalNonce <= nonce) return [];
      const mined: Confirmation = { transactionHash: hash, blockNumber: found.blockNumber };
      if (found.success) return this.#change(entry, { state: "confirmed", mined }, nowMs);
      return this.#change(entry, { state: "failed", mined, failure: REVERTED }, nowMs);
    }
    if (seen.finalNonce > nonce) {
      // Somebody else with this key, or an endpoint that does not know its own blocks.
      entry.contradicted = doubted(entry.contradicted, nowMs);
      if (!isBelieved(entry.contradicted, nowMs)) return [];
      return this.#change(entry, { state: "failed", failure: OVERTAKEN }, nowMs);
    }
    entry.contradicted = NO_DOUBT;
    if (seen.nonce > nonce || !entry.stored) return [];
    return this.#replace(entry, seen, nowMs) ?? this.#broadcast(entry, nowMs);
  }

  /** Another attempt at a higher fee; undefined if it is not time, or cannot be. */
  #replace(entry: Entry, seen: Observation, nowMs: number): OutboxEffect[] | undefined {
    const { record } = entry;
    const since = entry.waits ??= { ms: nowMs, head: seen.head };
    const last = record.attempts.at(-1)!;
    const { replaceAfterMs, maxFeePerGas: cap } = this.#options;
    if (
      record.attempts.length >= MAX_ATTEMPTS || nowMs - since.ms < replaceAfterMs ||
      seen.head < since.head + REPLACE_AFTER_BLOCKS
    ) return undefined;
    // Nodes take a replacement only if both fees are an eighth higher; a quarter keeps the attempts few.
    const market = this.#fees(seen);
    const fees: Fees = {
      maxFeePerGas: atMost(cap, larger(raised(last.maxFeePerGas), market?.maxFeePerGas ?? cap)),
      maxPriorityFeePerGas: larger(raised(last.maxPriorityFeePerGas), seen.priorityFee),
    };
    const isHigher = 8n * fees.maxFeePerGas >= 9n * last.maxFeePerGas;
    if (!isHigher || fees.maxPriorityFeePerGas > fees.maxFeePerGas) return undefined;
    const { nonce, gas } = record;
    const attempt = this.#signer.sign({ ...record, nonce: nonce!, gas: gas!, ...fees });
    this.#signed(entry);
    return this.#change(entry, { attempts: [...record.attempts, attempt] }, nowMs);
  }

  #broadcast(entry: Entry, nowMs: number): OutboxEffect[] {
    if (nowMs - entry.broadcastMs < this.#options.rebroadcastMs) return [];
    entry.broadcastMs = nowMs;
    return [{ type: "broadcast", raw: entry.record.attempts.at(-1)!.raw }];
  }

  #over(entry: Entry, seen: Observation, nowMs: number): OutboxEffect[] {
    const { record, stored } = entry;
    const ageMs = nowMs - record.sinceMs;
    if (!stored) return [];
    if (ageMs > KEEP_KEY_MS) {
      this.#entries.delete(record.key);
      return [{ type: "forget", key: record.key }];
    }
    if (record.attempts.length === 0) return [];
    if (ageMs > KEEP_ATTEMPTS_MS) {
      return this.#change(entry, { ...record, data: "0x", attempts: [] }, record.sinceMs);
    }
    // Its nonce free again: what comes after could never be executed.
    const isTakenBack = record.mined !== undefined && record.nonce! >= seen.nonce;
    entry.contradicted = isTakenBack ? doubted(entry.contradicted, nowMs) : NO_DOUBT;
    if (entry.contradicted.looks < LOOKS_TO_BELIEVE) return [];
    return this.#change(entry, { state: "pending" }, nowMs);
  }

  #change(entry: Entry, to: Partial<OutboxRecord>, nowMs: number): OutboxEffect[] {
    const { mined: _mined, failure: _failure, ...rest } = entry.record;
    entry.record = { ...rest, ...to, revision: rest.revision + 1, sinceMs: nowMs };
    entry.stored = false;
    entry.contradicted = NO_DOUBT;
    return [{ type: "store", record: entry.record }];
  }
}

interface Fees {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

const REVERTED = {
  code: "transaction_failed",
  message: "send transaction: it was reverted",
} as const;
const OVERTAKEN = {
  code: "transaction_failed",
  message: "send transaction: another transaction of this account took its place",
} as const;

function entryOf(record: OutboxRecord, stored: boolean): Entry {
  return {
    record,
    stored,
    estimating: false,
    submitted: undefined,
    broadcastMs: -Infinity,
    waits: undefined,
    contradicted: NO_DOUBT,
  };
}

function isOver({ state }: OutboxRecord): boolean {
  return state === "confirmed" || state === "failed";
}

function raised(fee: bigint): bigint {
  return fee + fee / 4n + 1n;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function atMost(cap: bigint, fee: bigint): bigint {
  return fee < cap ? fee : cap;
}
