/** What a node keeps on disk. @module */
export * from "./database.ts";
export * from "./sqlite_nonce_store.ts";
export * from "./csv_file.ts";
