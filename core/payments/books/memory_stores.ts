/** Stores in memory, whose last changes can be lost as on a machine that loses power. @module */
import { LloomError } from "../../errors.ts";
import type { Keccak256 } from "../../signing/encode.ts";
import type { BuyerStore, SellerStore } from "../stores.ts";
import { createBuyerBook } from "./buyer_book.ts";
import { Journal } from "./journal.ts";
import { memoryBuyerTables, memorySellerTables } from "./memory_tables.ts";
import {
  type Book,
  BUYER_OPERATIONS,
  createStore,
  operate,
  type Operations,
  SELLER_OPERATIONS,
} from "./operations.ts";
import { createSellerBook } from "./seller_book.ts";

/** What can happen to a machine. */
export interface Crashable {
  /**
   * Loses what was not synced. Operations under way fail as `worker_crashed`; later ones find what
   * is left.
   */
  crash(): void;
}

/** A client's account in memory. @param sync resolves once all that was done before it is on disk */
export function createMemoryBuyerStore(
  keccak256: Keccak256,
  sync?: () => Promise<void>,
): BuyerStore & Crashable {
  const journal = new Journal();
  const book = createBuyerBook(memoryBuyerTables(journal), keccak256);
  return createMemoryStore(journal, book, BUYER_OPERATIONS, sync);
}

/** An executor's account in memory. @param sync resolves once all that was done before it is on disk */
export function createMemorySellerStore(
  keccak256: Keccak256,
  sync?: () => Promise<void>,
): SellerStore & Crashable {
  const journal = new Journal();
  const book = createSellerBook(memorySellerTables(journal), keccak256);
  return createMemoryStore(journal, book, SELLER_OPERATIONS, sync);
}

function createMemoryStore<S extends object>(
  journal: Journal,
  book: Book<S>,
  operations: Operations<S>,
  sync: () => Promise<void> = () => Promise.resolve(),
): S & Crashable {
  let crashes = 0;
  const store = createStore<S>(operations, async (name, args) => {
    const result = journal.atomically(() => operate(book, name, args));
    const { size } = journal;
    const before = crashes;
    await sync();
    if (crashes !== before) throw new LloomError("worker_crashed", "use ledger: it crashed");
    journal.keep(size);
    return result;
  });
  return Object.assign(store, {
    crash(): void {
      crashes++;
      journal.undo();
    },
  });
}
