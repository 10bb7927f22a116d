/** The accounts of both sides on disk. @module */
import { LloomError } from "@lloom/core/errors";
import {
  BUYER_OPERATIONS,
  type BuyerStore,
  createStore,
  type Operations,
  type Perform,
  SELLER_OPERATIONS,
  type SellerStore,
} from "@lloom/core/payments";
import { WorkerPool } from "@lloom/workers/pool";
import { workerOptions } from "@lloom/workers/sandbox";
import { revive } from "@lloom/workers/serve";
import { makeFolderOf } from "./database.ts";
import type { LedgerKind, Order } from "./ledger.ts";
import type { LedgerInit, LedgerMethods } from "./ledger_task.ts";

/** Where an account is. */
export interface LedgerOptions {
  /** The database's file. */
  readonly path: string;
  /** Whether the worker may touch nothing but that file: see `workerOptions`. */
  readonly sandbox: boolean;
}

/** An account that is open. */
export interface OpenLedger<S> {
  /** Its operations. */
  readonly store: S;
  /** Does what was asked before, and closes the database. Later operations fail as `shutting_down`. */
  close(): Promise<void>;
}

/** Operations that share a commit: some ten milliseconds of work, in which no other process may write. */
const MAX_GROUP = 256;
/** Operations that may wait: what the disk commits in about a second. */
const MAX_WAITING = 8192;
/** How long a late operation waits for another to share its commit. */
const LATE_MS = 100;

/**
 * Opens a client's account. Several processes may have it open at once. Besides what they say, its
 * operations fail as `overloaded` when too much waits, `worker_crashed` (it is not known then whether
 * the operation was done) and `internal` if the disk fails.
 * @throws {LloomError} `config_invalid` if the database cannot be opened
 */
export function openBuyerStore(options: LedgerOptions): Promise<OpenLedger<BuyerStore>> {
  return openStore("buyer", options, BUYER_OPERATIONS);
}

/** Opens an executor's account. As {@linkcode openBuyerStore}; one process alone may serve from it. */
export function openSellerStore(options: LedgerOptions): Promise<OpenLedger<SellerStore>> {
  return openStore("seller", options, SELLER_OPERATIONS);
}

async function openStore<S>(
  kind: LedgerKind,
  { path, sandbox }: LedgerOptions,
  operations: Operations<S>,
): Promise<OpenLedger<S>> {
  makeFolderOf(path);
  const init: LedgerInit = { kind, path };
  const pool = new WorkerPool<LedgerMethods>({ name: "ledger", size: 1, init }, () => {
    const files = ["", "-wal", "-shm", "-journal"].map((suffix) => `${path}${suffix}`);
    const options = workerOptions("lloom-ledger", sandbox, { read: files, write: files });
    return new Worker(new URL("./ledger_task.ts", import.meta.url), options);
  });
  const queue = new LedgerQueue<S>(pool, operations);
  try {
    await pool.call("run", [[]]);
  } catch (error) {
    pool.stop();
    throw error;
  }
  return { store: createStore<S>(operations, queue.perform), close: () => queue.close() };
}

interface Waiting {
  readonly order: Order;
  readonly resolve: (result: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Sends operations to the worker, one group at a time: what is asked while a group is committed makes
 * up the next.
 */
class LedgerQueue<S> {
  readonly #pool: WorkerPool<LedgerMethods>;
  readonly #operations: Operations<S>;
  #waiting: Waiting[] = [];
  /** Whether something waits that is not late. */
  #urgent = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The group under way. */
  #running: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(pool: WorkerPool<LedgerMethods>, operations: Operations<S>) {
    this.#pool = pool;
    this.#operations = operations;
  }

  readonly perform: Perform<S> = (name, args) =>
    new Promise((resolve, reject) => {
      if (this.#closed) throw new LloomError("shutting_down", "use ledger: it is closed");
      if (this.#waiting.length >= MAX_WAITING) {
        throw new LloomError("overloaded", `use ledger: ${MAX_WAITING} operations wait`, {
          retryAfterMs: 1000,
        });
      }
      this.#waiting.push({ order: [name, args], resolve, reject });
      if (this.#operations[name] === "late") {
        this.#timer ??= setTimeout(() => this.#hurry(), LATE_MS);
      } else {
        this.#hurry();
      }
    });

  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#running !== undefined) {
      this.#hurry();
      await this.#running;
    }
    try {
      await this.#pool.call("close", []);
    } finally {
      this.#pool.stop();
    }
  }

  #hurry(): void {
    this.#urgent = true;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // What is asked in the same turn goes along.
    await Promise.resolve();
    while (this.#urgent) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      const group = this.#waiting.slice(0, MAX_GROUP);
      this.#waiting = this.#waiting.slice(MAX_GROUP);
      this.#urgent = this.#waiting.length > 0;
      await this.#commit(group);
    }
    this.#running = undefined;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#pool.call("run", [group.map(({ order }) => order)]);
      for (const [i, outcome] of outcomes.entries()) {
        const { resolve, reject } = group[i]!;
        if ("thrown" in outcome) reject(revive(outcome.thrown));
        else resolve(outcome.result);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
}
