/** Both ends of a request as state machines without I/O, and the terms they hold each other to. @module */
export * from "./client_events.ts";
export * from "./client_session.ts";
export * from "./delivery.ts";
export * from "./executor_events.ts";
export * from "./executor_session.ts";
export * from "./memory_nonce_store.ts";
export * from "./meter.ts";
export * from "./request_draft.ts";
export * from "./terms.ts";
