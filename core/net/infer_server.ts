/**
 * The executor's side of `/lloom/llm/2.0.0`: reads requests from a stream, one after the other,
 * admits them, and serves each.
 * @module
 */
import type { Address } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import type { MessageStream } from "../ports.ts";
import { decodeClientFrame, encodeReject, type OpenFrame } from "../protocol/infer/mod.ts";
import { UNCOUNTED_MESSAGE_BYTES } from "../protocol/limits.ts";
import type { ExecutorSessionOptions } from "../session/executor_events.ts";
import { checkTerms, type Terms } from "../session/terms.ts";
import { type ByteAccount, type ByteBudget, INBOUND_BUDGET } from "./byte_budget.ts";
import { IdleTimer } from "./idle_timer.ts";
import { Serving, type ServingComponents } from "./serving.ts";

/** Limits of an {@linkcode InferServer}. */
export interface InferServerOptions extends ExecutorSessionOptions {
  /** Requests under way at once, those that wait for a backend among them. @default 1024 */
  readonly maxRequests?: number;
}

/** What an {@linkcode InferServer} works with. */
export interface InferServerComponents extends ServingComponents {
  /** What a request must meet. */
  readonly terms: Terms;
  /** What large requests are counted in while they are served. @default what this process' nodes share */
  readonly budget?: ByteBudget;
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
        if (frame.type === "voucher") {
          if (current === undefined || current.over) {
            throw new LloomError("protocol_violation", "read request: nothing is to be paid");
          }
          // What comes next waits, so that a request that follows its payment finds the stream free.
          await current.take(frame);
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
    const { clock, terms, cashier } = this.#components;
    const nowMs = clock.now();
    const refused = this.#stopping
      ? SHUTTING_DOWN
      : !hasRoom || this.#running.size > this.#maxRequests || ofClient > this.#maxPerClient
      ? OVERLOADED
      : checkTerms(open, client, terms, cashier?.terms, nowMs);
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
