/** The outbox at work: carries out what its machine decides. @module */
import { getLogger } from "@logtape/logtape";
import type { Address, Hash, Hex } from "../../bytes.ts";
import { LloomError } from "../../errors.ts";
import type { Clock } from "../../ports.ts";
import type { Observation, OutboxEffect, OutboxEvent, OutboxOptions } from "./outbox_events.ts";
import { OutboxMachine } from "./outbox_machine.ts";
import type {
  Call,
  Confirmation,
  Intent,
  IntentStatus,
  Outbox,
  OutboxRecord,
  OutboxStore,
} from "./ports.ts";
import type { TransactionSigner } from "./transaction.ts";

const log = getLogger(["lloom", "outbox"]);

/** What an outbox needs of a chain. */
export interface TransactionChannel {
  /** Between two looks at the chain, in milliseconds. */
  readonly pollMs: number;
  /** Blocks after which something counts as final. */
  readonly confirmations: number;
  /**
   * Looks at an account and its transactions, all through one endpoint.
   * @param turn which, counted from the preferred one on and round
   */
  observe(account: Address, transactions: readonly Hash[], turn: number): Promise<Observation>;
  /**
   * Units of gas for a call, with a margin.
   * @throws {LloomError} `transaction_failed` or `insufficient_funds` if it would fail
   */
  estimateGas(call: Call, from: Address): Promise<bigint>;
  /** Hands a transaction to the chain. @throws {LloomError} if no endpoint takes it */
  broadcast(raw: Hex): Promise<void>;
}

/** What an outbox is made of. */
export interface OutboxComponents {
  /** The chain. */
  readonly chain: TransactionChannel;
  /** Keeps it across restarts. */
  readonly store: OutboxStore;
  /** Signs for the account. */
  readonly signer: TransactionSigner;
  /** Time. */
  readonly clock: Clock;
}

/** Opens the outbox of an account, and goes on with what was not final. */
export async function openOutbox(
  options: Omit<OutboxOptions, "confirmations">,
  components: OutboxComponents,
): Promise<Outbox> {
  const { store, chain, signer } = components;
  const { confirmations } = chain;
  const machine = new OutboxMachine(await store.load(), { ...options, confirmations }, signer);
  return new RunningOutbox(machine, components);
}

class RunningOutbox implements Outbox {
  readonly account: Address;
  readonly #machine: OutboxMachine;
  readonly #components: OutboxComponents;
  readonly #submitting = new Map<string, PromiseWithResolvers<void>[]>();
  readonly #awaiting = new Map<string, Set<(outcome: OutboxRecord | LloomError) => void>>();
  readonly #tasks = new Set<Promise<void>>();
  #events: OutboxEvent[] = [];
  /** Looks in a row that were doubted: each is another endpoint's turn. */
  #turn = 0;
  #looking: Promise<void> | undefined;
  #disarm: (() => void) | undefined;
  #stopped: LloomError | undefined;

  constructor(machine: OutboxMachine, components: OutboxComponents) {
    this.#machine = machine;
    this.#components = components;
    this.account = components.signer.account;
    this.#look();
  }

  async submit(intent: Intent): Promise<void> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const done = Promise.withResolvers<void>();
    const others = this.#submitting.get(intent.key);
    if (others === undefined) this.#submitting.set(intent.key, [done]);
    else others.push(done);
    this.#handle({ type: "submit", intent });
    await done.promise;
  }

  async confirmed(key: string, signal?: AbortSignal): Promise<Confirmation> {
    signal?.throwIfAborted();
    if (this.#stopped !== undefined) throw this.#stopped;
    const outcome = Promise.withResolvers<OutboxRecord | LloomError>();
    const waiters = this.#awaiting.get(key) ?? new Set();
    this.#awaiting.set(key, waiters.add(outcome.resolve));
    const onAbort = () => outcome.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const record = this.#machine.record(key);
      if (record === undefined) {
        throw new LloomError("transaction_failed", "await transaction: it was never submitted");
      }
      if (isOver(record)) return confirmationOf(record);
      return confirmationOf(await outcome.promise);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      waiters.delete(outcome.resolve);
      if (waiters.size === 0) this.#awaiting.delete(key);
    }
  }

  status(key: string): Promise<IntentStatus> {
    const state = this.#machine.record(key)?.state;
    return Promise.resolve(state === "waiting" ? "pending" : state ?? "unknown");
  }

  async stop(): Promise<void> {
    this.#end(new LloomError("shutting_down", "send transaction: the outbox stops"));
    await this.#looking;
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  /** Takes nothing more, and tells all who wait. */
  #end(error: LloomError): void {
    this.#stopped ??= error;
    this.#disarm?.();
    for (const waiters of this.#submitting.values()) {
      for (const { reject } of waiters) reject(this.#stopped);
    }
    this.#submitting.clear();
    for (const waiters of this.#awaiting.values()) {
      for (const resolve of waiters) resolve(this.#stopped);
    }
  }

  /** Events of one turn are handled together, so that their records share a write. */
  #handle(event: OutboxEvent): void {
    if (this.#stopped !== undefined) return;
    if (this.#events.push(event) > 1) return;
    queueMicrotask(() => {
      const events = this.#events;
      this.#events = [];
      if (this.#stopped !== undefined) return;
      const now = this.#components.clock.now();
      this.#apply(events.flatMap((each) => this.#machine.handle(each, now)));
      this.#look();
    });
  }

  #apply(effects: readonly OutboxEffect[]): void {
    const records: OutboxRecord[] = [];
    const forgotten: string[] = [];
    for (const effect of effects) {
      switch (effect.type) {
        case "store":
          records.push(effect.record);
          break;
        case "forget":
          forgotten.push(effect.key);
          break;
        case "estimate":
          this.#start(this.#estimate(effect.record));
          break;
        case "broadcast":
          this.#start(this.#broadcast(effect.raw));
          break;
        case "gap": {
          const { nonce, missing } = effect;
          log.error(
            "transactions wait: nothing has nonce {nonce}, {missing} in all; is the account used elsewhere?",
            { nonce, missing },
          );
          break;
        }
        case "submitted":
          for (const { resolve } of this.#submitting.get(effect.key) ?? []) resolve();
          this.#submitting.delete(effect.key);
          break;
        case "ended":
          for (const resolve of this.#awaiting.get(effect.record.key) ?? []) resolve(effect.record);
          break;
      }
    }
    if (records.length + forgotten.length > 0) this.#start(this.#store(records, forgotten));
  }

  #start(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #store(records: readonly OutboxRecord[], forgotten: readonly string[]): Promise<void> {
    try {
      await this.#components.store.write(records, forgotten);
    } catch (error) {
      // What is not on disk must not be acted on, and what is decided cannot be taken back.
      log.error("the outbox stops: its records cannot be written: {error}", { error });
      return this.#end(LloomError.wrap(error, "internal", "store transaction"));
    }
    for (const { key, revision } of records) this.#handle({ type: "stored", key, revision });
  }

  async #estimate(record: OutboxRecord): Promise<void> {
    const { key } = record;
    try {
      const gas = await this.#components.chain.estimateGas(record, this.account);
      this.#handle({ type: "estimated", key, gas });
    } catch (error) {
      const { code, message } = LloomError.wrap(error);
      const isRefused = code === "transaction_failed" || code === "insufficient_funds";
      if (isRefused) log.warn("{key} is not sent: {message}", { key, message });
      if (isRefused) this.#handle({ type: "refused", key, failure: { code, message } });
      else this.#handle({ type: "unanswered", key });
    }
  }

  async #broadcast(raw: Hex): Promise<void> {
    try {
      await this.#components.chain.broadcast(raw);
    } catch (error) {
      // It is on disk, and broadcast again until the chain has it.
      log.warn("a transaction was not taken: {message}", {
        message: LloomError.wrap(error).message,
      });
    }
  }

  /** Looks at the chain again and again while anything is not final. */
  #look(): void {
    if (this.#looking !== undefined || this.#disarm !== undefined) return; // soon, then
    if (this.#stopped !== undefined || !this.#machine.busy) return;
    this.#looking = this.#observe().finally(() => {
      this.#looking = undefined;
      if (this.#stopped !== undefined) return;
      this.#disarm = this.#components.clock.setTimer(this.#components.chain.pollMs, () => {
        this.#disarm = undefined;
        this.#look();
      });
    });
  }

  async #observe(): Promise<void> {
    const { chain } = this.#components;
    try {
      this.#turn = this.#machine.doubts ? this.#turn + 1 : 0;
      const observation = await chain.observe(this.account, this.#machine.watched, this.#turn);
      this.#handle({ type: "observed", observation });
    } catch (error) {
      log.warn("transactions wait: {message}", { message: LloomError.wrap(error).message });
    }
  }
}

function isOver({ state }: OutboxRecord): boolean {
  return state === "confirmed" || state === "failed";
}

/** @throws {LloomError} why it failed */
function confirmationOf(outcome: OutboxRecord | LloomError): Confirmation {
  if (outcome instanceof LloomError) throw outcome;
  const { state, mined, failure } = outcome;
  if (state === "confirmed" && mined !== undefined) return mined;
  throw failure === undefined
    ? new LloomError("transaction_failed", "await transaction: it is not over")
    : new LloomError(failure.code, failure.message);
}
