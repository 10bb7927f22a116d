/**
 * The executor's side of `/lloom/llm/2.0.0`: reads requests from a stream, one after the other,
 * and carries out what {@linkcode ExecutorSession} decides.
 * @module
 */
import type { Address } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import type {
  Clock,
  Inference,
  InferenceRun,
  MessageStream,
  NonceStore,
  SignedResponse,
  Signer,
  Verifier,
} from "../ports.ts";
import {
  decodeClientFrame,
  encodeAccept,
  encodeDelta,
  encodeReceipt,
  encodeReject,
  type OpenFrame,
} from "../protocol/infer/mod.ts";
import {
  type ExecutorEffect,
  type ExecutorEvent,
  ExecutorSession,
  type ExecutorSessionOptions,
  type ExecutorTimer,
} from "../session/executor_session.ts";
import { UNCOUNTED_MESSAGE_BYTES } from "../protocol/limits.ts";
import { checkTerms, type Terms } from "../session/terms.ts";
import { type ByteAccount, type ByteBudget, INBOUND_BUDGET } from "./byte_budget.ts";
import { IdleTimer } from "./idle_timer.ts";

/** Limits of an {@linkcode InferServer}. */
export interface InferServerOptions extends ExecutorSessionOptions {
  /** Requests under way at once, those that wait for a backend among them. @default 1024 */
  readonly maxRequests?: number;
}

/** What an {@linkcode InferServer} works with. */
export interface InferServerComponents {
  /** Times requests. */
  readonly clock: Clock;
  /** Signs receipts. */
  readonly signer: Signer;
  /** Checks requests. */
  readonly verifier: Verifier;
  /** Refuses a request that was served before. */
  readonly nonces: NonceStore;
  /** What a request must meet. */
  readonly terms: Terms;
  /** What serves a model that {@linkcode Terms} offers. */
  readonly inference: (model: string) => Inference | undefined;
  /** What large requests are counted in while they are served. @default what this process' nodes share */
  readonly budget?: ByteBudget;
  /** Told of every request's end. */
  readonly onDone?: (served: ServedRequest) => void;
}

/** How a request ended, for statistics and records. */
export interface ServedRequest {
  /** Its model, as the client named it. */
  readonly model: string;
  /** Who asked; absent if that was not established. */
  readonly client?: Address;
  /** The receipt, if one was signed. */
  readonly response?: SignedResponse;
  /** Why it was refused or cut short; absent if it was not. */
  readonly error?: ErrorData;
  /** From the request's arrival, in milliseconds. */
  readonly durationMs: number;
  /** Until the first delta; absent if there was none. */
  readonly firstDeltaMs?: number;
}

/** Serves inference on any number of streams. */
export class InferServer {
  readonly #components: InferServerComponents;
  readonly #options: InferServerOptions;
  readonly #running = new Set<Serving>();
  /** How many of them by client. */
  readonly #runningOf = new Map<Address, number>();
  readonly #maxRequests: number;
  readonly #maxPerClient: number;
  #stopping = false;

  /** A server without streams yet. */
  constructor(options: InferServerOptions, components: InferServerComponents) {
    this.#options = options;
    this.#components = components;
    this.#maxRequests = options.maxRequests ?? 1024;
    this.#maxPerClient = shareOf(this.#maxRequests);
  }

  /** Requests under way. */
  get active(): number {
    return this.#running.size;
  }

  /**
   * Serves one stream until it ends. Never throws: what a peer does wrong ends its own stream.
   * @param client who is at the other end; what another has signed is refused, so that nobody
   * can use up another's nonces or ask in another's name
   */
  async serve(stream: MessageStream, client: Address): Promise<void> {
    let current: Serving | undefined;
    const idle = new IdleTimer(this.#components.clock, stream);
    const account = (this.#components.budget ?? INBOUND_BUDGET).account(client);
    try {
      for (;;) {
        if (current === undefined || current.over) idle.start();
        const message = await stream.next();
        if (message === undefined) break;
        const frame = decodeClientFrame(message);
        if (frame.type === "cancel") {
          // A cancel that crosses the receipt on its way finds nothing to cancel, and asks nothing.
          current?.dispatch({ type: "cancel" });
          continue;
        }
        if (current !== undefined && !current.over) {
          throw new LloomError("protocol_violation", "read request: one is under way");
        }
        idle.stop();
        current = this.#serveOne(stream, client, frame, account, idle);
      }
      if (current === undefined || current.over) return await stream.close();
      throw new LloomError("aborted", "serve request: the client is gone");
    } catch (thrown) {
      await this.#failStream(stream, current, LloomError.wrap(thrown, "stream_broken"));
    } finally {
      idle.close();
    }
  }

  /** Takes no more requests; gives those under way `graceMs`, then ends them with a partial receipt. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const ended = Promise.all([...this.#running].map((serving) => serving.ended));
    const disarm = this.#components.clock.setTimer(graceMs, () => {
      for (const serving of this.#running) serving.dispatch({ type: "shutdown" });
    });
    await ended;
    disarm();
  }

  #serveOne(
    stream: MessageStream,
    client: Address,
    open: OpenFrame,
    account: ByteAccount,
    idle: IdleTimer,
  ): Serving {
    const serving = new Serving(stream, client, open, this.#options, this.#components);
    const ofClient = (this.#runningOf.get(client) ?? 0) + 1;
    this.#running.add(serving);
    this.#runningOf.set(client, ofClient);
    const { length } = open.body;
    const counted = length > UNCOUNTED_MESSAGE_BYTES ? length : 0;
    const hasRoom = counted === 0 || account.take(counted);
    serving.ended.then(() => {
      if (hasRoom && counted > 0) account.give(counted);
      this.#running.delete(serving);
      const left = this.#runningOf.get(client)! - 1;
      if (left > 0) this.#runningOf.set(client, left);
      else this.#runningOf.delete(client);
      idle.start();
    });
    const nowMs = this.#components.clock.now();
    const refused = this.#stopping
      ? SHUTTING_DOWN
      : !hasRoom || this.#running.size > this.#maxRequests || ofClient > this.#maxPerClient
      ? OVERLOADED
      : checkTerms(open.request.commitment, this.#components.terms, nowMs);
    serving.dispatch({ type: "open", nowMs, ...(refused && { refused }) });
    return serving;
  }

  async #failStream(
    stream: MessageStream,
    current: Serving | undefined,
    error: LloomError,
  ): Promise<void> {
    if (current !== undefined && !current.over) {
      current.dispatch({ type: "cut", error: error.toData() });
      stream.abort(error);
      return;
    }
    // What cannot be read is answered; a stream that is broken is not.
    if (!error.code.startsWith("frame_") && error.code !== "overloaded") return stream.abort(error);
    try {
      stream.send(encodeReject({ error: error.toData() }));
      await stream.close();
    } catch (cause) {
      stream.abort(LloomError.wrap(cause, "stream_broken"));
    }
  }
}

/** One request being served: the shell around an {@linkcode ExecutorSession}. */
class Serving {
  readonly ended: Promise<void>;
  readonly #resolveEnded: () => void;
  readonly #stream: MessageStream;
  readonly #remote: Address;
  readonly #open: OpenFrame;
  readonly #components: InferServerComponents;
  readonly #session: ExecutorSession;
  readonly #timers = new Map<ExecutorTimer, () => void>();
  readonly #events: ExecutorEvent[] = [];
  /** On a clock that only grows, as durations become averages that are announced. */
  readonly #startMs: number;
  #firstDeltaMs: number | undefined;
  #client: Address | undefined;
  #run: InferenceRun | undefined;
  #handling = false;
  #congested = false;

  constructor(
    stream: MessageStream,
    remote: Address,
    open: OpenFrame,
    options: ExecutorSessionOptions,
    components: InferServerComponents,
  ) {
    this.#stream = stream;
    this.#remote = remote;
    this.#open = open;
    this.#components = components;
    this.#session = new ExecutorSession(open, options);
    this.#startMs = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  get over(): boolean {
    return this.#session.over;
  }

  /** Handles an event, after those before it: an effect may cause the next event at once. */
  dispatch(event: ExecutorEvent): void {
    this.#events.push(event);
    if (this.#handling) return;
    this.#handling = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const effect of this.#session.handle(next)) this.#do(effect);
      }
    } finally {
      this.#handling = false;
    }
  }

  #do(effect: ExecutorEffect): void {
    const { verifier, signer, nonces, clock } = this.#components;
    const { request, body, salt } = this.#open;
    switch (effect.type) {
      case "verify":
        return this.#await(
          verifier.verifyRequest(request, body, salt),
          (verified) =>
            verified.client === this.#remote
              ? { type: "verified", ...verified }
              : { type: "refused", error: FOREIGN },
          (error) => ({ type: "refused", error }),
        );
      case "admit": {
        this.#client = effect.client;
        const { nonce, deadline } = request.commitment;
        return this.#await(
          nonces.use(effect.client, nonce, Number(deadline)),
          (isNew) => isNew ? { type: "admitted" } : { type: "refused", error: REPLAYED },
          (error) => ({ type: "refused", error }),
        );
      }
      case "run":
        return this.#start();
      case "pause":
        return this.#run?.pause();
      case "resume":
        return this.#run?.resume();
      case "cancel_run":
        return this.#run?.cancel(effect.reason);
      case "sign":
        return this.#await(
          signer.signResponse(effect.commitment),
          (response) => ({ type: "signed", response }),
          (error) => ({ type: "unsigned", error }),
        );
      case "accept":
        return this.#send(encodeAccept(effect));
      case "delta":
        this.#firstDeltaMs ??= Math.round(performance.now() - this.#startMs);
        return this.#send(encodeDelta(effect));
      case "receipt":
        return this.#send(encodeReceipt(effect));
      case "reject":
        return this.#send(encodeReject(effect));
      case "arm":
        this.#disarm(effect.timer);
        this.#timers.set(
          effect.timer,
          clock.setTimer(effect.ms, () => this.dispatch({ type: "timer", timer: effect.timer })),
        );
        return;
      case "disarm":
        return this.#disarm(effect.timer);
      case "abort":
        return this.#stream.abort(LloomError.from(effect.error));
      case "done":
        this.#components.onDone?.({
          model: request.commitment.model,
          durationMs: Math.round(performance.now() - this.#startMs),
          ...(this.#client !== undefined && { client: this.#client }),
          ...(effect.response && { response: effect.response }),
          ...(effect.error && { error: effect.error }),
          ...(this.#firstDeltaMs !== undefined && { firstDeltaMs: this.#firstDeltaMs }),
        });
        return this.#resolveEnded();
    }
  }

  #start(): void {
    const { clock, inference } = this.#components;
    const { request: { commitment }, body, salt } = this.#open;
    const model = inference(commitment.model);
    if (model === undefined) {
      const message = "answer request: the model went away";
      return this.dispatch({ type: "failed", error: { code: "model_unavailable", message } });
    }
    this.#run = model.run(
      { model: commitment.model, body, commitment, salt, client: this.#remote },
      {
        batch: (lines) => this.dispatch({ type: "batch", lines }),
        end: (end) => this.dispatch({ type: "end", end, nowMs: clock.now() }),
        fail: (error) => this.dispatch({ type: "failed", error }),
      },
    );
  }

  #send(message: Uint8Array): void {
    let free: boolean;
    try {
      free = this.#stream.send(message);
    } catch (thrown) {
      const error = LloomError.wrap(thrown, "stream_broken", "send answer").toData();
      return this.dispatch({ type: "cut", error });
    }
    if (free || this.#congested) return;
    this.#congested = true;
    this.dispatch({ type: "congested" });
    this.#await(
      this.#stream.drained(),
      () => {
        this.#congested = false;
        return { type: "drained" };
      },
      (error) => ({ type: "cut", error }),
    );
  }

  #await<T>(
    promise: Promise<T>,
    resolved: (value: T) => ExecutorEvent,
    rejected: (error: ErrorData) => ExecutorEvent,
  ): void {
    promise.then(
      (value) => this.dispatch(resolved(value)),
      (thrown) => this.dispatch(rejected(LloomError.wrap(thrown).toData())),
    );
  }

  #disarm(timer: ExecutorTimer): void {
    this.#timers.get(timer)?.();
    this.#timers.delete(timer);
  }
}

/**
 * Requests that one client may have under way of all that may be: a quarter, or 64 where that is
 * less, as a program may well ask so many at once; but some are always left to others.
 */
function shareOf(maxRequests: number): number {
  const most = Math.ceil(3 * maxRequests / 4);
  return Math.max(Math.ceil(maxRequests / 4), Math.min(64, most));
}

const SHUTTING_DOWN: ErrorData = {
  code: "shutting_down",
  message: "admit request: this executor is shutting down",
};

const OVERLOADED: ErrorData = {
  code: "overloaded",
  message: "admit request: too many requests are under way",
  retryAfterMs: 1000,
};

const FOREIGN: ErrorData = {
  code: "signer_mismatch",
  message: "admit request: signed by another than the peer that sent it",
};

const REPLAYED: ErrorData = {
  code: "request_replayed",
  message: "admit request: its nonce was used before",
};
