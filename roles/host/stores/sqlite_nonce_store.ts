/** Remembers used nonces on disk. @module */
import { type Address, fromHex, toHex } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { Clock, NonceStore } from "@lloom/core/ports";
import { MemoryNonceStore } from "@lloom/core/session";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { makeFolderOf, openDatabase } from "./database.ts";

const SCHEMA = `
  CREATE TABLE nonce (
    client BLOB NOT NULL,
    nonce INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    PRIMARY KEY (client, nonce)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX nonce_deadline ON nonce (deadline)`;

/** Expired rows are deleted this often: they cost disk space, never a wrong answer. */
const PRUNE_EVERY_MS = 30_000;

/** Where and how much is remembered. */
export interface SqliteNonceStoreOptions {
  /** The database's file. */
  readonly path: string;
  /** Nonces remembered at once. @default MAX_LIVE_NONCES */
  readonly maxNonces?: number;
  /** Nonces of one client among them. @default MAX_LIVE_NONCES_PER_CLIENT */
  readonly maxNoncesPerClient?: number;
}

interface Pending {
  readonly client: Address;
  readonly nonce: bigint;
  readonly deadline: number;
  readonly done: PromiseWithResolvers<boolean>;
}

/**
 * A {@linkcode NonceStore} that survives the process: a use is acknowledged once its row is
 * committed, and all uses of one tick share a commit.
 *
 * Commits are handed to the operating system and not forced to the disk (`synchronous = NORMAL`), so
 * they outlive `kill -9` and a crash of this program, but the last ones not a power cut. What a
 * replay after a power cut can win is one more answer to a request that its own client signed, within
 * its deadline: for free requests worth nothing, and for paid ones charged to the same client, whose
 * ledger is forced to disk. Forcing every commit here would cost several milliseconds a request.
 */
export class SqliteNonceStore implements NonceStore {
  readonly #clock: Pick<Clock, "now">;
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #memory: MemoryNonceStore;
  #pending: Pending[] = [];
  #nextPruneMs: number;

  /**
   * Opens or makes the database.
   * @throws {LloomError} `in_use` if another process has it, `config_invalid` if it cannot be opened
   */
  constructor(
    options: SqliteNonceStoreOptions,
    components: { readonly clock: Pick<Clock, "now"> },
  ) {
    this.#clock = components.clock;
    this.#memory = new MemoryNonceStore(options, components);
    makeFolderOf(options.path);
    this.#database = openDatabase({
      path: options.path,
      migrations: [SCHEMA],
      durability: "normal",
      shared: false,
    });
    this.#insert = this.#database.prepare(
      "INSERT OR REPLACE INTO nonce (client, nonce, deadline) VALUES (?, ?, ?)",
    );
    this.#delete = this.#database.prepare("DELETE FROM nonce WHERE deadline <= ?");
    this.#nextPruneMs = this.#clock.now() + PRUNE_EVERY_MS;
    try {
      this.#delete.run(this.#memory.expired());
      this.#load();
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  async use(client: Address, nonce: bigint, deadline: number): Promise<boolean> {
    // Decided at once, in order: a second use of a nonce fails though the first is not on disk yet.
    if (!this.#memory.add(client, nonce, deadline)) return false;
    const done = Promise.withResolvers<boolean>();
    if (this.#pending.push({ client, nonce, deadline, done }) === 1) {
      queueMicrotask(() => this.#commit());
    }
    return await done.promise;
  }

  /** Commits what waits, and closes the database. */
  close(): void {
    this.#commit();
    this.#database.close();
  }

  #load(): void {
    const rows = this.#database.prepare("SELECT client, nonce, deadline FROM nonce");
    rows.setReadBigInts(true);
    for (const row of rows.iterate()) {
      const { client, nonce, deadline } = row as {
        client: Uint8Array;
        nonce: bigint;
        deadline: bigint;
      };
      this.#memory.restore(toHex(client), BigInt.asUintN(64, nonce), Number(deadline));
    }
  }

  #commit(): void {
    const batch = this.#pending;
    if (batch.length === 0) return;
    this.#pending = [];
    try {
      this.#database.exec("BEGIN");
      for (const { client, nonce, deadline } of batch) {
        // SQLite's integers are signed: the upper half of the nonces is stored as negative numbers.
        this.#insert.run(fromHex(client), BigInt.asIntN(64, nonce), deadline);
      }
      if (this.#clock.now() >= this.#nextPruneMs) {
        this.#delete.run(this.#memory.expired());
        this.#nextPruneMs = this.#clock.now() + PRUNE_EVERY_MS;
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec("ROLLBACK");
      // The nonces stay used in memory: a full disk must not turn into answers served twice.
      const failure = LloomError.wrap(error, "internal", "store nonce");
      for (const { done } of batch) done.reject(failure);
      return;
    }
    for (const { done } of batch) done.resolve(true);
  }
}
