/**
 * The registry protocol `/lloom/registry/2.0.0`: on one stream, any number of times in sequence,
 * a query from the client and an answer from the registry.
 * @module
 */
export * from "./answer.ts";
export * from "./query.ts";
