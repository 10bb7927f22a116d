/**
 * Calls into a few Web Workers: a bounded queue in front, several calls in flight per worker so that
 * none waits for a round trip, and a new worker for one that crashed. The other end is `serve.ts`.
 * @module
 */
import { LloomError } from "@lloom/core/errors";
import { getLogger } from "@logtape/logtape";
import { type Reply, revive } from "./serve.ts";

const log = getLogger(["lloom", "workers"]);

/** What a pool's workers can be asked: names and functions. */
export type Methods<M> = { readonly [K in keyof M]: (...args: never[]) => unknown };

/** Options of a {@linkcode WorkerPool}. */
export interface WorkerPoolOptions {
  /** For logs and error messages. */
  readonly name: string;
  /** The most workers. One more is started whenever all are full and calls wait. */
  readonly size: number;
  /** Sent to each worker once, before anything else. */
  readonly init: unknown;
  /** Calls in flight per worker. @default 8 */
  readonly callsPerWorker?: number;
  /** Calls that may wait for a worker; one more is refused as `overloaded`. @default 512 */
  readonly maxQueue?: number;
  /** The least time between two starts of the same worker. @default 1000 */
  readonly restartIntervalMs?: number;
  /** What `overloaded` tells the caller: about the time in which a full queue drains. @default 200 */
  readonly retryAfterMs?: number;
}

/** How busy a pool is. */
export interface PoolLoad {
  /** Calls that wait for a worker. */
  readonly queued: number;
  /** Calls inside workers. */
  readonly running: number;
  /** Workers that are up. */
  readonly workers: number;
}

interface Call {
  readonly message: readonly [id: number, method: string, args: readonly unknown[]];
  readonly transfer: Transferable[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/** The place of one worker, which is empty before its first start and after a crash. */
interface Slot {
  worker?: Worker;
  /** Whether the worker has taken `init`. */
  ready: boolean;
  /** On the clock of `performance.now()`. */
  notBefore: number;
  readonly calls: Map<number, Call>;
}

/**
 * A pool of equal workers that answer the methods `M`. A started worker keeps the process alive
 * until {@linkcode WorkerPool.stop}.
 */
export class WorkerPool<M extends Methods<M>> {
  readonly #options: Required<WorkerPoolOptions>;
  readonly #startWorker: () => Worker;
  readonly #slots: readonly Slot[];
  /** First in, first out. A set, whose first element leaves as fast as its last. */
  readonly #queue = new Set<Call>();
  #nextId = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  /**
   * A pool without workers yet.
   * @param startWorker makes a worker whose module calls `serve`
   */
  constructor(options: WorkerPoolOptions, startWorker: () => Worker) {
    if (!Number.isInteger(options.size) || options.size < 1) {
      throw new RangeError("create worker pool: size must be 1 or more");
    }
    this.#options = {
      callsPerWorker: 8,
      maxQueue: 512,
      restartIntervalMs: 1000,
      retryAfterMs: 200,
      ...options,
    };
    this.#startWorker = startWorker;
    this.#slots = Array.from(
      { length: options.size },
      () => ({ ready: false, notBefore: 0, calls: new Map() }),
    );
  }

  /** Starts the first worker without waiting for it. Needless, but saves the first call that time. */
  start(): void {
    if (!this.#stopped) this.#grow();
  }

  /** Whether a call made now would be accepted. */
  canAcceptWork(): boolean {
    return !this.#stopped && this.#queue.size < this.#options.maxQueue;
  }

  /** How busy the pool is now. */
  load(): PoolLoad {
    let running = 0;
    let workers = 0;
    for (const slot of this.#slots) {
      running += slot.calls.size;
      if (slot.ready) workers++;
    }
    return { queued: this.#queue.size, running, workers };
  }

  /**
   * Calls a method in the worker with the fewest calls in flight. Rejects with what the method
   * throws, or with a `LloomError`: `overloaded`, `worker_crashed`, `shutting_down`.
   * @param transfer buffers among the arguments to hand over instead of copying
   */
  call<K extends keyof M & string>(
    method: K,
    args: Parameters<M[K]>,
    transfer: readonly Transferable[] = [],
  ): Promise<Awaited<ReturnType<M[K]>>> {
    const { name, retryAfterMs } = this.#options;
    return new Promise<unknown>((resolve, reject) => {
      if (this.#stopped) throw new LloomError("shutting_down", `call ${name}: stopped`);
      if (!this.canAcceptWork()) {
        const state = `call ${name}: ${this.#queue.size} waiting`;
        throw new LloomError("overloaded", state, { retryAfterMs });
      }
      const message = [this.#nextId++, method, args] as const;
      this.#queue.add({ message, transfer: [...transfer], resolve, reject });
      this.#dispatch();
    }) as Promise<Awaited<ReturnType<M[K]>>>;
  }

  /** Ends all workers at once. Calls under way, and later ones, fail as `shutting_down`. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const error = new LloomError("shutting_down", `call ${this.#options.name}: stopped`);
    for (const slot of this.#slots) this.#empty(slot, error);
    this.#failQueue(error);
  }

  #dispatch(): void {
    for (const call of this.#queue) {
      let best: Slot | undefined;
      for (const slot of this.#slots) {
        const free = slot.ready && slot.calls.size < this.#options.callsPerWorker;
        if (free && (best === undefined || slot.calls.size < best.calls.size)) best = slot;
      }
      if (best === undefined) return this.#grow();
      this.#queue.delete(call);
      try {
        best.worker!.postMessage(call.message, call.transfer);
        best.calls.set(call.message[0], call);
      } catch (error) {
        call.reject(error); // arguments that cannot be cloned: the caller's mistake
      }
    }
  }

  /** Starts one worker more, unless one is starting; later, if the empty slots must wait. */
  #grow(): void {
    if (this.#timer !== undefined) return;
    let next: Slot | undefined;
    for (const slot of this.#slots) {
      if (slot.worker === undefined) {
        if (next === undefined || slot.notBefore < next.notBefore) next = slot;
      } else if (!slot.ready) return;
    }
    if (next === undefined) return;
    const wait = next.notBefore - performance.now();
    if (wait <= 0) return this.#fill(next);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#queue.size > 0) this.#grow();
    }, wait);
  }

  #fill(slot: Slot): void {
    slot.notBefore = performance.now() + this.#options.restartIntervalMs;
    let worker: Worker;
    try {
      worker = this.#startWorker();
    } catch (error) {
      return this.#crashed(slot, LloomError.wrap(error).message);
    }
    slot.worker = worker;
    // An ended worker may still have messages under way.
    const current = (): boolean => slot.worker === worker;
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (current()) this.#received(slot, data);
    };
    worker.onmessageerror = () => {
      if (current()) this.#crashed(slot, "reply cannot be read");
    };
    worker.onerror = (event) => {
      event.preventDefault(); // else the error ends this process too
      if (current()) this.#crashed(slot, event.message);
    };
    worker.postMessage(this.#options.init);
  }

  #received(slot: Slot, reply: Reply): void {
    if (reply === "ready") {
      slot.ready = true;
    } else {
      const call = slot.calls.get(reply.id);
      slot.calls.delete(reply.id);
      if ("thrown" in reply) call?.reject(revive(reply.thrown));
      else call?.resolve(reply.result);
    }
    this.#dispatch();
  }

  #crashed(slot: Slot, message: string): void {
    const { name } = this.#options;
    const whileStarting = !slot.ready;
    log.error("worker crashed", { pool: name, calls: slot.calls.size, whileStarting });
    log.debug("worker crashed: {message}", { pool: name, message });
    const error = new LloomError("worker_crashed", `call ${name}: worker crashed`);
    this.#empty(slot, error);
    // A worker that cannot even start may never do so: nobody should wait for it.
    if (whileStarting && !this.#slots.some(({ ready }) => ready)) this.#failQueue(error);
    this.#dispatch();
  }

  #empty(slot: Slot, error: LloomError): void {
    slot.worker?.terminate();
    delete slot.worker;
    slot.ready = false;
    const calls = [...slot.calls.values()];
    slot.calls.clear();
    for (const call of calls) call.reject(error);
  }

  #failQueue(error: LloomError): void {
    const calls = [...this.#queue];
    this.#queue.clear();
    for (const call of calls) call.reject(error);
  }
}
