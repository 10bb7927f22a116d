/** Opens SQLite databases. @module */
import { LloomError } from "@lloom/core/errors";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { dirname } from "node:path";

/** How a database is opened. */
export interface DatabaseOptions {
  /** The database's file. */
  readonly path: string;
  /**
   * What leads from each version to the next, as SQL: their number is the version of this program. A
   * database of an older version is brought up to it, one of a newer version is refused.
   */
  readonly migrations: readonly string[];
  /**
   * When a commit is on disk. `full`: at its return, so that it survives a power cut. `normal`: it is
   * with the operating system, so that it survives the end of this process, however violent.
   */
  readonly durability: "full" | "normal";
  /**
   * Whether other processes may use it too; {@linkcode begin} waits for their transactions. Two nodes
   * on one database that is not made for it would each be blind to what the other has accepted.
   */
  readonly shared: boolean;
}

/** How long opening a shared database waits for the transactions of others. */
const OPEN_TIMEOUT_MS = 5000;

/**
 * Makes the folder of a database, where it is not there yet.
 * @throws {LloomError} `config_invalid` if it cannot be made
 */
export function makeFolderOf(path: string): void {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unopened(path, error);
  }
}

/**
 * Opens a database in write-ahead mode. Its folder must be there. One that is made may be read by its
 * owner alone, as it may hold what was asked and answered.
 * @throws {LloomError} `in_use` if another process has it, `config_invalid` if it cannot be opened or
 * is of a newer version
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { path, shared, durability, migrations } = options;
  let database: DatabaseSync | undefined;
  try {
    // SQLite would let the umask decide. Its further files get the permissions of this one.
    if (path !== ":memory:") {
      Deno.openSync(path, { append: true, create: true, mode: 0o600 }).close();
    }
    database = new DatabaseSync(path, { timeout: shared ? OPEN_TIMEOUT_MS : 0 });
    if (!shared) database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durability}`);
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON");
    // The first write takes the lock, which an exclusive connection then keeps.
    database.exec(shared ? "BEGIN IMMEDIATE" : "BEGIN EXCLUSIVE");
    const found = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (found > migrations.length) {
      throw new LloomError(
        "config_invalid",
        `open database ${path}: version ${found}, this program knows ${migrations.length}`,
      );
    }
    for (const step of migrations.slice(found)) database.exec(step);
    database.exec(`PRAGMA user_version = ${migrations.length}; COMMIT`);
    database.exec("PRAGMA busy_timeout = 0"); // from now on `begin` waits
    return database;
  } catch (error) {
    database?.close();
    throw unopened(path, error);
  }
}

/** Prepares statements, each under the name of its SQL. */
export function prepareAll<Name extends string>(
  database: DatabaseSync,
  sql: Readonly<Record<Name, string>>,
): Readonly<Record<Name, StatementSync>> {
  const entries = Object.entries<string>(sql);
  const prepared = entries.map(([name, text]) => [name, database.prepare(text)] as const);
  return Object.fromEntries(prepared) as Record<Name, StatementSync>;
}

/** Makes several changes of a database that is not shared as one. @throws what `change` throws */
export function transact(database: DatabaseSync, change: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    change();
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4));
const PAUSE_MS = 1;

/**
 * Begins to write, having waited for other processes, and blocks the thread for as long. SQLite's own
 * waiting sleeps so long in between that a process which writes all the time keeps others out.
 * @throws what SQLite throws: if the time is over, what {@linkcode isLocked} knows
 */
export function begin(database: DatabaseSync, timeoutMs: number): void {
  for (const until = performance.now() + timeoutMs;;) {
    try {
      return database.exec("BEGIN IMMEDIATE");
    } catch (error) {
      if (!isLocked(error) || performance.now() >= until) throw error;
      Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
    }
  }
}

/** Whether a transaction could not begin because of another process. */
export function isLocked(error: unknown): boolean {
  // Deno passes on SQLite's text, but not its code.
  return error instanceof Error && error.message === "database is locked";
}

function unopened(path: string, error: unknown): LloomError {
  if (error instanceof LloomError) return error;
  const [code, reason] = isLocked(error)
    ? ["in_use", "another process uses it"] as const
    : ["config_invalid", error instanceof Error ? error.message : "failed"] as const;
  return new LloomError(code, `open database ${path}: ${reason}`, { cause: error });
}
