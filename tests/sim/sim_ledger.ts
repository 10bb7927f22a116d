/** A node's account: the real books, on tables that a power cut takes back to what was synced. @module */
import {
  type Book,
  BUYER_OPERATIONS,
  type BuyerStore,
  createBuyerBook,
  createSellerBook,
  createStore,
  operate,
  type Operations,
  SELLER_OPERATIONS,
  type SellerStore,
} from "@lloom/core/payments";
import type { OutboxRecord, OutboxStore } from "@lloom/core/payments/chain";
import { Journal } from "../../core/payments/books/journal.ts";
import { memoryBuyerTables, memorySellerTables } from "../../core/payments/books/memory_tables.ts";
import { keccak256 } from "./fake_primitives.ts";
import { DELAYS, type Life, type Scheduler } from "./scheduler.ts";

/** Told of every operation. */
export interface LedgerObserver<S> {
  /** It was done, and is not on disk. */
  changed(book: Book<S>): void;
  /** It is on disk, and about to be answered. */
  stored(name: string, args: readonly unknown[], result: unknown): void;
}

/** A ledger and its disk, which outlive their process. */
export interface SimLedger<S> {
  readonly book: Book<S>;
  /** The store, for one life of its node. */
  open(life: Life): S;
  /** Loses what is not synced. */
  crash(): void;
}

export function createBuyerLedger(
  scheduler: Scheduler,
  observer: LedgerObserver<BuyerStore>,
): SimLedger<BuyerStore> {
  const journal = new Journal();
  const book = createBuyerBook(memoryBuyerTables(journal), keccak256);
  return createLedger(scheduler, journal, book, BUYER_OPERATIONS, observer);
}

export function createSellerLedger(
  scheduler: Scheduler,
  observer: LedgerObserver<SellerStore>,
): SimLedger<SellerStore> {
  const journal = new Journal();
  const book = createSellerBook(memorySellerTables(journal), keccak256);
  return createLedger(scheduler, journal, book, SELLER_OPERATIONS, observer);
}

function createLedger<S>(
  scheduler: Scheduler,
  journal: Journal,
  book: Book<S>,
  operations: Operations<S>,
  observer: LedgerObserver<S>,
): SimLedger<S> {
  return {
    book,
    open: (life) =>
      createStore(operations, async (name, args) => {
        const result = journal.atomically(() => operate(book, name, args));
        const { size } = journal;
        const isRead = operations[name] === "read";
        if (!isRead) observer.changed(book);
        await scheduler.wait(life, DELAYS.sync, `ledger: ${name}`);
        // What an answer may rest on is on disk too.
        journal.keep(size);
        if (!isRead) observer.stored(name, args, result);
        return result;
      }),
    crash: () => journal.undo(),
  };
}

/** An outbox's records on a disk. */
export class SimOutboxDisk {
  readonly #records = new Map<string, OutboxRecord>();
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** The store, for one life of its node: a write under way when that ends never happened. */
  open(life: Life): OutboxStore {
    let last = Promise.resolve();
    return {
      load: async () => {
        await this.#scheduler.wait(life, DELAYS.sync, "outbox: load");
        return [...this.#records.values()];
      },
      write: (records, forgotten) => {
        last = last.then(async () => {
          await this.#scheduler.wait(life, DELAYS.sync, "outbox: write");
          for (const record of records) this.#records.set(record.key, record);
          for (const key of forgotten) this.#records.delete(key);
        });
        return last;
      },
    };
  }
}
