/** Answers that are kept on disk for a while. @module */
import type { Clock } from "@lloom/core/ports";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { makeFolderOf, openDatabase, prepareAll, transact } from "./database.ts";

const SCHEMA = `
  CREATE TABLE answer (
    key BLOB PRIMARY KEY,
    stored_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    value BLOB NOT NULL
  ) STRICT;
  CREATE INDEX answer_stored_at ON answer (stored_at, size)`;

/** What a row takes besides its value: both its keys, and the space between rows. */
const ROW_BYTES = 128;

/** Where answers are kept, how many, and how long. */
export interface SqliteResponseCacheOptions {
  /** The database's file. */
  readonly path: string;
  /** The most that all of them take, in bytes; the oldest make room for new ones. */
  readonly maxBytes: number;
  /** How long one is kept, in milliseconds. */
  readonly ttlMs: number;
}

/**
 * Values of any kind under keys of any kind, bounded by size and by age. Reading writes nothing: what
 * goes first is what was stored first, not what was used least.
 *
 * Values survive the end of the process, but the last ones not a power cut: they are a copy.
 */
export class SqliteResponseCache {
  readonly #options: SqliteResponseCacheOptions;
  readonly #clock: Pick<Clock, "now">;
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  #bytes: number;

  /**
   * Opens or makes the database.
   * @throws {LloomError} `in_use` if another process has it, `config_invalid` if it cannot be opened
   */
  constructor(
    options: SqliteResponseCacheOptions,
    components: { readonly clock: Pick<Clock, "now"> },
  ) {
    const { path } = options;
    this.#options = options;
    this.#clock = components.clock;
    makeFolderOf(path);
    this.#database = openDatabase({
      path,
      migrations: [SCHEMA],
      durability: "normal",
      shared: false,
    });
    this.#statements = prepareAll(this.#database, SQL);
    this.#bytes = Number(this.#statements.bytes.get()?.["bytes"]);
  }

  /** A value that is not too old; undefined if there is none. */
  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.#statements.get.get(key, this.#clock.now() - this.#options.ttlMs);
    return row?.["value"] as Uint8Array | undefined;
  }

  /** Keeps a value in place of the one under the same key, unless it is too large by itself. */
  put(key: Uint8Array, value: Uint8Array): void {
    const { maxBytes, ttlMs } = this.#options;
    const size = value.length + ROW_BYTES;
    if (size > maxBytes) return;
    const now = this.#clock.now();
    let bytes = this.#bytes;
    const freed = (statement: StatementSync, ...values: (number | Uint8Array)[]) => {
      for (const row of statement.all(...values)) bytes -= Number(row["size"]);
    };
    transact(this.#database, () => {
      freed(this.#statements.remove, key);
      freed(this.#statements.removeExpired, now - ttlMs);
      while (bytes + size > maxBytes) freed(this.#statements.removeOldest);
      this.#statements.add.run(key, now, size, value);
    });
    this.#bytes = bytes + size;
  }

  /** Closes the database. */
  close(): void {
    this.#database.close();
  }
}

const SQL = {
  bytes: "SELECT ifnull(sum(size), 0) AS bytes FROM answer",
  get: "SELECT value FROM answer WHERE key = ? AND stored_at > ?",
  remove: "DELETE FROM answer WHERE key = ? RETURNING size",
  removeExpired: "DELETE FROM answer WHERE stored_at <= ? RETURNING size",
  removeOldest: `DELETE FROM answer
    WHERE rowid = (SELECT rowid FROM answer ORDER BY stored_at, rowid LIMIT 1) RETURNING size`,
  add: "INSERT INTO answer (key, stored_at, size, value) VALUES (?, ?, ?, ?)",
};
