/** Responses that are made while nobody waits. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import type { StoredResponse } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { setTimeout as wait } from "node:timers/promises";
import { postCallback } from "../../callback.ts";
import type { Engine } from "../answer.ts";
import { errorForm } from "../error_forms.ts";
import {
  BACKGROUND_RETRIES_MS,
  MAX_BACKGROUND_RUNNING,
  MAX_BACKGROUND_STARTS,
  MAX_BACKGROUND_UNFINISHED,
  MAX_BACKGROUND_WAIT_MS,
} from "../limits.ts";
import { lloomField } from "../lloom_field.ts";
import { nowS } from "../stamp.ts";
import { readWishes } from "../wishes.ts";
import { ResponseEvents } from "./response_events.ts";
import type { Routing } from "./response_request.ts";
import { responseOf, type ResponseStore } from "./response_store.ts";
import type { ResponseObject } from "./response_types.ts";

const log = getLogger(["lloom", "gateway"]);

/** How a response is to be made: plain data, so that it can be taken up after a crash. */
export interface BackgroundJob {
  /** The chat request. */
  readonly chat: JsonObject;
  /** The request's headers `x-lloom-*`, which say how it is routed. */
  readonly headers: readonly (readonly [string, string])[];
  /** What its body says of its routing. */
  readonly routing: Routing;
  /** Whether thoughts are to be shown as summaries. */
  readonly summarize: boolean;
  /** Processes that have begun to make it. @default 0 */
  readonly starts?: number;
}

/** What background responses are made with. */
export interface BackgroundOptions {
  /** Answers. */
  readonly engine: Engine;
  /** Keeps what is to be made, and what came of it. */
  readonly store: ResponseStore;
  /** Tells somebody that a response is over. @default {@linkcode postCallback} */
  readonly tell?: typeof postCallback;
  /** Waits before something is tried again, in milliseconds. @default {@linkcode BACKGROUND_RETRIES_MS} */
  readonly retriesMs?: readonly number[];
  /** Responses made at once. @default {@linkcode MAX_BACKGROUND_RUNNING} */
  readonly maxRunning?: number;
}

/** Failures of a moment, before anybody was paid. */
const PASSING: ReadonlySet<string> = new Set([
  ...["no_executor", "overloaded", "rate_limited", "peer_unreachable", "chain_unavailable"],
  "shutting_down",
]);

/**
 * Makes responses in the background, some at once, the others in their order. One that was accepted is
 * on disk, and is made again after a crash, some times: what an executor had delivered of it by then was
 * paid for.
 */
export class BackgroundResponses {
  readonly #options: Required<BackgroundOptions>;
  readonly #waiting: string[] = [];
  readonly #running = new Map<string, { readonly abort: AbortController; done: Promise<void> }>();
  readonly #stopping = new AbortController();

  /** Nothing is made before {@linkcode BackgroundResponses.resume}. */
  constructor(options: BackgroundOptions) {
    this.#options = {
      tell: postCallback,
      retriesMs: BACKGROUND_RETRIES_MS,
      maxRunning: MAX_BACKGROUND_RUNNING,
      ...options,
    };
  }

  /** Takes up what an earlier process left unfinished. */
  resume(): void {
    const left = this.#options.store.unfinished().filter((id) =>
      !this.#waiting.includes(id) && !this.#running.has(id)
    );
    if (left.length > 0) log.info("take up {count} background responses", { count: left.length });
    this.#waiting.push(...left);
    this.#next();
  }

  /**
   * Accepts a response: once this returns, it will be made.
   * @throws {LloomError} `overloaded` if too many are unfinished, `shutting_down`
   */
  add(stored: Omit<StoredResponse, "job">, job: BackgroundJob): void {
    if (this.#stopping.signal.aborted) {
      throw new LloomError("shutting_down", "accept response: the gateway stops");
    }
    const unfinished = this.#waiting.length + this.#running.size;
    if (unfinished >= MAX_BACKGROUND_UNFINISHED) {
      const message = `accept response: ${unfinished} are still to be made`;
      throw new LloomError("overloaded", message, { retryAfterMs: 30_000 });
    }
    this.#put({ ...stored, job: JSON.stringify(job) });
    this.#waiting.push(stored.id);
    this.#next();
  }

  /** Whether a response is being made now. */
  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  /**
   * Ends a response, and has whoever wanted to be told of it told. One that is over stays as it is.
   * @returns it; undefined if it is not kept
   */
  async cancel(id: string): Promise<ResponseObject | undefined> {
    const at = this.#waiting.indexOf(id);
    if (at >= 0) this.#waiting.splice(at, 1);
    const running = this.#running.get(id);
    running?.abort.abort();
    await running?.done;
    const stored = this.#options.store.get(id);
    if (stored === undefined) return undefined;
    const { job, ...over } = stored;
    const response = responseOf(stored);
    const ended: ResponseObject = job === undefined
      ? response
      : { ...response, status: "cancelled" };
    if (job !== undefined) this.#put({ ...over, response: JSON.stringify(ended) });
    // Another may have cancelled it at the same time.
    const isTaken = this.#waiting.includes(id) || this.#running.has(id);
    if (stored.callbackUrl !== undefined && !isTaken) this.#waiting.unshift(id);
    this.#next();
    return ended;
  }

  /** Stops, before the engine does; what is unfinished is taken up by the next process. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const { abort } of this.#running.values()) abort.abort();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  #next(): void {
    while (this.#running.size < this.#options.maxRunning && !this.#stopping.signal.aborted) {
      const id = this.#waiting.shift();
      if (id === undefined) return;
      const abort = new AbortController();
      const done = this.#run(id, abort.signal).catch((error: unknown) => {
        if (!abort.signal.aborted) log.error("make response {id}: {error}", { id, error });
      }).then(() => {
        this.#running.delete(id);
        this.#next();
      });
      this.#running.set(id, { abort, done });
    }
  }

  /** Makes a response if it is still to be made, and tells of it. @throws if the signal aborts */
  async #run(id: string, signal: AbortSignal): Promise<void> {
    let stored = this.#options.store.get(id);
    if (stored?.job !== undefined) {
      const { job: text, ...rest } = stored;
      const job: BackgroundJob = JSON.parse(text);
      const starts = (job.starts ?? 0) + 1;
      this.#put({ ...stored, job: JSON.stringify({ ...job, starts }) });
      const made = starts > MAX_BACKGROUND_STARTS
        ? givenUp(responseOf(stored), job)
        : await this.#make(responseOf(stored), job, signal);
      stored = { ...rest, response: JSON.stringify(made) };
      this.#put(stored);
    }
    if (stored?.callbackUrl === undefined) return;
    const { callbackUrl, ...told } = stored;
    await this.#tell(callbackUrl, responseOf(stored), signal);
    // It may have been deleted meanwhile.
    if (this.#options.store.get(id) !== undefined) this.#put(told);
  }

  async #tell(url: string, response: ResponseObject, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.tell(url, response, signal, this.#options.retriesMs);
    } catch (error) {
      signal.throwIfAborted();
      const { message } = LloomError.wrap(error);
      log.warn("tell of response {id}: {message}; given up", { id: response.id, message });
    }
  }

  async #make(
    response: ResponseObject,
    job: BackgroundJob,
    signal: AbortSignal,
  ): Promise<ResponseObject> {
    for (let attempt = 0;; attempt++) {
      const events = new ResponseEvents(response, job.summarize);
      try {
        await this.#ask(events, job, signal);
        return events.response;
      } catch (thrown) {
        signal.throwIfAborted();
        const error = LloomError.wrap(thrown);
        // Of what an executor delivered it was paid, and the code is its own to choose.
        const mayPass = PASSING.has(error.code) && !events.begun;
        const waitMs = mayPass ? this.#options.retriesMs[attempt] : undefined;
        if (waitMs === undefined) {
          events.fail(errorForm(error));
          return events.response;
        }
        const asked = Math.min(error.retryAfterMs ?? 0, MAX_BACKGROUND_WAIT_MS);
        await wait(Math.max(waitMs, asked), undefined, { signal });
      }
    }
  }

  async #ask(events: ResponseEvents, job: BackgroundJob, signal: AbortSignal): Promise<void> {
    const headers = new Headers(job.headers.map(([name, value]) => [name, value]));
    const wishes = readWishes(headers, job.routing.provider, job.routing.promptCacheKey);
    const ask = { api: "responses", request: job.chat, wishes, signal } as const;
    const answer = await this.#options.engine.ask(ask);
    for await (const piece of answer.pieces()) {
      if (piece.type === "lines") {
        for (const { value } of piece.lines) events.line(value);
      } else if (piece.type === "end") events.end(piece.end, lloomField(piece.end), nowS());
    }
  }

  #put(stored: StoredResponse): void {
    this.#options.store.put(stored, nowS());
  }
}

/** A response that may be what its processes ended of. */
function givenUp(response: ResponseObject, { summarize }: BackgroundJob): ResponseObject {
  const events = new ResponseEvents(response, summarize);
  const message = `make response: ${MAX_BACKGROUND_STARTS} processes ended before it did`;
  events.fail(errorForm(new LloomError("worker_crashed", message)));
  return events.response;
}
