/** Which nonce an account's next transaction has. @module */
import type { OutboxRecord } from "./ports.ts";

/** Looks that must agree before a nonce is used that our own records do not lead up to. */
const LOOKS_TO_JUMP = 3;

/** The nonces of those that are pending. */
export function pendingNonces(records: Iterable<OutboxRecord>): Set<number> {
  const nonces = new Set<number>();
  for (const { state, nonce } of records) {
    if (state === "pending" && nonce !== undefined) nonces.add(nonce);
  }
  return nonces;
}

/** Knows the nonces that are free, by what endpoints say and by what we did ourselves. */
export class AccountNonces {
  /** What was believed of endpoints. */
  #told = 0;
  /** What an endpoint tells that our records do not lead up to, and looks in a row that told it. */
  #jump = { nonce: 0, looks: 0 };

  /** Whether what the last look told was believed. */
  get isSure(): boolean {
    return this.#jump.looks === 0;
  }

  /** The lowest nonce that is neither used nor about to be. One that ended in no block counts for nothing. */
  free(records: Iterable<OutboxRecord>): number {
    const all = [...records];
    const pending = pendingNonces(all);
    let free = this.#told;
    for (const { mined, nonce } of all) {
      if (mined !== undefined && nonce !== undefined) free = Math.max(free, nonce + 1);
    }
    while (pending.has(free)) free++;
    return free;
  }

  /** Takes note of an account's nonce as an endpoint has it; a jump is believed once it was told several times. */
  observe(nonce: number, records: Iterable<OutboxRecord>): void {
    const all = [...records];
    const ours = Math.max(this.free(all), ...[...pendingNonces(all)].map((one) => one + 1));
    const before = this.#jump.nonce === nonce ? this.#jump.looks : 0;
    const agreeing = nonce > ours ? before + 1 : 0;
    if (agreeing >= LOOKS_TO_JUMP) this.#told = nonce;
    this.#jump = { nonce, looks: agreeing < LOOKS_TO_JUMP ? agreeing : 0 };
  }

  /** Has what was believed before count no more, if it was higher. */
  lower(nonce: number): void {
    this.#told = Math.min(this.#told, nonce);
  }
}
