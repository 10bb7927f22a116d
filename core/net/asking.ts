/**
 * One request to one executor, and its answer: carries out what {@linkcode ClientSession} decides.
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { concat, type Hash } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import { type Cost, isFree } from "../payments/amounts.ts";
import type { MessageStream, SignedRequest, SignedVoucher } from "../ports.ts";
import {
  decodeExecutorFrame,
  encodeCancel,
  encodeOpen,
  encodeVoucher,
} from "../protocol/infer/mod.ts";
import type {
  ClientEffect,
  ClientEvent,
  ClientSessionOptions,
  ClientTimer,
} from "../session/client_events.ts";
import { ClientSession } from "../session/client_session.ts";
import { toldByExecutor } from "../session/told_by_executor.ts";
import { SALT_BYTES } from "../signing/typed_data.ts";
import { AnswerQueue } from "./answer_queue.ts";
import { Content } from "./content.ts";
import type { IdleStreams } from "./idle_streams.ts";
import type {
  ExecutorPeer,
  InferAnswer,
  InferClientComponents,
  InferRequest,
  Receipt,
} from "./infer_request.ts";
import { cannotPay, Paying } from "./paying.ts";

const log = getLogger(["lloom", "infer"]);

/** One request under way: the shell around a {@linkcode ClientSession}. */
export class Asking implements InferAnswer {
  readonly #executor: ExecutorPeer;
  readonly #request: InferRequest;
  readonly #options: ClientSessionOptions;
  readonly #components: InferClientComponents;
  readonly #idle: IdleStreams;
  readonly #cancelled = new AbortController();
  readonly #queue = new AnswerQueue(() => this.#cancel(LEFT));
  readonly #proof = Promise.withResolvers<Receipt>();
  readonly #timers = new Map<ClientTimer, () => void>();
  #session: ClientSession | undefined;
  #stream: MessageStream | undefined;
  #signed: Signed | undefined;
  #paying: Paying | undefined;
  /** What payments came to that were sent in vain. */
  #wasted: Cost = 0n;
  /** Resolves once what was reserved for a failed request is free again. */
  #released: Promise<void> = Promise.resolve();
  #salt: Uint8Array = new Uint8Array(0);
  readonly #content = new Content();
  #deliveredBytes = 0;

  /** A request that is not yet sent. @param idle where a stream is taken from, and left once it is free */
  constructor(
    executor: ExecutorPeer,
    request: InferRequest,
    options: ClientSessionOptions,
    components: InferClientComponents,
    idle: IdleStreams,
  ) {
    this.#executor = executor;
    this.#request = request;
    this.#options = options;
    this.#components = components;
    this.#idle = idle;
  }

  /** Sends it. @param signal cancels */
  start(signal: AbortSignal | undefined): InferAnswer {
    const onAbort = () => this.#cancel(LloomError.wrap(signal!.reason, "aborted").toData());
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort);
    this.receipt
      .then((receipt) => this.#finishQueue(receipt), (error) => this.#queue.fail(error))
      .finally(() => signal?.removeEventListener("abort", onAbort));
    this.#run().catch((thrown) => {
      this.#release(this.#paying?.abandon(true));
      this.#fail(LloomError.wrap(thrown));
    });
    return this;
  }

  get receipt(): Promise<Receipt> {
    return this.#proof.promise;
  }

  get requestHash(): Hash | undefined {
    return this.#signed?.requestHash;
  }

  get spent(): Cost {
    return this.#wasted + (this.#paying?.spent ?? 0n);
  }

  delivered(): Uint8Array {
    return concat(this.#content.blocks).subarray(0, this.#deliveredBytes);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    return this.#queue[Symbol.asyncIterator]();
  }

  /** Only a whole answer ends in silence. */
  #finishQueue({ response, trailer, cancelled }: Receipt): void {
    if (response.commitment.success) return this.#queue.end();
    const told = trailer.error && toldByExecutor(trailer.error);
    this.#queue.fail(LloomError.from(cancelled ?? told ?? INCOMPLETE));
  }

  async #run(): Promise<void> {
    // A kept stream that is taken and not used would be nobody's to close.
    this.#cancelled.signal.throwIfAborted();
    const kept = this.#idle.take(this.#executor.peerId);
    if (kept !== undefined) {
      const heard = await this.#exchange(() => Promise.resolve(kept));
      if (heard) return;
      // The executor has closed this idle stream, most likely before it saw the request; or somebody
      // has cut it after. So the same payment is not sent again: it counts, and another is made.
      await this.#paying?.abandon(true);
      this.#wasted = this.spent;
      this.#paying = undefined;
    }
    const { openStream } = this.#components;
    const { signal } = this.#cancelled;
    const heard = await this.#exchange(() => openStream(this.#executor, signal));
    if (!heard) {
      throw new LloomError("stream_broken", "ask executor: it closed the stream unheard");
    }
  }

  /**
   * One request on one stream, to its end.
   * @returns false if the stream ended before the executor said anything
   */
  async #exchange(open: () => Promise<MessageStream>): Promise<boolean> {
    const { signer, clock } = this.#components;
    const { signal } = this.#cancelled;
    signal.throwIfAborted();
    const opening = open();
    const unopened = new AbortController();
    opening.catch((thrown) => unopened.abort(thrown));
    const signing = this.#sign(AbortSignal.any([signal, unopened.signal]));
    const [opened, signed] = await Promise.allSettled([opening, signing]);
    if (opened.status === "rejected") throw opened.reason;
    const stream = this.#stream = opened.value;
    if (signed.status === "rejected") {
      stream.abort(LloomError.wrap(signed.reason));
      throw signed.reason;
    }
    const { commitment, signature, requestHash } = signed.value;
    const session = this.#session = new ClientSession(
      {
        request: { commitment, signature },
        requestHash,
        client: signer.address,
        bodyBytes: this.#request.body.length,
        ...(this.#paying && { payment: this.#paying.meterTerms }),
      },
      this.#options,
    );
    this.#dispatch({ type: "start" });
    if (signal.aborted) this.#dispatch({ type: "cancel", reason: reasonOf(signal) });

    let heard = false;
    while (!session.over) {
      let event: ClientEvent;
      try {
        const message = await stream.next();
        if (message === undefined && !heard && !signal.aborted) return this.#abandon(stream);
        heard = true;
        event = message === undefined
          ? { type: "cut" }
          : { type: "frame", frame: decodeExecutorFrame(message), nowMs: clock.now() };
      } catch (thrown) {
        const error = LloomError.wrap(thrown, "stream_broken", "read answer");
        if (!heard && error.code === "stream_broken" && !signal.aborted && !session.over) {
          return this.#abandon(stream);
        }
        event = { type: "cut", error: error.toData() };
      }
      this.#dispatch(event);
      if (event.type === "frame" && event.frame.type === "receipt") break;
      await this.#queue.room;
    }
    return true;
  }

  /** Signs the request; what it costs is reserved, once, and its payment signed along. */
  async #sign(signal: AbortSignal): Promise<Signed> {
    const { signer, payer } = this.#components;
    const { body, systemPrompt, draft, payment: terms, answers, allowance } = this.#request;
    const drafted = draft();
    if (!isFree(drafted) && this.#paying === undefined) {
      if (payer === undefined || terms === undefined) throw cannotPay();
      const options = { payer, terms, draft, bodyBytes: body.length, answers };
      this.#paying = await Paying.begin({ ...options, ...(allowance && { allowance }) }, signal);
    }
    const asked = this.#paying?.draft ?? drafted;
    this.#salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
    const { voucher } = this.#paying ?? {};
    this.#signed = await signer.signRequest(asked, body, this.#salt, systemPrompt, voucher);
    return this.#signed;
  }

  #abandon(stream: MessageStream): boolean {
    this.#disarmAll();
    this.#session = undefined;
    stream.abort(new LloomError("stream_broken", "ask executor: closed unheard"));
    return false;
  }

  #cancel(reason: ErrorData): void {
    if (this.#cancelled.signal.aborted) return;
    this.#cancelled.abort(LloomError.from(reason));
    this.#dispatch({ type: "cancel", reason });
  }

  #dispatch(event: ClientEvent): void {
    for (const effect of this.#session?.handle(event) ?? []) this.#do(effect);
  }

  #do(effect: ClientEffect): void {
    const stream = this.#stream!;
    switch (effect.type) {
      case "send":
        if (effect.frame === "open") {
          if (!this.#send(this.#open())) this.#paying?.unsent();
          return;
        }
        // What is still on its way must be read: the receipt covers it.
        this.#queue.lift();
        this.#send(encodeCancel());
        return;
      case "send_voucher":
        this.#paying!.sending(effect.voucher);
        this.#send(encodeVoucher(effect.voucher));
        return;
      case "arm":
        this.#timers.get(effect.timer)?.();
        this.#timers.set(
          effect.timer,
          this.#components.clock.setTimer(
            effect.ms,
            () => this.#dispatch({ type: "timer", timer: effect.timer }),
          ),
        );
        return;
      case "disarm":
        this.#timers.get(effect.timer)?.();
        this.#timers.delete(effect.timer);
        return;
      case "deliver":
        this.#content.push(effect.lines);
        this.#deliveredBytes += effect.lines.length;
        return this.#queue.push(effect.lines);
      case "verify":
        this.#content.push(effect.trailer);
        return this.#await(
          this.#components.verifier.verifyResponse(
            effect.response,
            this.#content.blocks,
            this.#signed!.commitment.channelId,
          ),
          (verified) => ({ type: "verified", ...verified }),
          (error) => ({ type: "unverified", error }),
        );
      case "acknowledged":
        return this.#paying!.accepted(effect.count);
      case "pay":
        return this.#await(
          this.#paying!.pay(effect.total),
          (voucher) => ({ type: "paid", voucher }),
          (error) => ({ type: "unpaid", error }),
        );
      case "settle":
        return this.#await(
          this.#paying!.settle(effect.receipt),
          (voucher) => ({ type: "settled", ...(voucher && { voucher }) }),
          (error) => ({ type: "unpaid", error }),
        );
      case "dispute":
        return this.#release(this.#paying!.dispute(effect.receipt));
      case "abandon":
        return this.#release(this.#paying!.abandon(effect.owed));
      case "disown":
        return this.#release(this.#paying!.disown());
      case "finish":
        return this.#proof.resolve({
          executor: this.#executor,
          request: { commitment: this.#signed!.commitment, signature: this.#signed!.signature },
          requestHash: this.#signed!.requestHash,
          salt: this.#salt,
          response: effect.response,
          trailer: effect.trailer,
          content: concat(this.#content.blocks),
          ...(this.#paying && { payment: this.#paying.summary }),
          ...(effect.cancelled && { cancelled: effect.cancelled }),
        });
      case "fail":
        return this.#fail(LloomError.from(effect.error));
      case "release":
        return this.#idle.put(this.#executor.peerId, stream);
      case "abort":
        return stream.abort(LloomError.from(effect.error));
    }
  }

  #open(): Uint8Array {
    const { commitment, signature, requestHash, voucher } = this.#signed!;
    const request = { commitment, signature };
    const payment = this.#paying?.send(request, requestHash, this.#salt, voucher);
    const { body } = this.#request;
    return encodeOpen({ body, salt: this.#salt, request, ...(payment && { payment }) });
  }

  #await<T>(
    promise: Promise<T>,
    resolved: (value: T) => ClientEvent,
    rejected: (error: ErrorData) => ClientEvent,
  ): void {
    promise.then(
      (value) => this.#dispatch(resolved(value)),
      (thrown) => this.#dispatch(rejected(LloomError.wrap(thrown).toData())),
    );
  }

  #release(released: Promise<void> | undefined): void {
    if (released === undefined) return;
    this.#released = released.catch((thrown) =>
      log.error("what was reserved for a request could not be released: {code}", {
        code: LloomError.wrap(thrown).code,
      })
    );
  }

  /** Fails once nothing is reserved any more: the caller may go on to ask another, on the same budget. */
  #fail(error: LloomError): void {
    this.#released.then(() => this.#proof.reject(error));
  }

  /** @returns false if the stream was broken before, so that nobody will ever read it */
  #send(message: Uint8Array): boolean {
    try {
      // A request, a cancel, payments one at a time: nothing here can outrun the stream's own buffer.
      this.#stream!.send(message);
      return true;
    } catch (thrown) {
      // The reading side sees the break, and knows whether the executor had heard us.
      this.#stream!.abort(LloomError.wrap(thrown, "stream_broken", "send request"));
      return false;
    }
  }

  #disarmAll(): void {
    for (const disarm of this.#timers.values()) disarm();
    this.#timers.clear();
  }
}

/** A request with what its signing gave. */
type Signed = SignedRequest & { readonly requestHash: Hash; readonly voucher?: SignedVoucher };

const LEFT: ErrorData = { code: "aborted", message: "read answer: the caller left" };

const INCOMPLETE: ErrorData = {
  code: "stream_broken",
  message: "read answer: the executor ended it early",
};

function reasonOf(signal: AbortSignal): ErrorData {
  return LloomError.wrap(signal.reason, "aborted").toData();
}
