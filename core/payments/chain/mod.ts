/**
 * The chain: reading it, following it, and sending transactions. Loads viem: import it where a chain
 * is used, and only then.
 * @module
 */
export * from "./calls.ts";
export * from "./chain.ts";
export * from "./channel_actions.ts";
export * from "./channel_money.ts";
export * from "./memory_outbox_store.ts";
export * from "./outbox.ts";
export * from "./outbox_events.ts";
export * from "./outbox_machine.ts";
export * from "./ports.ts";
export * from "./transaction.ts";
export type { EventSource } from "./watch.ts";
