/**
 * A store is its book's operations, called one by one: at once in memory, or in a worker with a
 * database. Here is what lies between.
 * @module
 */
import type { BuyerStore, SellerStore } from "../stores.ts";

/**
 * What an operation does: `read`; `write`; or `late`, which writes what can wait a little for the
 * commit of another.
 */
export type OperationKind = "read" | "write" | "late";

/** The operations of a store `S`, and what each does. */
export type Operations<S> = { readonly [K in keyof S]: OperationKind };

/** The operations of a store `S` as plain functions on what is stored. */
export type Book<S> = {
  readonly [K in keyof S]: S[K] extends (...args: infer A) => Promise<infer R> ? (...args: A) => R
    : never;
};

/** Has one operation done, and resolves once it is on disk. */
export type Perform<S> = (name: keyof S & string, args: readonly unknown[]) => Promise<unknown>;

/** What a client's account can be asked. */
export const BUYER_OPERATIONS: Operations<BuyerStore> = {
  channels: "read",
  addChannel: "write",
  viewChannel: "write",
  reserve: "write",
  sent: "late",
  pay: "write",
  settle: "write",
  dispute: "write",
  abandon: "write",
  disown: "write",
  retire: "write",
  acknowledged: "late",
  recordFree: "late",
  keep: "late",
  history: "read",
  find: "read",
  content: "read",
  proof: "read",
  spentSince: "read",
};

/** What an executor's account can be asked. */
export const SELLER_OPERATIONS: Operations<SellerStore> = {
  recover: "write",
  channel: "read",
  channels: "read",
  addChannel: "write",
  viewChannel: "write",
  admit: "write",
  pay: "write",
  settle: "write",
  close: "write",
  consent: "write",
  redeemable: "read",
  sales: "read",
  earnings: "read",
};

/** A store whose operations are done by `perform`. */
export function createStore<S>(operations: Operations<S>, perform: Perform<S>): S {
  const names = Object.keys(operations) as (keyof S & string)[];
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => perform(name, args)]),
  ) as S;
}

/** Does one operation on a book. */
export function operate<S>(book: Book<S>, name: keyof S, args: readonly unknown[]): unknown {
  const operation: unknown = book[name];
  if (typeof operation !== "function") throw new TypeError("use ledger: no such operation");
  return Reflect.apply(operation, book, args);
}
