/** Keeps an outbox of transactions on disk. @module */
import type { Hex } from "@lloom/core/bytes";
import type { Attempt, Confirmation, OutboxRecord, OutboxStore } from "@lloom/core/payments/chain";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type Column, decimal, hex, integer, RowFormat, text } from "./columns.ts";
import { makeFolderOf, openDatabase } from "./database.ts";

const SCHEMA = `
  CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    "to" BLOB NOT NULL,
    data BLOB NOT NULL,
    value TEXT NOT NULL,
    nonce INTEGER,
    gas TEXT,
    attempts TEXT NOT NULL,
    mined TEXT,
    failure TEXT
  ) STRICT`;

/** Attempts as JSON: they are read and written as one. */
const attempts: Column<readonly Attempt[]> = {
  write: (value) =>
    JSON.stringify(
      value.map(({ hash, raw, maxFeePerGas, maxPriorityFeePerGas }) => [
        hash,
        raw,
        String(maxFeePerGas),
        String(maxPriorityFeePerGas),
      ]),
    ),
  read: (value) =>
    (JSON.parse(value as string) as [Hex, Hex, string, string][]).map((
      [hash, raw, maxFee, maxPriorityFee],
    ) => ({
      hash,
      raw,
      maxFeePerGas: BigInt(maxFee),
      maxPriorityFeePerGas: BigInt(maxPriorityFee),
    })),
};

const mined: Column<Confirmation> = {
  write: ({ transactionHash, blockNumber }) => JSON.stringify([transactionHash, `${blockNumber}`]),
  read(value) {
    const [transactionHash, blockNumber] = JSON.parse(value as string) as [Hex, string];
    return { transactionHash, blockNumber: BigInt(blockNumber) };
  },
};

const failure: Column<NonNullable<OutboxRecord["failure"]>> = {
  write: (value) => JSON.stringify(value),
  read: (value) => JSON.parse(value as string),
};

const FORMAT = new RowFormat<OutboxRecord>({
  key: text(),
  revision: integer,
  sinceMs: integer,
  state: text(),
  to: hex,
  data: hex,
  value: decimal,
  nonce: integer,
  gas: decimal,
  attempts,
  mined,
  failure,
});

/**
 * An {@linkcode OutboxStore} in a database of its own, for one process at a time: two that send from
 * one account would take each other's nonces. Commits are forced to disk, which transactions are
 * rare enough for.
 */
export class SqliteOutboxStore implements OutboxStore {
  readonly #database: DatabaseSync;
  readonly #upsert: StatementSync;
  readonly #delete: StatementSync;

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
    this.#upsert = this.#database.prepare(FORMAT.upsertInto("outbox", "key"));
    this.#delete = this.#database.prepare("DELETE FROM outbox WHERE key = ?");
  }

  load(): Promise<readonly OutboxRecord[]> {
    // In the order of their submission, in which they are to be sent.
    const rows = this.#database.prepare(`SELECT ${FORMAT.names} FROM outbox ORDER BY rowid`).all();
    return Promise.resolve(rows.map((row) => FORMAT.read(row)));
  }

  write(records: readonly OutboxRecord[], forgotten: readonly string[]): Promise<void> {
    return Promise.try(() => this.#write(records, forgotten));
  }

  /** Closes the database. */
  close(): void {
    this.#database.close();
  }

  #write(records: readonly OutboxRecord[], forgotten: readonly string[]): void {
    this.#database.exec("BEGIN");
    try {
      for (const record of records) this.#upsert.run(...FORMAT.values(record));
      for (const key of forgotten) this.#delete.run(key);
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}
