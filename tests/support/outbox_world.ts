/** An outbox' decisions with a disk and a chain that misbehave as told. @module */
import { ZERO_ADDRESS } from "@lloom/core/bytes";
import {
  type Intent,
  type OutboxEffect,
  type OutboxEvent,
  OutboxMachine,
  type OutboxRecord,
} from "@lloom/core/payments/chain";
import assert from "node:assert/strict";
import { ModelChain, modelSigner } from "./model_chain.ts";

/** Blocks after which something is final. */
export const CONFIRMATIONS = 3;
const OPTIONS = {
  confirmations: CONFIRMATIONS,
  maxFeePerGas: 1000n,
  replaceAfterMs: 30_000,
  rebroadcastMs: 15_000,
  maxInFlight: 3,
};

/** Why a transaction is refused. */
export const NO_COIN = {
  code: "insufficient_funds",
  message: "send transaction: no coin",
} as const;

export function intentOf(key: string): Intent {
  return { key, to: ZERO_ADDRESS, data: `0x${new TextEncoder().encode(key).toHex()}`, value: 0n };
}

/** What a key's transaction carries: nothing, where it fills a gap. */
function dataOf(key: string): string {
  return key.startsWith("fill:") ? "0x" : intentOf(key).data;
}

/** A machine with a disk that may lose what is not synced, and a chain. */
export class OutboxWorld {
  readonly chain = new ModelChain(CONFIRMATIONS);
  readonly disk = new Map<string, OutboxRecord>();
  readonly acknowledged = new Set<string>();
  readonly ended = new Map<string, OutboxRecord>();
  now = 1_000_000;
  machine = new OutboxMachine([], OPTIONS, modelSigner);
  #unsynced: OutboxRecord[] = [];
  #estimates: OutboxRecord[] = [];

  handle(event: OutboxEvent): void {
    this.#apply(this.machine.handle(event, this.now));
  }

  submit(key: string): void {
    this.handle({ type: "submit", intent: intentOf(key) });
  }

  #apply(effects: readonly OutboxEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "store":
          assertSound(effect.record);
          this.#unsynced.push(effect.record);
          break;
        case "forget":
          this.disk.delete(effect.key);
          break;
        case "estimate":
          this.#estimates.push(effect.record);
          break;
        case "broadcast": {
          const known = [...this.disk.values()].flatMap(({ attempts }) => attempts);
          assert.ok(known.some(({ raw }) => raw === effect.raw), "broadcast before it was on disk");
          this.chain.broadcast(effect.raw);
          break;
        }
        case "submitted":
          assert.notEqual(this.disk.get(effect.key)?.state ?? "failed", "failed", "not on disk");
          this.acknowledged.add(effect.key);
          break;
        case "ended":
          if (effect.record.state === "confirmed") {
            assert.ok(
              this.chain.isFinal(dataOf(effect.record.key)),
              "confirmed before it was final",
            );
          }
          this.ended.set(effect.record.key, effect.record);
          break;
      }
    }
    for (const [data, times] of this.chain.executions()) {
      if (data === "0x") continue; // fills a gap, and is nobody's wish
      assert.ok(times <= 1, `${data} was executed ${times} times`);
    }
  }

  /** The disk takes what is next. */
  sync(): void {
    const record = this.#unsynced.shift();
    if (record === undefined) return;
    this.disk.set(record.key, record);
    this.handle({ type: "stored", key: record.key, revision: record.revision });
  }

  syncAll(): void {
    while (this.#unsynced.length > 0) this.sync();
  }

  /** Somebody answers what a transaction would need, or does not. */
  estimate(answer: "estimated" | "refused" | "unanswered"): void {
    const record = this.#estimates.shift();
    if (record === undefined) return;
    const { key } = record;
    this.handle({ type: answer, key, gas: 1n, failure: NO_COIN });
  }

  observe(behind = 0): void {
    const observation = this.chain.observe(this.machine.watched, behind);
    this.handle({ type: "observed", observation });
  }

  crash(): void {
    this.#unsynced = [];
    this.#estimates = [];
    this.machine = new OutboxMachine([...this.disk.values()], OPTIONS, modelSigner);
  }

  /** Everything works, for a while. */
  settle(rounds = 100): void {
    for (let i = 0; i < rounds && (i < 3 || this.machine.busy); i++) {
      this.now += 10_000;
      this.observe();
      this.syncAll();
      while (this.#estimates.length > 0) this.estimate("estimated");
      this.syncAll();
      this.chain.mine();
    }
  }
}

/** What holds for every record, whatever happened. */
function assertSound({ state, nonce, attempts }: OutboxRecord): void {
  if (state !== "failed") assert.equal(state === "waiting", nonce === undefined);
  for (const [i, attempt] of attempts.entries()) {
    assert.ok(attempt.maxFeePerGas <= OPTIONS.maxFeePerGas);
    assert.ok(attempt.maxPriorityFeePerGas <= attempt.maxFeePerGas);
    const [, one] = JSON.parse(textOf(attempt.raw));
    if (i === attempts.length - 1) assert.equal(one, nonce, "the newest attempt has another nonce");
    const before = attempts[i - 1];
    if (before === undefined || JSON.parse(textOf(before.raw))[1] !== one) continue;
    assert.ok(8n * attempt.maxFeePerGas >= 9n * before.maxFeePerGas);
    assert.ok(8n * attempt.maxPriorityFeePerGas >= 9n * before.maxPriorityFeePerGas);
  }
}

function textOf(raw: string): string {
  return new TextDecoder().decode(Uint8Array.fromHex(raw.slice(2)));
}
