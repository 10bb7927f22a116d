/**
 * A backend in a Web Worker of its own: the main isolate's side. The other end is
 * `inference_task.ts`.
 * @module
 */
import { type ErrorData, LloomError } from "@lloom/core/errors";
import type { Inference, InferenceJob, InferenceRun, InferenceSink } from "@lloom/core/ports";
import { getLogger } from "@logtape/logtape";
import { workerOptions } from "../sandbox.ts";
import { Admission } from "./admission.ts";
import { cutShort } from "./cut_short.ts";
import { FairQueue } from "./fair_queue.ts";
import { type Place, toCutShort } from "./relief.ts";
import type { FromTask, ToTask } from "./messages.ts";
import type { InferenceModel } from "./model_names.ts";
import {
  type InferenceOptions,
  permissionsOf,
  type ResolvedOptions,
  resolveOptions,
} from "./options.ts";

const log = getLogger(["lloom", "inference"]);

/** The wait before another start, after a second crash in a row; it doubles up to the maximum. */
const MIN_RESTART_MS = 500;
const MAX_RESTART_MS = 30_000;
/** How long `stop` waits for the partial receipts of answers in progress. */
const STOP_GRACE_MS = 3000;

/** How busy a backend is. */
export interface InferenceLoad {
  /** Answers in progress. */
  readonly active: number;
  /** Requests that wait for their turn. */
  readonly queued: number;
}

/** A backend's state at one moment. */
export interface Discovery {
  /** Its models, to be announced; empty if it failed. */
  readonly models: readonly InferenceModel[];
  /** Why its models could not be read; absent if it is well. */
  readonly error?: ErrorData;
}

/** What an {@linkcode InferenceWorker} uses; for tests. */
export interface InferenceWorkerComponents {
  /** Starts the worker. @default a worker of `inference_task.ts` */
  readonly createWorker?: () => Worker;
  /** Unix milliseconds. @default Date.now */
  readonly now?: () => number;
}

interface Listing {
  resolve(models: readonly InferenceModel[]): void;
  reject(error: LloomError): void;
}

/** A request on its way: waiting, in the worker, or over. */
interface Run extends Place {
  readonly id: number;
  /** Empty for this node's own. */
  readonly client: string;
  readonly job: InferenceJob;
  readonly sink: InferenceSink;
  state: "queued" | "active" | "over";
  paused: boolean;
  since: number;
  leaving: boolean;
  /**
   * What was delivered, by reference: the receipt of an answer that the worker's crash cuts short
   * covers it. A sink may read its batches, and must not transfer them.
   */
  readonly delivered: Uint8Array[];
}

function startWorker(options: InferenceOptions): Worker {
  const { name, sandbox = false } = options;
  const url = new URL("./inference_task.ts", import.meta.url);
  return new Worker(url, workerOptions(name, sandbox, permissionsOf(options)));
}

/**
 * Runs requests against one backend, off the main isolate, a bounded number at a time. The worker
 * starts on first use, keeps the process alive until {@linkcode InferenceWorker.stop}, and is
 * started anew after a crash.
 *
 * @example
 * ```ts ignore
 * const worker = new InferenceWorker({
 *   name: "local",
 *   kind: "ollama",
 *   endpoint: "http://127.0.0.1:11434",
 * });
 * const { models } = await worker.discover(AbortSignal.timeout(5000));
 * ```
 */
export class InferenceWorker implements Inference {
  readonly #options: ResolvedOptions;
  readonly #createWorker: () => Worker;
  readonly #now: () => number;
  readonly #admission: Admission;
  readonly #queue = new FairQueue<Run>();
  readonly #active = new Map<number, Run>();
  /** Active runs by client. */
  readonly #activeOf = new Map<string, number>();
  /** The next look at whether somebody waits too long. */
  #watch: ReturnType<typeof setTimeout> | undefined;
  readonly #listings = new Map<number, Listing>();
  #worker: Worker | undefined;
  #nextId = 0;
  /** Crashes since the last answer that ended well. */
  #crashes = 0;
  #notBefore = 0;
  #stopped = false;
  #drained: PromiseWithResolvers<void> | undefined;

  /** Checks the settings; the worker starts on first use. @throws {LloomError} `config_invalid` */
  constructor(options: InferenceOptions, components: InferenceWorkerComponents = {}) {
    this.#options = resolveOptions(options);
    this.#createWorker = components.createWorker ?? (() => startWorker(this.#options));
    this.#now = components.now ?? Date.now;
    this.#admission = new Admission(this.#options, this.#now);
  }

  /** The name it was given. */
  get name(): string {
    return this.#options.name;
  }

  /** How busy it is. */
  load(): InferenceLoad {
    return { active: this.#active.size, queued: this.#queue.size };
  }

  /**
   * Asks the backend for its models. A backend that fails is told of in the result.
   * @throws {LloomError} `aborted` or `timeout`, as the signal says
   */
  async discover(signal: AbortSignal): Promise<Discovery> {
    if (signal.aborted) throw LloomError.wrap(signal.reason, "aborted");
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<readonly InferenceModel[]>();
    const abort = (): void => {
      const reason = LloomError.wrap(signal.reason, "aborted");
      this.#worker?.postMessage({ type: "cancel", id, reason: reason.toData() } satisfies ToTask);
      this.#listings.delete(id);
      reject(reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      const worker = this.#start();
      this.#listings.set(id, { resolve, reject });
      worker.postMessage({ type: "models", id } satisfies ToTask);
      return { models: await promise };
    } catch (thrown) {
      if (signal.aborted) throw LloomError.wrap(signal.reason, "aborted");
      const error = LloomError.wrap(thrown);
      return { models: [], error: error.toData() };
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Starts an answer, or lets it wait for its turn. */
  run(job: InferenceJob, sink: InferenceSink): InferenceRun {
    const run: Run = {
      id: this.#nextId++,
      client: job.client ?? "",
      job,
      sink,
      state: "queued",
      paused: false,
      since: this.#now(),
      leaving: false,
      delivered: [],
    };
    try {
      if (this.#stopped) throw new LloomError("shutting_down", "run request: worker stopped");
      this.#admit(run);
      this.#queue.add(run.client, run);
      this.#pump();
    } catch (thrown) {
      this.#failSoon(run, LloomError.wrap(thrown));
    }
    return {
      pause: () => this.#setPaused(run, true),
      resume: () => this.#setPaused(run, false),
      cancel: (reason) => this.#cancel(run, reason),
    };
  }

  /**
   * Ends answers in progress with what they have, refuses those that wait, and ends the worker.
   * An answer whose backend does not end in time ends without it.
   */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const reason = new LloomError("shutting_down", "run request: worker stopped");
    for (const run of [...this.#queue]) this.#cancel(run, reason.toData());
    if (this.#active.size > 0) {
      this.#drained = Promise.withResolvers<void>();
      for (const run of this.#active.values()) this.#cancel(run, reason.toData());
      const timer = setTimeout(this.#drained.resolve, STOP_GRACE_MS);
      await this.#drained.promise;
      clearTimeout(timer);
    }
    this.#abandon(reason);
    this.#keepWatch();
  }

  /** The worker, started if need be. @throws {LloomError} `worker_crashed`, `shutting_down` */
  #start(): Worker {
    if (this.#stopped) throw new LloomError("shutting_down", "start worker: stopped");
    if (this.#worker !== undefined) return this.#worker;
    const waitMs = this.#notBefore - this.#now();
    if (waitMs > 0) {
      throw new LloomError("worker_crashed", "start worker: crashed again and again", {
        retryAfterMs: waitMs,
      });
    }
    const worker = this.#createWorker();
    worker.onmessage = ({ data }: MessageEvent<readonly FromTask[]>) => {
      for (const message of data) this.#receive(message);
    };
    worker.onmessageerror = () => this.#crashed(worker, "a message could not be read");
    worker.onerror = (event) => {
      // Else the error would end this process too.
      event.preventDefault();
      this.#crashed(worker, event.message);
    };
    worker.postMessage({ type: "start", options: this.#options } satisfies ToTask);
    this.#worker = worker;
    return worker;
  }

  /** @throws {LloomError} `overloaded`, `rate_limited` */
  #admit(run: Run): void {
    const queued = this.#queue.size;
    const { maxConcurrent, maxQueue } = this.#options;
    const isFull = queued >= maxQueue && this.#active.size >= maxConcurrent;
    // A client with much in a full queue makes room for one with less.
    const displaced = isFull ? this.#queue.surplus(run.client) : undefined;
    this.#admission.admit(!isFull || displaced !== undefined, queued);
    if (displaced !== undefined) {
      this.#cancel(displaced, this.#admission.overloaded(queued).toData());
    }
  }

  /** Gives waiting requests to the worker while it has room, first to clients with none there. */
  #pump(): void {
    while (this.#active.size < this.#options.maxConcurrent) {
      const run = this.#queue.next((client) => !this.#activeOf.has(client)) ??
        this.#queue.next(() => true);
      if (run === undefined) break;
      try {
        this.#activate(run);
      } catch (thrown) {
        this.#failSoon(run, LloomError.wrap(thrown));
      }
    }
    this.#keepWatch();
  }

  /** While requests wait, looks now and then whether one of them waits too long. */
  #keepWatch(): void {
    if (this.#queue.size === 0) {
      clearTimeout(this.#watch);
      this.#watch = undefined;
    } else {
      this.#watch ??= setTimeout(() => {
        this.#watch = undefined;
        this.#relieve();
        this.#keepWatch();
      }, this.#options.patienceMs / 2);
    }
  }

  /** Makes room for clients that have waited long and are given nothing. */
  #relieve(): void {
    const latest = this.#now() - this.#options.patienceMs;
    for (const run of toCutShort(this.#queue, [...this.#active.values()], latest)) {
      run.leaving = true;
      this.#cancel(run, { code: "overloaded", message: "run request: cut short, as others wait" });
    }
  }

  #activate(run: Run): void {
    const { job, id, client } = run;
    if (BigInt(Math.floor(this.#now() / 1000)) > job.commitment.deadline) {
      throw new LloomError("request_expired", "run request: its deadline passed while it waited");
    }
    const worker = this.#start();
    worker.postMessage({ type: "run", id, job } satisfies ToTask);
    if (run.paused) worker.postMessage({ type: "pause", id } satisfies ToTask);
    run.state = "active";
    run.since = this.#now();
    this.#active.set(id, run);
    this.#activeOf.set(client, (this.#activeOf.get(client) ?? 0) + 1);
  }

  #receive(message: FromTask): void {
    if (message.type === "warn") {
      log.warn("{name}: {message}", { name: this.name, message: message.message });
      return;
    }
    if (message.type === "models") {
      this.#listings.get(message.id)?.resolve(message.models);
      this.#listings.delete(message.id);
      return;
    }
    const run = this.#active.get(message.id);
    if (message.type === "batch") {
      run?.delivered.push(message.lines);
      run?.sink.batch(message.lines, message.tokens);
    } else if (run === undefined) {
      // A listing that failed, or an answer that was given up.
      if (message.type === "fail") {
        this.#listings.get(message.id)?.reject(LloomError.from(message.error));
        this.#listings.delete(message.id);
      }
    } else {
      this.#finish(run);
      if (message.type === "end") run.sink.end(message.end);
      else run.sink.fail(message.error);
    }
  }

  #finish(run: Run): void {
    run.state = "over";
    this.#active.delete(run.id);
    const left = this.#activeOf.get(run.client)! - 1;
    if (left > 0) this.#activeOf.set(run.client, left);
    else this.#activeOf.delete(run.client);
    this.#admission.ended(this.#now() - run.since);
    this.#crashes = 0;
    if (this.#active.size === 0) this.#drained?.resolve();
    this.#pump();
  }

  #setPaused(run: Run, paused: boolean): void {
    if (run.paused === paused) return;
    run.paused = paused;
    if (run.state !== "active") return;
    const type = paused ? "pause" : "resume";
    this.#worker?.postMessage({ type, id: run.id } satisfies ToTask);
  }

  #cancel(run: Run, reason: ErrorData): void {
    if (run.state === "active") {
      this.#worker?.postMessage({ type: "cancel", id: run.id, reason } satisfies ToTask);
    } else if (this.#queue.delete(run.client, run)) {
      this.#failSoon(run, LloomError.from(reason));
    }
  }

  /** Tells the sink after the caller has its run in hand. */
  #failSoon(run: Run, error: LloomError): void {
    run.state = "over";
    queueMicrotask(() => run.sink.fail(error.toData()));
  }

  #crashed(worker: Worker, message: string): void {
    if (worker !== this.#worker) return;
    this.#crashes++;
    // The first one may be one request's fault: start again at once. Then wait longer and longer.
    const waitMs = this.#crashes < 2 ? 0 : MIN_RESTART_MS * 2 ** (this.#crashes - 2);
    this.#notBefore = this.#now() + Math.min(waitMs, MAX_RESTART_MS);
    // The message is the error's own and may quote a peer: not at this level.
    log.error("{name}: the worker crashed ({crashes} in a row)", {
      name: this.name,
      crashes: this.#crashes,
    });
    log.debug("{name}: the worker crashed: {message}", { name: this.name, message });
    this.#abandon(new LloomError("worker_crashed", "run request: the worker crashed"));
    this.#pump();
  }

  /** Ends the worker, and everything that was in it. */
  #abandon(error: LloomError): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const listing of this.#listings.values()) listing.reject(error);
    this.#listings.clear();
    const runs = [...this.#active.values()];
    this.#active.clear();
    this.#activeOf.clear();
    for (const run of runs) run.state = "over";
    for (const { sink, delivered } of runs) {
      if (delivered.length === 0) sink.fail(error.toData());
      else sink.end(cutShort(delivered, error));
    }
  }
}
