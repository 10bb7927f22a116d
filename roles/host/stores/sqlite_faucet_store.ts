/** What a faucet remembers: who asked, and which tokens it gave out. @module */
import type { Address, Hash } from "@lloom/core/bytes";
import type { Amount } from "@lloom/core/payments";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { makeFolderOf, openDatabase, prepareAll, transact } from "./database.ts";

const SCHEMA = `
  CREATE TABLE attempt (
    source TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX attempt_source ON attempt (source, at);
  CREATE TABLE claim (
    token TEXT PRIMARY KEY,
    mail TEXT,
    mailed INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    amount TEXT,
    transaction_hash TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX claim_mail ON claim (mail, at);
  CREATE INDEX claim_at ON claim (at);
  CREATE INDEX claim_state ON claim (state)`;

/** A token that was given out, and what became of it. */
export interface Claim {
  /** The token's hash. */
  readonly token: Hash;
  /** Who is to be paid. */
  readonly recipient: Address;
  /** Unix milliseconds of its making. */
  readonly at: number;
  /**
   * `open`: not redeemed. `promised`: to be paid, for certain. `paid`, `failed`: over.
   */
  readonly state: "open" | "promised" | "paid" | "failed";
  /** What was promised; absent while open. */
  readonly amount?: Amount;
  /** The transaction that paid it; absent before. */
  readonly transactionHash?: Hash;
}

/** How often something happened since a time, and when first. */
export interface Tally {
  /** How often. */
  readonly count: number;
  /** Unix milliseconds of the first time; 0 if there was none. */
  readonly firstMs: number;
}

/**
 * The faucet's database. Every change is on disk when its method returns: a token that is promised
 * money must be known to be so after any crash. Mail and source addresses are keyed hashes.
 */
export class SqliteFaucetStore {
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;

  /**
   * Opens or makes the database.
   * @throws {LloomError} `in_use` if another process has it, `config_invalid` if it cannot be opened
   */
  constructor(path: string) {
    makeFolderOf(path);
    this.#database = openDatabase({
      path,
      migrations: [SCHEMA],
      durability: "full",
      shared: false,
    });
    this.#statements = prepareAll(this.#database, SQL);
    // Whether these were sent before the process ended, nobody knows: they may be asked for again.
    this.#statements.forgetUnsent.run();
  }

  /** How often one source asked since a time. */
  attempts(source: string, sinceMs: number): Tally {
    return this.#statements.attempts.get(source, sinceMs) as unknown as Tally;
  }

  /** How many tokens were given out since a time. */
  issued(sinceMs: number): Tally {
    return this.#statements.issued.get(sinceMs) as unknown as Tally;
  }

  /** Whether a mail address was given a token since a time. */
  wasMailed(mail: string, sinceMs: number): boolean {
    return this.#statements.wasMailed.get(mail, sinceMs) !== undefined;
  }

  /** Notes that a source asked, and perhaps a new token for a mail address. */
  record(
    attempt: { readonly source: string; readonly at: number },
    issued?: { readonly token: Hash; readonly mail: string; readonly recipient: Address },
  ): void {
    transact(this.#database, () => {
      const { source, at } = attempt;
      this.#statements.addAttempt.run(source, at);
      if (issued === undefined) return;
      const { token, mail, recipient } = issued;
      this.#statements.addClaim.run(token, mail, recipient, at);
    });
  }

  /** Notes whether a token's mail was sent. If it was not, its address may ask again. */
  noteMail(token: Hash, sent: boolean): void {
    if (sent) this.#statements.mailed.run(token);
    else this.#statements.unlimit.run(token);
  }

  /** A token; undefined if it is not known. */
  claim(token: Hash): Claim | undefined {
    const row = this.#statements.claim.get(token);
    return row === undefined ? undefined : toClaim(row);
  }

  /** All tokens whose payment is not over. */
  promised(): readonly Claim[] {
    return this.#statements.promised.all().map(toClaim);
  }

  /** Promises an amount. @returns false if the token was not open */
  promise(token: Hash, amount: Amount): boolean {
    return this.#statements.promise.run(amount.toString(), token).changes === 1;
  }

  /** Notes the transaction that paid a token. */
  notePaid(token: Hash, transactionHash: Hash): void {
    this.#statements.paid.run(transactionHash, token);
  }

  /** Notes that a token will never be paid. Its mail address may ask again. */
  noteFailed(token: Hash): void {
    transact(this.#database, () => {
      this.#statements.failed.run(token);
      this.#statements.unlimit.run(token);
    });
  }

  /** Forgets attempts, tokens that were not paid, and tokens that were, each before a time. */
  prune(
    before: { readonly attempts: number; readonly unpaid: number; readonly paid: number },
  ): void {
    transact(this.#database, () => {
      this.#statements.pruneAttempts.run(before.attempts);
      this.#statements.pruneUnpaid.run(before.unpaid);
      this.#statements.prunePaid.run(before.paid);
    });
  }

  /** Closes the database. */
  close(): void {
    this.#database.close();
  }
}

const SQL = {
  forgetUnsent: "UPDATE claim SET mail = NULL WHERE mailed = 0",
  attempts: `SELECT count(*) AS count, ifnull(min(at), 0) AS firstMs FROM attempt
    WHERE source = ? AND at > ?`,
  issued: "SELECT count(*) AS count, ifnull(min(at), 0) AS firstMs FROM claim WHERE at > ?",
  wasMailed: "SELECT 1 FROM claim WHERE mail = ? AND at > ? LIMIT 1",
  addAttempt: "INSERT INTO attempt (source, at) VALUES (?, ?)",
  addClaim: `INSERT INTO claim (token, mail, mailed, recipient, at, state)
    VALUES (?, ?, 0, ?, ?, 'open')`,
  mailed: "UPDATE claim SET mailed = 1 WHERE token = ?",
  unlimit: "UPDATE claim SET mail = NULL WHERE token = ?",
  claim: "SELECT * FROM claim WHERE token = ?",
  promised: "SELECT * FROM claim WHERE state = 'promised' ORDER BY at",
  promise: "UPDATE claim SET state = 'promised', amount = ? WHERE token = ? AND state = 'open'",
  paid: `UPDATE claim SET state = 'paid', transaction_hash = ?
    WHERE token = ? AND state = 'promised'`,
  failed: "UPDATE claim SET state = 'failed' WHERE token = ? AND state = 'promised'",
  pruneAttempts: "DELETE FROM attempt WHERE at <= ?",
  pruneUnpaid: "DELETE FROM claim WHERE at <= ? AND state IN ('open', 'failed')",
  prunePaid: "DELETE FROM claim WHERE at <= ? AND state = 'paid'",
};

function toClaim(row: Record<string, unknown>): Claim {
  const { token, recipient, at, state, amount, transaction_hash: hash } = row as {
    token: Hash;
    recipient: Address;
    at: number;
    state: Claim["state"];
    amount: string | null;
    transaction_hash: Hash | null;
  };
  return {
    ...{ token, recipient, at, state },
    ...(amount !== null && { amount: BigInt(amount) }),
    ...(hash !== null && { transactionHash: hash }),
  };
}
