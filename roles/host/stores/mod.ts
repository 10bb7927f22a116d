/** What a node keeps on disk. @module */
export * from "./csv_file.ts";
export * from "./database.ts";
export * from "./ledger_stores.ts";
export * from "./sqlite_nonce_store.ts";
export * from "./sqlite_faucet_store.ts";
export * from "./sqlite_outbox_store.ts";
export * from "./sqlite_response_cache.ts";
export * from "./sqlite_response_store.ts";
