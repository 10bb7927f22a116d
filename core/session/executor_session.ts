/**
 * The executor's end of one request, without I/O: event in, effects out.
 *
 * | state        | waits for                                              |
 * |--------------|--------------------------------------------------------|
 * | `verifying`  | who signed the request                                 |
 * | `admitting`  | whether its nonce is new, and what was paid in advance |
 * | `running`    | batches, and the end of the answer                     |
 * | `holding`    | payment, with text in hand after the end               |
 * | `signing`    | the signature of the receipt                           |
 * | `settling`   | the receipt of a paid request to be on disk            |
 * | `collecting` | payment for what the receipt comes to                  |
 * | `over`       | nothing                                                |
 *
 * Each request ends in `done`, with the receipt if one was signed: also when the client is gone,
 * so that the executor can prove what it delivered. A paid request of which something was never handed
 * out, for want of payment or of a client, has no receipt.
 * @module
 */
import type { Address, Hash } from "../bytes.ts";
import type { ErrorData } from "../errors.ts";
import { type Cost, costOf } from "../payments/amounts.ts";
import type { VoucherMessage } from "../payments/ports.ts";
import { estimate } from "../payments/prepay.ts";
import type { InferenceEnd, SignedResponse } from "../ports.ts";
import type { OpenFrame } from "../protocol/infer/mod.ts";
import type { LlmResponseCommitment } from "../signing/typed_data.ts";
import { Delivery } from "./delivery.ts";
import type {
  ExecutorEffect,
  ExecutorEvent,
  ExecutorPayment,
  ExecutorSessionOptions,
  ExecutorTimer,
} from "./executor_events.ts";

type State =
  | "new"
  | "verifying"
  | "admitting"
  | "running"
  | "holding"
  | "signing"
  | "settling"
  | "collecting"
  | "over";

const DISARM_ALL: readonly ExecutorEffect[] = (["total", "stall", "cancel", "payment"] as const)
  .map((timer) => ({ type: "disarm", timer }));

/** The executor's end of one request. See the module's table. */
export class ExecutorSession {
  readonly #open: OpenFrame;
  readonly #isPaid: boolean;
  readonly #options: Required<ExecutorSessionOptions>;
  #state: State = "new";
  #client: Address | undefined;
  #requestHash: Hash | undefined;
  #delivery: Delivery | undefined;
  #end: { readonly end: InferenceEnd; readonly nowMs: number } | undefined;
  #response: SignedResponse | undefined;
  /** What the receipt comes to. */
  #cost: Cost = 0n;
  /** Why the run was told to stop. */
  #stopped: ErrorData | undefined;
  /** The client gave the run up, or let its time pass: what its prompt was reckoned at is owed. */
  #leftByClient = false;
  /** The client cannot hear us any more. */
  #gone = false;
  /** The model has said something. */
  #said = false;
  /** Something of a paid answer was never handed out: no receipt may cover it. */
  #lost = false;
  #congested = false;
  /** Text waits for payment. */
  #holding = false;
  #paused = false;
  /** A voucher is being checked. */
  #taking = false;
  #deadlineMs = 0;

  /** A session for a request that has just arrived. */
  constructor(open: OpenFrame, options: ExecutorSessionOptions = {}) {
    this.#open = open;
    this.#isPaid = open.payment !== undefined;
    this.#options = {
      timeoutMs: options.timeoutMs ?? 600_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 60_000,
      cancelTimeoutMs: options.cancelTimeoutMs ?? 10_000,
      paymentTimeoutMs: options.paymentTimeoutMs ?? 15_000,
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
        return this.#verified(event.client, event.requestHash);
      case "admitted":
        return this.#admitted(event.payment);
      case "refused":
        return this.#reject(event.error);
      case "batch":
        return this.#batch(event.lines, event.tokens);
      case "end":
        return this.#ended(event.end, event.nowMs);
      case "failed":
        this.#expect("running", event.type);
        // A backend fails before it delivers anything, or ends; only a crash fails in between.
        return this.#said || this.#leftByClient
          ? this.#cut(event.error)
          : this.#reject(event.error);
      case "signed":
        return this.#signed(event.response, event.responseHash);
      case "settled":
        this.#expect("settling", event.type);
        return this.#sendReceipt();
      case "unsigned":
        return this.#cut(event.error);
      case "voucher":
        return this.#voucher(event.voucher);
      case "paid":
        return this.#paid(event.total);
      case "unpaid":
        return this.#lose(event.error);
      case "cancel":
        return this.#stop({ code: "aborted", message: "answer request: cancelled by the client" });
      case "cut":
        this.#gone = true;
        return this.#stop(event.error);
      case "shutdown":
        return this.#shutdown();
      case "congested":
        this.#congested = true;
        return [
          ...this.#gate(),
          { type: "arm", timer: "stall", ms: this.#options.stallTimeoutMs },
        ];
      case "drained":
        this.#congested = false;
        return [{ type: "disarm", timer: "stall" }, ...this.#gate()];
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

  #verified(client: Address, requestHash: Hash): ExecutorEffect[] {
    this.#expect("verifying", "verified");
    this.#client = client;
    this.#requestHash = requestHash;
    if (this.#stopped) return this.#reject(this.#stopped);
    this.#state = "admitting";
    return [{ type: "admit", client, requestHash }];
  }

  #admitted(payment: ExecutorPayment | undefined): ExecutorEffect[] {
    this.#expect("admitting", "admitted");
    if (this.#stopped) return this.#reject(this.#stopped);
    this.#state = "running";
    const { request: { commitment }, body } = this.#open;
    this.#delivery = new Delivery({
      prices: commitment,
      maxTokens: commitment.maxTokens,
      prepay: estimate(commitment, body.length).prepay,
      step: payment?.step ?? 0n,
      paid: payment?.paid ?? 0n,
    });
    return [
      {
        type: "accept",
        requestHash: this.#requestHash!,
        ...(payment && { acknowledged: payment.acknowledged }),
      },
      { type: "arm", timer: "total", ms: this.#deadlineMs },
      { type: "run" },
    ];
  }

  #batch(lines: Uint8Array, tokens: number): ExecutorEffect[] {
    if (this.#state !== "running") return [];
    this.#said = true;
    if (this.#gone) {
      this.#lost = this.#isPaid;
      return [];
    }
    this.#delivery!.add(lines, tokens);
    return this.#flow();
  }

  /** Hands out what may go now, and asks for payment where it is due. @param paid it was just paid */
  #flow(paid = false): ExecutorEffect[] {
    const delivery = this.#delivery!;
    const effects: ExecutorEffect[] = delivery.release().map((lines) => ({ type: "delta", lines }));
    const due = delivery.demand();
    if (due !== undefined) effects.push({ type: "due", ...due });
    const { holding } = delivery;
    if (holding && (paid || !this.#holding)) effects.push(this.#armPayment());
    if (!holding && this.#holding) effects.push({ type: "disarm", timer: "payment" });
    this.#holding = holding;
    return [...effects, ...this.#gate()];
  }

  /** Stops the model's text from piling up while the client does not read, or does not pay. */
  #gate(): ExecutorEffect[] {
    const closed = this.#congested || this.#holding;
    if (this.#state !== "running" || closed === this.#paused) return [];
    this.#paused = closed;
    return [{ type: closed ? "pause" : "resume" }];
  }

  #ended(end: InferenceEnd, nowMs: number): ExecutorEffect[] {
    this.#expect("running", "end");
    if (end.completionTokens > this.#open.request.commitment.maxTokens) {
      // A receipt for them would cost the executor's bond.
      return this.#cut({ code: "internal", message: "answer request: more tokens than asked for" });
    }
    this.#end = { end, nowMs };
    if (this.#lost || (this.#gone && this.#holding)) return this.#cut(this.#stopped!);
    if (!this.#holding) return this.#sign();
    this.#state = "holding";
    return [{ type: "disarm", timer: "total" }, { type: "disarm", timer: "cancel" }];
  }

  #sign(): ExecutorEffect[] {
    this.#state = "signing";
    const { end, nowMs } = this.#end!;
    const asked = this.#open.request.commitment;
    this.#cost = costOf(asked, end.promptTokens, end.completionTokens);
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
    return [...DISARM_ALL, { type: "sign", commitment }];
  }

  #signed(response: SignedResponse, responseHash: Hash): ExecutorEffect[] {
    this.#expect("signing", "signed");
    this.#response = response;
    if (!this.#isPaid) return this.#sendReceipt();
    this.#state = "settling";
    return [{ type: "settle", receipt: { response, responseHash, cost: this.#cost } }];
  }

  #sendReceipt(): ExecutorEffect[] {
    if (this.#gone) return this.#done();
    this.#state = "collecting";
    const receipt = { response: this.#response!, trailer: this.#end!.end.trailer };
    return [{ type: "receipt", ...receipt }, ...this.#collect()];
  }

  /** Ends once everything is paid, and no voucher that was asked for can still come. */
  #collect(): ExecutorEffect[] {
    const { demanded, paid } = this.#delivery!;
    return demanded === undefined && paid >= this.#cost ? this.#done() : [this.#armPayment()];
  }

  #voucher(voucher: VoucherMessage): ExecutorEffect[] {
    const delivery = this.#delivery;
    const { demanded, paid } = delivery ?? { demanded: undefined, paid: 0n };
    const missing = this.#state === "collecting" && paid < this.#cost;
    if (this.#taking || (demanded === undefined && !missing)) {
      return this.#lose({ code: "protocol_violation", message: "take voucher: nothing is due" });
    }
    if (this.#state === "collecting" && !missing) {
      // It was asked for before the exact count, by which all is paid: the surplus stays the client's.
      delivery!.pay(demanded!);
      return this.#collect();
    }
    this.#taking = true;
    return [{ type: "take", voucher }];
  }

  #paid(total: Cost): ExecutorEffect[] {
    this.#taking = false;
    const delivery = this.#delivery!;
    if (total < (delivery.demanded ?? this.#cost)) {
      return this.#lose({ code: "voucher_invalid", message: "take voucher: less than is due" });
    }
    delivery.pay(total);
    if (this.#gone) return [];
    switch (this.#state) {
      case "running":
        return this.#flow(true);
      case "holding": {
        const effects = this.#flow(true);
        return this.#holding ? effects : [...effects, ...this.#sign()];
      }
      case "collecting":
        return this.#collect();
      default:
        return [];
    }
  }

  /** Tells the model to stop; the answer ends with what was delivered. */
  #stop(reason: ErrorData, byClient = true): ExecutorEffect[] {
    switch (this.#state) {
      case "running":
        if (this.#stopped) return [];
        this.#stopped = reason;
        this.#leftByClient = byClient && this.#isPaid;
        return [
          { type: "cancel_run", reason },
          { type: "arm", timer: "cancel", ms: this.#options.cancelTimeoutMs },
        ];
      case "holding":
        return this.#gone ? this.#cut(reason) : [];
      case "collecting":
        return this.#gone ? this.#done(reason) : [];
    }
    // What is under way, verification, admission or the receipt, ends the session.
    this.#stopped ??= reason;
    return [];
  }

  /** Gives the client up; what is under way ends for the records. */
  #lose(error: ErrorData): ExecutorEffect[] {
    this.#gone = true;
    return [{ type: "abort", error }, ...this.#stop(error)];
  }

  #shutdown(): ExecutorEffect[] {
    const error = { code: "shutting_down", message: "answer request: shutting down" } as const;
    const isRun = this.#state !== "holding" && this.#state !== "collecting";
    return isRun ? this.#stop(error, false) : this.#lose(error);
  }

  #timer(timer: ExecutorTimer): ExecutorEffect[] {
    switch (timer) {
      case "total":
        return this.#stop({ code: "timeout", message: "answer request: time is up" });
      case "stall":
        return this.#lose({ code: "timeout", message: "send answer: nobody reads it" });
      case "cancel":
        return this.#cut({ code: "backend_timeout", message: "stop backend: no end in time" });
      case "payment":
        return this.#lose({ code: "payment_required", message: "await payment: none in time" });
    }
  }

  #armPayment(): ExecutorEffect {
    return { type: "arm", timer: "payment", ms: this.#options.paymentTimeoutMs };
  }

  /** Ends without a receipt, where the client can still be told why. */
  #reject(error: ErrorData): ExecutorEffect[] {
    return this.#over([
      ...(this.#gone ? [] : [{ type: "reject", error } as const]),
      { type: "done", error, owed: 0n },
    ]);
  }

  /** Ends without a receipt where something is owed: the client must see a broken stream. */
  #cut(error: ErrorData): ExecutorEffect[] {
    const owed = this.#isPaid ? this.#delivery?.owed(this.#end?.end.promptTokens) ?? 0n : 0n;
    return this.#over([{ type: "abort", error }, { type: "done", error, owed }]);
  }

  #done(error: ErrorData | undefined = this.#stopped): ExecutorEffect[] {
    return this.#over([
      { type: "done", response: this.#response!, owed: this.#cost, ...(error && { error }) },
    ]);
  }

  #over(effects: ExecutorEffect[]): ExecutorEffect[] {
    this.#state = "over";
    return [...DISARM_ALL, ...effects];
  }

  #expect(state: State, event: string): void {
    if (this.#state !== state) {
      throw new TypeError(`handle ${event}: the session is ${this.#state}, not ${state}`);
    }
  }
}
