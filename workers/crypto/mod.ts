/** Signing and checking off the main isolate. @module */
export * from "./crypto_workers.ts";
