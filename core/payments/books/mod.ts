/** Accounts of both sides on any database, and in memory. @module */
export * from "./buyer_book.ts";
export * from "./memory_stores.ts";
export * from "./operations.ts";
export * from "./seller_book.ts";
export * from "./tables.ts";
