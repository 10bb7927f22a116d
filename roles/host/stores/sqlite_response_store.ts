/** Responses that a gateway keeps: to be asked for later, gone on from, or still to be made. @module */
import { LloomError } from "@lloom/core/errors";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { makeFolderOf, openDatabase, prepareAll, transact } from "./database.ts";

const SCHEMA = `
  CREATE TABLE response (
    id TEXT PRIMARY KEY,
    previous_id TEXT,
    created_s INTEGER NOT NULL,
    response TEXT NOT NULL,
    input TEXT NOT NULL,
    job TEXT,
    callback_url TEXT,
    bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX response_over ON response (created_s) WHERE job IS NULL AND callback_url IS NULL;
  CREATE INDEX response_unfinished ON response (created_s)
    WHERE job IS NOT NULL OR callback_url IS NOT NULL`;

/** A response, and what belongs to it. */
export interface StoredResponse {
  /** Its name. */
  readonly id: string;
  /** The response that it goes on from. */
  readonly previousId?: string;
  /** Unix seconds of its making. */
  readonly createdS: number;
  /** The response as JSON. */
  readonly response: string;
  /** What was new in its input, as JSON. */
  readonly input: string;
  /** How it is to be made, as JSON; absent once it is over. */
  readonly job?: string;
  /** Whom to tell when it is over; absent once told. */
  readonly callbackUrl?: string;
}

/** How much is kept. Beyond it, the oldest that are over are forgotten, and none is accepted to be made. */
export interface ResponseStoreBounds {
  /** Responses. */
  readonly maxCount: number;
  /** Bytes of all responses and inputs. */
  readonly maxBytes: number;
  /** Seconds. */
  readonly maxAgeS: number;
}

/** As long as OpenAI keeps them, and what a disk does not notice. */
const BOUNDS: ResponseStoreBounds = {
  maxCount: 10_000,
  maxBytes: 256 << 20,
  maxAgeS: 30 * 86_400,
};
/** When there may be room again. */
const FULL_MS = 30_000;

/**
 * The gateway's database of responses. What was put survives the end of the process, however violent.
 * It holds what was asked and answered, as plain text, where only its owner may read.
 */
export class SqliteResponseStore {
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #bounds: ResponseStoreBounds;
  #count: number;
  #bytes: number;

  /**
   * Opens or makes the database.
   * @throws {LloomError} `in_use` if another process has it, `config_invalid` if it cannot be opened
   */
  constructor(path: string, bounds: Partial<ResponseStoreBounds> = {}) {
    makeFolderOf(path);
    this.#database = openDatabase({
      path,
      migrations: [SCHEMA],
      durability: "normal",
      shared: false,
    });
    this.#statements = prepareAll(this.#database, SQL);
    this.#bounds = { ...BOUNDS, ...bounds };
    const { count, bytes } = this.#statements.totals.get() ?? {};
    this.#count = Number(count);
    this.#bytes = Number(bytes);
  }

  /**
   * Keeps a response, in place of one with the same id.
   * @param nowS Unix seconds
   * @throws {LloomError} `overloaded` if it is new and to be made, and nothing that is over can make room
   */
  put(stored: StoredResponse, nowS: number): void {
    const { id, previousId, createdS, response, input, job, callbackUrl } = stored;
    const bytes = 2 * (response.length + input.length + (job?.length ?? 0));
    this.#transact(() => {
      const isNew = !this.#remove(id);
      this.#statements.insert.run(
        ...[id, previousId ?? null, createdS, response, input],
        ...[job ?? null, callbackUrl ?? null, bytes],
      );
      this.#count++;
      this.#bytes += bytes;
      this.#evict(nowS);
      if (isNew && job !== undefined && this.#bytes > this.#bounds.maxBytes) {
        const message = "keep response: too much is still to be made";
        throw new LloomError("overloaded", message, { retryAfterMs: FULL_MS });
      }
    });
  }

  /** A response; undefined if there is none. */
  get(id: string): StoredResponse | undefined {
    const row = this.#statements.get.get(id);
    return row === undefined ? undefined : toStored(row);
  }

  /** Forgets a response. @returns whether there was one */
  delete(id: string): boolean {
    return this.#remove(id);
  }

  /** Ids of the responses that are still to be made, or told of, the oldest first. */
  unfinished(): readonly string[] {
    return this.#statements.unfinished.all().map(({ id }) => String(id));
  }

  /** Closes the database. */
  close(): void {
    this.#database.close();
  }

  #remove(id: string): boolean {
    const row = this.#statements.remove.get(id);
    if (row === undefined) return false;
    this.#count--;
    this.#bytes -= Number(row["bytes"]);
    return true;
  }

  #evict(nowS: number): void {
    const { maxCount, maxBytes, maxAgeS } = this.#bounds;
    for (let row; (row = this.#statements.oldest.get()) !== undefined;) {
      const isOld = Number(row["created_s"]) < nowS - maxAgeS;
      if (!isOld && this.#count <= maxCount && this.#bytes <= maxBytes) break;
      this.#remove(String(row["id"]));
    }
  }

  #transact(change: () => void): void {
    const before = { count: this.#count, bytes: this.#bytes };
    try {
      transact(this.#database, change);
    } catch (error) {
      this.#count = before.count;
      this.#bytes = before.bytes;
      throw error;
    }
  }
}

const SQL = {
  totals: "SELECT count(*) AS count, ifnull(sum(bytes), 0) AS bytes FROM response",
  insert: `INSERT INTO response
    (id, previous_id, created_s, response, input, job, callback_url, bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  get: "SELECT * FROM response WHERE id = ?",
  remove: "DELETE FROM response WHERE id = ? RETURNING bytes",
  unfinished: `SELECT id FROM response WHERE job IS NOT NULL OR callback_url IS NOT NULL
    ORDER BY created_s`,
  oldest: `SELECT id, created_s FROM response WHERE job IS NULL AND callback_url IS NULL
    ORDER BY created_s LIMIT 1`,
};

function toStored(row: Record<string, unknown>): StoredResponse {
  const { id, previous_id: previousId, created_s: createdS, response, input, job } = row as {
    id: string;
    previous_id: string | null;
    created_s: number;
    response: string;
    input: string;
    job: string | null;
  };
  const callbackUrl = row["callback_url"] as string | null;
  return {
    ...{ id, createdS, response, input },
    ...(previousId !== null && { previousId }),
    ...(job !== null && { job }),
    ...(callbackUrl !== null && { callbackUrl }),
  };
}
