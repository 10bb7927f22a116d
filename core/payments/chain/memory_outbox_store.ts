/** Keeps an outbox in memory. @module */
import type { OutboxRecord, OutboxStore } from "./ports.ts";

/** An {@linkcode OutboxStore} for tests and simulations, and for programs that end with their chain. */
export class MemoryOutboxStore implements OutboxStore {
  readonly #records = new Map<string, OutboxRecord>();

  load(): Promise<readonly OutboxRecord[]> {
    return Promise.resolve([...this.#records.values()]);
  }

  write(records: readonly OutboxRecord[], forgotten: readonly string[]): Promise<void> {
    for (const record of records) this.#records.set(record.key, record);
    for (const key of forgotten) this.#records.delete(key);
    return Promise.resolve();
  }
}
