/** A ledger's database, on the thread that calls it. @module */
import { LloomError } from "@lloom/core/errors";
import {
  type Book,
  BUYER_OPERATIONS,
  createBuyerBook,
  createSellerBook,
  operate,
  type Operations,
  SELLER_OPERATIONS,
} from "@lloom/core/payments";
import type { Keccak256 } from "@lloom/core/signing";
import { describe, type Thrown } from "@lloom/workers/serve";
import type { DatabaseSync } from "node:sqlite";
import { begin, isLocked, openDatabase } from "./database.ts";
import { BUYER_MIGRATIONS, SqliteBuyerTables } from "./sqlite_buyer_tables.ts";
import { SELLER_MIGRATIONS, SqliteSellerTables } from "./sqlite_seller_tables.ts";

/** Whose account a ledger is. */
export type LedgerKind = "buyer" | "seller";

/** One operation that is to be done: its name and arguments. */
export type Order = readonly [name: string, args: readonly unknown[]];

/** What came of one. */
export type Outcome = { readonly result: unknown } | { readonly thrown: Thrown };

/** When others have kept the database for so long, there is no use in asking at once. */
const LOCKED_RETRY_MS = 1000;

/** A database that does operations in groups, each group in one transaction. */
export interface Ledger {
  /**
   * Does operations in order. One that throws leaves nothing behind, and does not touch the others.
   * What is returned is on disk.
   * @throws {LloomError} `overloaded` if other processes do not let it begin, `internal` if the disk
   * fails: then nothing was done
   */
  run(orders: readonly Order[]): readonly Outcome[];
  /** Closes the database. */
  close(): void;
}

/**
 * Opens a ledger.
 * @param timeoutMs how long a group waits for the transactions of other processes
 * @throws {LloomError} `config_invalid`
 */
export function openLedger(
  kind: LedgerKind,
  path: string,
  keccak256: Keccak256,
  timeoutMs = 5000,
): Ledger {
  const open = (migrations: readonly string[]): DatabaseSync =>
    openDatabase({ path, migrations, durability: "full", shared: true });
  if (kind === "buyer") {
    const database = open(BUYER_MIGRATIONS);
    const book = createBuyerBook(new SqliteBuyerTables(database), keccak256);
    return createLedger(database, book, BUYER_OPERATIONS, timeoutMs);
  }
  const database = open(SELLER_MIGRATIONS);
  const book = createSellerBook(new SqliteSellerTables(database), keccak256);
  return createLedger(database, book, SELLER_OPERATIONS, timeoutMs);
}

function createLedger<S>(
  database: DatabaseSync,
  book: Book<S>,
  operations: Operations<S>,
  timeoutMs: number,
): Ledger {
  const mark = database.prepare("SAVEPOINT operation");
  const undo = database.prepare("ROLLBACK TO operation");
  const release = database.prepare("RELEASE operation");
  const isRead = ([name]: Order): boolean => operations[name as keyof S] === "read";

  const runOne = ([name, args]: Order): Outcome => {
    mark.run();
    try {
      return { result: operate(book, name as keyof S, args) };
    } catch (error) {
      // A failing disk may have ended the whole transaction.
      if (!database.isTransaction) throw error;
      undo.run();
      return { thrown: describe(error) };
    } finally {
      if (database.isTransaction) release.run();
    }
  };

  return {
    run(orders) {
      try {
        // Who only reads sees one state, and hinders nobody.
        if (orders.every(isRead)) database.exec("BEGIN");
        else begin(database, timeoutMs);
        const outcomes = orders.map(runOne);
        database.exec("COMMIT");
        return outcomes;
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        if (!isLocked(error)) throw LloomError.wrap(error, "internal", "use ledger");
        throw new LloomError("overloaded", "use ledger: another process keeps it", {
          retryAfterMs: LOCKED_RETRY_MS,
          cause: error,
        });
      }
    },
    close: () => database.close(),
  };
}
