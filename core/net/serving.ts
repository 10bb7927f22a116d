/**
 * One request being served: carries out what {@linkcode ExecutorSession} decides.
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Address, Hash } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import { type Cost, costOf } from "../payments/amounts.ts";
import type { Cashier, Tab, VoucherMessage } from "../payments/ports.ts";
import { estimate } from "../payments/prepay.ts";
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
  encodeAccept,
  encodeDelta,
  encodeDue,
  encodeReceipt,
  encodeReject,
  type OpenFrame,
} from "../protocol/infer/mod.ts";
import type {
  ExecutorEffect,
  ExecutorEvent,
  ExecutorSessionOptions,
  ExecutorTimer,
} from "../session/executor_events.ts";
import { ExecutorSession } from "../session/executor_session.ts";
import type { Terms } from "../session/terms.ts";

const log = getLogger(["lloom", "infer"]);

/** What a {@linkcode Serving} works with. */
export interface ServingComponents {
  /** Times requests. */
  readonly clock: Clock;
  /** Signs receipts. */
  readonly signer: Signer;
  /** Checks requests. */
  readonly verifier: Verifier;
  /** What is asked for a model. */
  readonly terms: Pick<Terms, "offer">;
  /** Refuses a request that was served before. */
  readonly nonces: NonceStore;
  /** What serves a model that is offered. */
  readonly inference: (model: string) => Inference | undefined;
  /** Is paid; without it, only free requests are served. */
  readonly cashier?: Cashier;
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

/** One request being served: the shell around an {@linkcode ExecutorSession}. */
export class Serving {
  /** Resolves once the request is over and reported. */
  readonly ended: Promise<void>;
  readonly #resolveEnded: () => void;
  readonly #stream: MessageStream;
  readonly #remote: Address;
  readonly #open: OpenFrame;
  readonly #components: ServingComponents;
  readonly #session: ExecutorSession;
  readonly #timers = new Map<ExecutorTimer, () => void>();
  readonly #events: ExecutorEvent[] = [];
  /** On a clock that only grows, as durations become averages that are announced. */
  readonly #startMs: number;
  #firstDeltaMs: number | undefined;
  #client: Address | undefined;
  #run: InferenceRun | undefined;
  #tab: Tab | undefined;
  /** Resolves once the last voucher was dealt with. */
  #taken: Promise<void> = Promise.resolve();
  #handling = false;
  #congested = false;

  /** A request that was read, and does nothing before its `open` event. @param remote who sent it */
  constructor(
    stream: MessageStream,
    remote: Address,
    open: OpenFrame,
    options: ExecutorSessionOptions,
    components: ServingComponents,
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

  /** Whether the last frame was sent, or the stream given up. */
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

  /** Takes a voucher. Resolves once it was dealt with: a client's next frame waits for that. */
  async take(voucher: VoucherMessage): Promise<void> {
    this.dispatch({ type: "voucher", voucher });
    await this.#taken;
  }

  #do(effect: ExecutorEffect): void | Promise<void> {
    const { verifier, signer, clock } = this.#components;
    const { request, body, salt, payment } = this.#open;
    switch (effect.type) {
      case "verify":
        return this.#await(
          verifier.verifyRequest(request, body, salt, payment),
          (verified) =>
            verified.client === this.#remote
              ? { type: "verified", ...verified }
              : { type: "refused", error: FOREIGN },
          (error) => ({ type: "refused", error }),
        );
      case "admit":
        this.#client = effect.client;
        return this.#await(
          this.#admit(effect.client, effect.requestHash),
          (admitted) => admitted,
          (error) => ({ type: "refused", error }),
        );
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
          signer.signResponse(effect.commitment, request.commitment.channelId),
          ({ commitment, signature, responseHash }) => ({
            type: "signed",
            response: { commitment, signature },
            responseHash,
          }),
          (error) => ({ type: "unsigned", error }),
        );
      case "settle":
        return this.#await(
          this.#tab!.settle(effect.receipt),
          () => ({ type: "settled" }),
          (error) => ({ type: "unsigned", error }),
        );
      case "take":
        this.#taken = this.#await(
          this.#tab!.pay(effect.voucher),
          (total) => ({ type: "paid", total }),
          (error) => ({ type: "unpaid", error }),
        );
        return;
      case "accept":
        return this.#send(encodeAccept(effect));
      case "delta":
        this.#firstDeltaMs ??= Math.round(performance.now() - this.#startMs);
        return this.#send(encodeDelta(effect));
      case "due":
        return this.#send(encodeDue(effect));
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
        this.#close(effect.owed).then(this.#resolveEnded);
        return this.#components.onDone?.({
          model: request.commitment.model,
          durationMs: Math.round(performance.now() - this.#startMs),
          ...(this.#client !== undefined && { client: this.#client }),
          ...(effect.response && { response: effect.response }),
          ...(effect.error && { error: effect.error }),
          ...(this.#firstDeltaMs !== undefined && { firstDeltaMs: this.#firstDeltaMs }),
        });
    }
  }

  /** Uses up the request's nonce, then takes what was paid in advance. */
  async #admit(client: Address, requestHash: Hash): Promise<ExecutorEvent> {
    const { nonces, cashier, terms } = this.#components;
    const { request, body, payment } = this.#open;
    const { nonce, deadline, model } = request.commitment;
    const offer = terms.offer(model);
    if (offer === undefined) return { type: "refused", error: GONE };
    if (!await nonces.use(client, nonce, Number(deadline))) {
      return { type: "refused", error: REPLAYED };
    }
    if (payment === undefined || cashier === undefined) return { type: "admitted" };
    const { commitment } = request;
    const step = costOf(offer, 0, cashier.terms.stepTokens);
    const costs = { ...estimate(commitment, body.length), step };
    this.#tab = await cashier.admit({ request, requestHash, client, payment, ...costs });
    const { paid, acknowledged } = this.#tab;
    return { type: "admitted", payment: { step, paid, acknowledged } };
  }

  async #close(owed: Cost): Promise<void> {
    try {
      await this.#tab?.close(owed);
    } catch (thrown) {
      const { code } = LloomError.wrap(thrown);
      log.error("the account of a request could not be closed: {code}", { code });
    }
  }

  #start(): void {
    const { clock, inference } = this.#components;
    const { request: { commitment }, body, salt } = this.#open;
    const model = inference(commitment.model);
    if (model === undefined) return this.dispatch({ type: "failed", error: GONE });
    this.#run = model.run(
      { model: commitment.model, body, commitment, salt, client: this.#remote },
      {
        batch: (lines, tokens) => this.dispatch({ type: "batch", lines, tokens }),
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
  ): Promise<void> {
    return promise.then(
      (value) => this.dispatch(resolved(value)),
      (thrown) => this.dispatch(rejected(LloomError.wrap(thrown).toData())),
    );
  }

  #disarm(timer: ExecutorTimer): void {
    this.#timers.get(timer)?.();
    this.#timers.delete(timer);
  }
}

const FOREIGN: ErrorData = {
  code: "signer_mismatch",
  message: "admit request: signed by another than the peer that sent it",
};

const REPLAYED: ErrorData = {
  code: "request_replayed",
  message: "admit request: its nonce was used before",
};

const GONE: ErrorData = {
  code: "model_unavailable",
  message: "answer request: the model went away",
};
