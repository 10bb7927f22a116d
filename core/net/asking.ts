/**
 * One request to one executor, and its answer: carries out what {@linkcode ClientSession} decides.
 * @module
 */
import { type Address, concat, type Hash } from "../bytes.ts";
import { type ErrorData, LloomError } from "../errors.ts";
import type {
  Clock,
  MessageStream,
  RequestDraft,
  SignedRequest,
  SignedResponse,
  Signer,
  Verifier,
} from "../ports.ts";
import { decodeExecutorFrame, encodeCancel, encodeOpen } from "../protocol/infer/mod.ts";
import type { Trailer } from "../protocol/trailer.ts";
import {
  type ClientEffect,
  type ClientEvent,
  ClientSession,
  type ClientSessionOptions,
  type ClientTimer,
} from "../session/client_session.ts";
import { SALT_BYTES } from "../signing/typed_data.ts";
import { AnswerQueue } from "./answer_queue.ts";
import type { IdleStreams } from "./idle_streams.ts";

/** What an {@linkcode Asking}, and the client that makes it, work with. */
export interface InferClientComponents {
  /** Times requests. */
  readonly clock: Clock;
  /** Signs requests. */
  readonly signer: Signer;
  /** Checks receipts. */
  readonly verifier: Verifier;
  /** Opens a stream to an executor. @throws {LloomError} `peer_unreachable` */
  readonly openStream: (executor: ExecutorPeer, signal: AbortSignal) => Promise<MessageStream>;
}

/** An executor to ask. */
export interface ExecutorPeer {
  /** Where its streams lead. */
  readonly peerId: string;
  /** Who must sign its receipts. */
  readonly address: Address;
  /** Where it may be reached; absent if the node knows. */
  readonly multiaddrs?: readonly string[];
}

/** One request, before it is signed. */
export interface InferRequest {
  /** The chat request's exact bytes. */
  readonly body: Uint8Array;
  /** Its system prompt; empty for none. */
  readonly systemPrompt: string;
  /** Makes the commitment; called again, for another nonce, where a request must be sent anew. */
  readonly draft: () => RequestDraft;
}

/** A proven answer: everything needed to show, to anyone, what was asked and delivered. */
export interface Receipt {
  /** Who answered. */
  readonly executor: ExecutorPeer;
  /** What the client signed. */
  readonly request: SignedRequest;
  /** The request's EIP-712 hash, which the receipt repeats. */
  readonly requestHash: Hash;
  /** What `promptHash` was salted with. */
  readonly salt: Uint8Array;
  /** What the executor signed. */
  readonly response: SignedResponse;
  /** How the answer ended, and its tokens. */
  readonly trailer: Trailer;
  /** All delivered bytes, the trailer last: what `contentHash` is the hash of. */
  readonly content: Uint8Array;
  /** Why the caller cancelled, if it did. */
  readonly cancelled?: ErrorData;
}

/**
 * An answer under way: iterate for its lines as they come. Iteration ends when a receipt proves
 * that the answer is complete, and throws otherwise: also where a receipt proves a part of it.
 * Leaving the iteration early cancels the request.
 */
export interface InferAnswer extends AsyncIterable<Uint8Array> {
  /** The proof, also of a part; rejects if there is none. */
  readonly receipt: Promise<Receipt>;
}

/** One request under way: the shell around a {@linkcode ClientSession}. */
export class Asking {
  readonly #executor: ExecutorPeer;
  readonly #request: InferRequest;
  readonly #options: ClientSessionOptions;
  readonly #components: InferClientComponents;
  readonly #idle: IdleStreams;
  readonly #cancelled = new AbortController();
  readonly #queue = new AnswerQueue(() => this.#cancel(LEFT));
  readonly #receipt = Promise.withResolvers<Receipt>();
  readonly #timers = new Map<ClientTimer, () => void>();
  #session: ClientSession | undefined;
  #stream: MessageStream | undefined;
  #signed: SignedRequest & { readonly requestHash: Hash } | undefined;
  #salt: Uint8Array = new Uint8Array(0);
  readonly #content = new Content();

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
    this.#receipt.promise
      .then((receipt) => this.#finishQueue(receipt), (error) => this.#queue.fail(error))
      .finally(() => signal?.removeEventListener("abort", onAbort));
    this.#run().catch((thrown) => this.#receipt.reject(LloomError.wrap(thrown)));
    return {
      receipt: this.#receipt.promise,
      [Symbol.asyncIterator]: () => this.#queue[Symbol.asyncIterator](),
    };
  }

  /** Only a whole answer ends in silence. */
  #finishQueue({ response, trailer, cancelled }: Receipt): void {
    if (response.commitment.success) return this.#queue.end();
    this.#queue.fail(LloomError.from(cancelled ?? trailer.error ?? INCOMPLETE));
  }

  async #run(): Promise<void> {
    // A kept stream that is taken and not used would be nobody's to close.
    this.#cancelled.signal.throwIfAborted();
    const kept = this.#idle.take(this.#executor.peerId);
    if (kept !== undefined) {
      const heard = await this.#exchange(() => Promise.resolve(kept));
      // The executor closed this idle stream while we took it up, and never saw the request.
      if (heard) return;
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
    this.#cancelled.signal.throwIfAborted();
    this.#salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
    const { body, systemPrompt, draft } = this.#request;
    const opening = open();
    const signing = signer.signRequest(draft(), body, this.#salt, systemPrompt);
    const [opened, signed] = await Promise.allSettled([opening, signing]);
    if (opened.status === "rejected") throw opened.reason;
    const stream = this.#stream = opened.value;
    if (signed.status === "rejected") {
      stream.abort(LloomError.wrap(signed.reason));
      throw signed.reason;
    }
    this.#signed = signed.value;
    const session = this.#session = new ClientSession(
      {
        request: this.#signed,
        requestHash: this.#signed.requestHash,
        client: signer.address,
        bodyBytes: body.length,
      },
      this.#options,
    );
    this.#dispatch({ type: "start" });
    const { signal } = this.#cancelled;
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
        // What is still on its way must be read: the receipt covers it.
        if (effect.frame === "cancel") this.#queue.lift();
        return this.#send(
          effect.frame === "cancel" ? encodeCancel() : encodeOpen({
            body: this.#request.body,
            salt: this.#salt,
            request: this.#signed!,
          }),
        );
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
        return this.#queue.push(effect.lines);
      case "verify":
        this.#content.push(effect.trailer);
        this.#components.verifier.verifyResponse(
          effect.response,
          this.#content.blocks,
          this.#signed!.commitment.channelId,
        ).then(
          ({ executor }) => this.#dispatch({ type: "verified", executor }),
          (thrown) =>
            this.#dispatch({ type: "unverified", error: LloomError.wrap(thrown).toData() }),
        );
        return;
      case "finish":
        return this.#receipt.resolve({
          executor: this.#executor,
          request: { commitment: this.#signed!.commitment, signature: this.#signed!.signature },
          requestHash: this.#signed!.requestHash,
          salt: this.#salt,
          response: effect.response,
          trailer: effect.trailer,
          content: concat(this.#content.blocks),
          ...(effect.cancelled && { cancelled: effect.cancelled }),
        });
      case "fail":
        return this.#receipt.reject(LloomError.from(effect.error));
      case "release":
        return this.#idle.put(this.#executor.peerId, stream);
      case "abort":
        return stream.abort(LloomError.from(effect.error));
    }
  }

  #send(message: Uint8Array): void {
    try {
      // One request and one cancel: nothing here can outrun the stream's own buffer.
      this.#stream!.send(message);
    } catch (thrown) {
      // The reading side sees the break, and knows whether the executor had heard us.
      this.#stream!.abort(LloomError.wrap(thrown, "stream_broken", "send request"));
    }
  }

  #disarmAll(): void {
    for (const disarm of this.#timers.values()) disarm();
    this.#timers.clear();
  }
}

/** Delivered bytes in blocks: an answer of many small lines must not cost many small buffers. */
class Content {
  readonly #full: Uint8Array[] = [];
  #block = new Uint8Array(CONTENT_BLOCK_BYTES);
  #used = 0;

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + this.#block.length - this.#used);
      this.#block.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used < this.#block.length) continue;
      this.#full.push(this.#block);
      this.#block = new Uint8Array(CONTENT_BLOCK_BYTES);
      this.#used = 0;
    }
  }

  get blocks(): readonly Uint8Array[] {
    return [...this.#full, this.#block.subarray(0, this.#used)];
  }
}

/** Most answers fit one; larger ones waste less than one. */
const CONTENT_BLOCK_BYTES = 16 << 10;

const LEFT: ErrorData = { code: "aborted", message: "read answer: the caller left" };

const INCOMPLETE: ErrorData = {
  code: "stream_broken",
  message: "read answer: the executor ended it early",
};

function reasonOf(signal: AbortSignal): ErrorData {
  return LloomError.wrap(signal.reason, "aborted").toData();
}
