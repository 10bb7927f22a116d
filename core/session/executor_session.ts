/**
 * The executor's end of one request, without I/O: event in, effects out.
 *
 * | state       | waits for                                       |
 * |-------------|-------------------------------------------------|
 * | `verifying` | who signed the request                          |
 * | `admitting` | whether its nonce is new                        |
 * | `running`   | batches, and the end of the answer              |
 * | `signing`   | the signature of the receipt                    |
 * | `over`      | nothing                                         |
 *
 * Each request ends in `done`, with the receipt if one was signed: also when the client is gone,
 * so that the executor can prove what it delivered.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import type { ErrorData } from "../errors.ts";
import type { InferenceEnd, SignedResponse } from "../ports.ts";
import type { OpenFrame } from "../protocol/infer/mod.ts";
import type { LlmResponseCommitment } from "../signing/typed_data.ts";

/** Times of an executor's session, in milliseconds. */
export interface ExecutorSessionOptions {
  /** Longest time for one answer, whatever the request's deadline. @default 600000 */
  readonly timeoutMs?: number;
  /** Longest time that a client may not read while an answer waits for it. @default 60000 */
  readonly stallTimeoutMs?: number;
  /** For the backend to stop after it was told to; then the stream is cut. @default 10000 */
  readonly cancelTimeoutMs?: number;
}

/** The timers of an executor's session. */
export type ExecutorTimer = "total" | "stall" | "cancel";

/** What happens to a session. */
export type ExecutorEvent =
  /** The request arrived. `refused`: it does not meet the terms, whoever signed it. */
  | { readonly type: "open"; readonly refused?: ErrorData; readonly nowMs: number }
  | { readonly type: "verified"; readonly client: Address; readonly requestHash: Hash }
  /** Its nonce is new and remembered. */
  | { readonly type: "admitted" }
  /** Verification, or admission, failed. */
  | { readonly type: "refused"; readonly error: ErrorData }
  | { readonly type: "batch"; readonly lines: Uint8Array }
  | { readonly type: "end"; readonly end: InferenceEnd; readonly nowMs: number }
  | { readonly type: "failed"; readonly error: ErrorData }
  | { readonly type: "signed"; readonly response: SignedResponse }
  /** Signing the receipt failed. */
  | { readonly type: "unsigned"; readonly error: ErrorData }
  /** The client wants no more. */
  | { readonly type: "cancel" }
  /** The client is gone, or sent what is no frame. */
  | { readonly type: "cut"; readonly error: ErrorData }
  /** This executor ends, and the time to finish is over. */
  | { readonly type: "shutdown" }
  | { readonly type: "congested" }
  | { readonly type: "drained" }
  | { readonly type: "timer"; readonly timer: ExecutorTimer };

/** What a session wants done, in order. */
export type ExecutorEffect =
  | { readonly type: "verify" }
  | { readonly type: "admit"; readonly client: Address }
  | { readonly type: "accept"; readonly requestHash: Hash }
  | { readonly type: "run" }
  | { readonly type: "delta"; readonly lines: Uint8Array }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "cancel_run"; readonly reason: ErrorData }
  | { readonly type: "sign"; readonly commitment: LlmResponseCommitment }
  | { readonly type: "receipt"; readonly response: SignedResponse; readonly trailer: Uint8Array }
  | { readonly type: "reject"; readonly error: ErrorData }
  | { readonly type: "arm"; readonly timer: ExecutorTimer; readonly ms: number }
  | { readonly type: "disarm"; readonly timer: ExecutorTimer }
  | { readonly type: "abort"; readonly error: ErrorData }
  /** The session is over. */
  | {
    readonly type: "done";
    readonly response?: SignedResponse;
    readonly error?: ErrorData;
  };

type State = "new" | "verifying" | "admitting" | "running" | "signing" | "over";

const TIMERS: readonly ExecutorTimer[] = ["total", "stall", "cancel"];

/** The executor's end of one request. See the module's table. */
export class ExecutorSession {
  readonly #open: OpenFrame;
  readonly #options: Required<ExecutorSessionOptions>;
  #state: State = "new";
  #client: Address | undefined;
  #requestHash: Hash | undefined;
  #end: InferenceEnd | undefined;
  /** Why the run was told to stop. */
  #stopped: ErrorData | undefined;
  /** The client cannot hear us any more. */
  #gone = false;
  #delivered = false;
  #deadlineMs = 0;

  /** A session for a request that has just arrived. */
  constructor(open: OpenFrame, options: ExecutorSessionOptions = {}) {
    this.#open = open;
    this.#options = {
      timeoutMs: options.timeoutMs ?? 600_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 60_000,
      cancelTimeoutMs: options.cancelTimeoutMs ?? 10_000,
    };
  }

  /** Whether the session has ended. */
  get over(): boolean {
    return this.#state === "over";
  }

  /** Takes an event; returns what is to be done about it. After the end, nothing is. */
  handle(event: ExecutorEvent): ExecutorEffect[] {
    if (this.#state === "over") return [];
    switch (event.type) {
      case "open":
        return this.#opened(event.refused, event.nowMs);
      case "verified":
        this.#expect("verifying", event.type);
        this.#client = event.client;
        this.#requestHash = event.requestHash;
        if (this.#stopped) return this.#reject(this.#stopped);
        this.#state = "admitting";
        return [{ type: "admit", client: event.client }];
      case "admitted":
        this.#expect("admitting", event.type);
        return this.#admitted();
      case "refused":
        return this.#reject(event.error);
      case "batch":
        if (this.#state !== "running") return [];
        this.#delivered = true;
        return this.#gone ? [] : [{ type: "delta", lines: event.lines }];
      case "end":
        this.#expect("running", event.type);
        return this.#ended(event.end, event.nowMs);
      case "failed":
        this.#expect("running", event.type);
        // A backend fails before it delivers anything, or ends; only a crash fails in between.
        return this.#delivered ? this.#cut(event.error) : this.#reject(event.error);
      case "signed":
        this.#expect("signing", event.type);
        return this.#signed(event.response);
      case "unsigned":
        return this.#cut(event.error);
      case "cancel":
        return this.#stop({ code: "aborted", message: "answer request: cancelled by the client" });
      case "cut":
        this.#gone = true;
        return this.#stop(event.error);
      case "shutdown":
        return this.#stop({ code: "shutting_down", message: "answer request: shutting down" });
      case "congested":
        if (this.#state !== "running") return [];
        return [
          { type: "pause" },
          { type: "arm", timer: "stall", ms: this.#options.stallTimeoutMs },
        ];
      case "drained":
        if (this.#state !== "running") return [];
        return [{ type: "disarm", timer: "stall" }, { type: "resume" }];
      case "timer":
        return this.#timer(event.timer);
    }
  }

  #opened(refused: ErrorData | undefined, nowMs: number): ExecutorEffect[] {
    this.#expect("new", "open");
    if (refused) return this.#reject(refused);
    this.#state = "verifying";
    const untilDeadline = Number(this.#open.request.commitment.deadline) * 1000 - nowMs;
    this.#deadlineMs = Math.max(0, Math.min(untilDeadline, this.#options.timeoutMs));
    return [{ type: "verify" }];
  }

  #admitted(): ExecutorEffect[] {
    if (this.#stopped) return this.#reject(this.#stopped);
    this.#state = "running";
    return [
      { type: "accept", requestHash: this.#requestHash! },
      { type: "arm", timer: "total", ms: this.#deadlineMs },
      { type: "run" },
    ];
  }

  #ended(end: InferenceEnd, nowMs: number): ExecutorEffect[] {
    this.#state = "signing";
    this.#end = end;
    const asked = this.#open.request.commitment;
    const commitment: LlmResponseCommitment = {
      requestHash: this.#requestHash!,
      client: this.#client!,
      model: asked.model,
      contentHash: end.contentHash,
      inboundTokens: end.promptTokens,
      outboundTokens: end.completionTokens,
      inboundPrice: asked.inboundPrice,
      outboundPrice: asked.outboundPrice,
      timestamp: BigInt(Math.floor(nowMs / 1000)),
      success: end.success,
    };
    return [...this.#disarmAll(), { type: "sign", commitment }];
  }

  #signed(response: SignedResponse): ExecutorEffect[] {
    const trailer = this.#end!.trailer;
    return this.#over([
      ...(this.#gone ? [] : [{ type: "receipt", response, trailer } as const]),
      { type: "done", response, ...(this.#stopped && { error: this.#stopped }) },
    ]);
  }

  /** Tells the model to stop; the answer ends with what was delivered. */
  #stop(reason: ErrorData): ExecutorEffect[] {
    if (this.#stopped) return [];
    this.#stopped = reason;
    // Before the run, verification or admission is under way: its outcome ends the session.
    if (this.#state !== "running") return [];
    return [
      { type: "cancel_run", reason },
      { type: "arm", timer: "cancel", ms: this.#options.cancelTimeoutMs },
    ];
  }

  #timer(timer: ExecutorTimer): ExecutorEffect[] {
    switch (timer) {
      case "total":
        return this.#stop({ code: "timeout", message: "answer request: time is up" });
      case "stall":
        this.#gone = true;
        return [
          { type: "abort", error: { code: "timeout", message: "send answer: nobody reads it" } },
          ...this.#stop({ code: "timeout", message: "send answer: nobody reads it" }),
        ];
      case "cancel":
        return this.#cut({ code: "backend_timeout", message: "stop backend: no end in time" });
    }
  }

  /** Ends without a receipt, where the client can still be told why. */
  #reject(error: ErrorData): ExecutorEffect[] {
    return this.#over([
      ...(this.#gone ? [] : [{ type: "reject", error } as const]),
      { type: "done", error },
    ]);
  }

  /** Ends without a receipt after something was delivered: the client must see a broken stream. */
  #cut(error: ErrorData): ExecutorEffect[] {
    return this.#over([{ type: "abort", error }, { type: "done", error }]);
  }

  #over(effects: ExecutorEffect[]): ExecutorEffect[] {
    this.#state = "over";
    return [...this.#disarmAll(), ...effects];
  }

  #disarmAll(): ExecutorEffect[] {
    return TIMERS.map((timer) => ({ type: "disarm", timer }));
  }

  #expect(state: State, event: string): void {
    if (this.#state !== state) {
      throw new TypeError(`handle ${event}: the session is ${this.#state}, not ${state}`);
    }
  }
}
