/**
 * The client's side of `/lloom/llm/2.0.0`: asks executors. Streams are kept and used again.
 * @module
 */
import type { ClientSessionOptions } from "../session/client_events.ts";
import { Asking } from "./asking.ts";
import { IdleStreams } from "./idle_streams.ts";
import type {
  ExecutorPeer,
  InferAnswer,
  InferClientComponents,
  InferRequest,
} from "./infer_request.ts";

/** Asks executors. */
export class InferClient {
  readonly #components: InferClientComponents;
  readonly #options: ClientSessionOptions;
  readonly #idle: IdleStreams;

  /** A client without streams yet. */
  constructor(options: ClientSessionOptions, components: InferClientComponents) {
    this.#options = options;
    this.#components = components;
    this.#idle = new IdleStreams(components.clock);
  }

  /**
   * Sends one request to one executor. Errors come through the answer.
   * @param signal cancels: the model stops, and the answer ends with a receipt for what was delivered
   */
  ask(
    executor: ExecutorPeer,
    request: InferRequest,
    signal?: AbortSignal,
    options: ClientSessionOptions = {},
  ): InferAnswer {
    const asking = new Asking(
      executor,
      request,
      { ...this.#options, ...options },
      this.#components,
      this.#idle,
    );
    return asking.start(signal);
  }

  /** Closes the idle streams. */
  async stop(): Promise<void> {
    await this.#idle.stop();
  }
}
