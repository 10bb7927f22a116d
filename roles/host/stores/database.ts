/** Opens SQLite databases. @module */
import { LloomError } from "@lloom/core/errors";
import { DatabaseSync } from "node:sqlite";
import { dirname } from "node:path";

/** One database of this process. */
export interface DatabaseOptions {
  /** The database's file. */
  readonly path: string;
  /** Creates the tables, in one transaction, where they are not there yet. */
  readonly schema: string;
  /** The number of the schema; a database of another number is refused. */
  readonly version: number;
  /**
   * When a commit is on disk. `full`: at its return, so that it survives a power cut. `normal`: it is
   * with the operating system, so that it survives the end of this process, however violent.
   */
  readonly durability: "full" | "normal";
}

/**
 * Opens a database in write-ahead mode for this process alone: two nodes on one data directory would
 * each be blind to what the other has accepted.
 * @throws {LloomError} `config_invalid` if it is in use, cannot be opened, or is of another version
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { path } = options;
  let database: DatabaseSync | undefined;
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    database = new DatabaseSync(path);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL");
    database.exec(`PRAGMA synchronous = ${options.durability}; PRAGMA trusted_schema = OFF`);
    // The first write takes the lock, which this connection then keeps.
    database.exec("BEGIN EXCLUSIVE");
    const found = database.prepare("PRAGMA user_version").get()?.["user_version"];
    if (found !== 0 && found !== options.version) {
      throw new LloomError(
        "config_invalid",
        `open database ${path}: version ${found}, this program needs ${options.version}`,
      );
    }
    database.exec(`${options.schema}; PRAGMA user_version = ${options.version}; COMMIT`);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof LloomError) throw error;
    const message = error instanceof Error ? error.message : "failed";
    // Deno passes on SQLite's text, but not its code.
    const reason = message === "database is locked" ? "another process uses it" : message;
    throw new LloomError("config_invalid", `open database ${path}: ${reason}`, { cause: error });
  }
}
