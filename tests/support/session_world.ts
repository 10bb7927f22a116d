/**
 * Both session machines against each other, over a network and a backend that do anything in any
 * order: the schedule is the caller's, so a failing one shrinks and replays.
 * @module
 */
import { type Hash, ZERO_ADDRESS, ZERO_HASH } from "@lloom/core/bytes";
import type { ErrorData } from "@lloom/core/errors";
import {
  type Cost,
  costOf,
  estimate,
  type OpeningPayment,
  type VoucherMessage,
} from "@lloom/core/payments";
import type { SignedRequest, SignedResponse } from "@lloom/core/ports";
import { encodeTrailer, type ExecutorFrame, type OpenFrame, textBytes } from "@lloom/core/protocol";
import {
  type ClientEffect,
  type ClientEvent,
  ClientSession,
  type ClientSessionRequest,
  type ExecutorEffect,
  type ExecutorEvent,
  ExecutorSession,
} from "@lloom/core/session";
import type { LlmRequestCommitment } from "@lloom/core/signing";
import fc from "fast-check";
import assert from "node:assert/strict";

export const CLIENT = `0x${"c1".repeat(20)}` as const;
export const EXECUTOR = `0x${"e1".repeat(20)}` as const;
export const REQUEST_HASH = `0x${"ab".repeat(32)}` as const;
export const NOW_MS = 1_700_000_000_000;
export const SIGNATURE = new Uint8Array(65);

const RESPONSE_HASH = `0x${"cd".repeat(32)}` as const;
/** In base units per million tokens: a tenth as much for the prompt. */
const PRICES = { inboundPrice: 2n, outboundPrice: 20n } as const;
const FREE = { inboundPrice: 0n, outboundPrice: 0n } as const;
/** Tokens that an executor delivers before they are paid. */
const STEP_TOKENS = 8;
const MAX_TOKENS = 200;
const BODY = new Uint8Array(2);

const commitment: LlmRequestCommitment = {
  channelId: ZERO_HASH,
  executor: EXECUTOR,
  model: "m",
  promptHash: ZERO_HASH,
  systemPromptHash: ZERO_HASH,
  maxTokens: 1000,
  temperature: 0,
  ...FREE,
  nonce: 1n,
  deadline: BigInt(NOW_MS / 1000 + 60),
};
const freeRequest: SignedRequest = { commitment, signature: SIGNATURE };
const paidRequest: SignedRequest = {
  commitment: { ...commitment, ...PRICES, maxTokens: MAX_TOKENS, channelId: RESPONSE_HASH },
  signature: SIGNATURE,
};

const { prepay: PREPAY, maxCost: MAX_COST } = estimate(paidRequest.commitment, BODY.length);
const STEP = costOf(PRICES, 0, STEP_TOKENS);

/** What a voucher says, as far as sessions look. */
function voucher(paid: Cost): VoucherMessage {
  const terms = { cumulativeAmount: 0n, requests: 0n, inboundTokens: 0n, outboundTokens: 0n };
  const signed = {
    voucher: { ...terms, channelId: ZERO_HASH, receiptsRoot: ZERO_HASH },
    signature: SIGNATURE,
  };
  return { signed, paid, first: 0, receipts: [] };
}

const opening: OpeningPayment = {
  terms: {
    client: CLIENT,
    executor: EXECUTOR,
    asset: ZERO_ADDRESS,
    signer: CLIENT,
    closeDelay: 900,
    salt: 0n,
  },
  paid: PREPAY,
  first: 0,
  receipts: [],
};

/** A free request. */
export const ABOUT: ClientSessionRequest = {
  request: freeRequest,
  requestHash: REQUEST_HASH,
  client: CLIENT,
  bodyBytes: BODY.length,
};
/** One that is paid. */
export const ABOUT_PAID: ClientSessionRequest = {
  ...ABOUT,
  request: paidRequest,
  payment: { prepay: PREPAY, paid: PREPAY, answers: 1 },
};

const openOf = (paid: boolean): OpenFrame => ({
  type: "open",
  body: BODY,
  salt: new Uint8Array(32),
  ...(paid ? { request: paidRequest, payment: opening } : { request: freeRequest }),
});

/** A line with so many bytes of text. */
export function lineOf(bytes: number): Uint8Array<ArrayBuffer> {
  const choices = [{ delta: { content: "a".repeat(bytes) } }];
  return new TextEncoder().encode(JSON.stringify({ choices }) + "\n");
}
const failure: ErrorData = { code: "backend_failed", message: "run: failed" };

/** Stands for keccak256: two answers have the same "hash" only if they have the same bytes. */
function contentHash(parts: readonly Uint8Array[]): Hash {
  const bytes = parts.flatMap((part) => [...part]);
  const sum = bytes.reduce((h, byte, i) => (h * 31 + byte * (i + 1)) % 0x7fff_ffff, 7);
  return `0x${sum.toString(16).padStart(64, "0")}`;
}

const PROGRESS: readonly string[] = [
  "→",
  "←",
  "client completes",
  "client pays",
  "executor completes",
  "executor takes",
  "backend ends",
  "backend stops",
];

/** The whole of one request: two machines, two directions of frames, and what is under way. */
export class World {
  readonly client: ClientSession;
  readonly executor: ExecutorSession;
  readonly toExecutor: ("open" | "cancel" | VoucherMessage)[] = [];
  readonly toClient: ExecutorFrame[] = [];
  readonly clientTimers = new Set<string>();
  readonly executorTimers = new Set<string>();
  readonly clientEnds: ClientEffect[] = [];
  readonly executorEnds: ExecutorEffect[] = [];
  readonly delivered: Uint8Array[] = [];
  readonly produced: Uint8Array[] = [];
  clientPending: (() => ClientEvent) | undefined;
  clientPaying: (() => ClientEvent) | undefined;
  executorTaking: (() => ExecutorEvent) | undefined;
  /** How the client's reservation ended: each time. */
  readonly reservationEnds: ClientEffect["type"][] = [];
  /** What the client has signed away for this request, and what of it the executor has taken. */
  clientPaid = PREPAY;
  executorPaid = PREPAY;
  /** Tokens handed out, by the running count, and of the largest batch. */
  handedOut = 0;
  largestBatch = 0;
  /** Batches handed out. */
  handed = 0;
  demands = 0;
  vouchers = 0;
  readonly #tokensOf = new Map<Uint8Array, number>();
  executorPending: (() => ExecutorEvent) | undefined;
  running = false;
  paused = false;
  cancelled: ErrorData | undefined;
  broken = false;
  released = false;
  clientCancelled = false;

  constructor(readonly paid: boolean) {
    this.client = new ClientSession(paid ? ABOUT_PAID : ABOUT);
    this.executor = new ExecutorSession(openOf(paid));
  }

  /** What was handed out comes to, by the running count. */
  get accrued(): Cost {
    return PREPAY + costOf(PRICES, 0, Math.min(MAX_TOKENS, this.handedOut));
  }

  toTheClient(event: ClientEvent): void {
    const wasOver = this.client.over;
    const effects = this.client.handle(event);
    if (wasOver) assert.deepEqual(effects, []);
    for (const effect of effects) this.#clientDo(effect);
  }

  toTheExecutor(event: ExecutorEvent): void {
    const wasOver = this.executor.over;
    const effects = this.executor.handle(event);
    if (wasOver) assert.deepEqual(effects, []);
    for (const effect of effects) this.#executorDo(effect);
  }

  #clientDo(effect: ClientEffect): void {
    switch (effect.type) {
      case "send":
        assert.equal(this.released, false, "nothing is sent on a released stream");
        if (!this.broken) this.toExecutor.push(effect.frame);
        return;
      case "send_voucher":
        assert.equal(this.released, false, "nothing is sent on a released stream");
        this.vouchers++;
        if (!this.broken) this.toExecutor.push(effect.voucher);
        return;
      case "acknowledged":
        return assert.ok(this.paid);
      case "pay": {
        const { total } = effect;
        const received = this.delivered.reduce((sum, lines) => sum + textBytes(lines), 0);
        assert.ok(total <= PREPAY + costOf(PRICES, 0, received), "only what came is paid");
        assert.ok(total > this.clientPaid && total <= MAX_COST);
        this.clientPaid = total;
        assert.equal(this.clientPaying, undefined, "one payment at a time");
        this.clientPaying = () => ({ type: "paid", voucher: voucher(total) });
        return;
      }
      case "settle": {
        assert.equal(this.clientPaying, undefined, "settled after all payments");
        this.reservationEnds.push(effect.type);
        const { cost } = effect.receipt;
        assert.ok(cost <= MAX_COST);
        const more = cost > this.clientPaid;
        if (more) this.clientPaid = cost;
        this.clientPending = () => ({ type: "settled", ...(more && { voucher: voucher(cost) }) });
        return;
      }
      case "dispute":
      case "abandon":
      case "disown":
        this.reservationEnds.push(effect.type);
        return;
      case "arm":
        this.clientTimers.add(effect.timer);
        return;
      case "disarm":
        this.clientTimers.delete(effect.timer);
        return;
      case "deliver":
        this.delivered.push(effect.lines);
        return;
      case "verify": {
        const { response, trailer } = effect;
        this.clientPending = () =>
          response.commitment.contentHash === contentHash([...this.delivered, trailer])
            ? { type: "verified", executor: EXECUTOR, responseHash: RESPONSE_HASH }
            : {
              type: "unverified",
              error: { code: "receipt_invalid", message: "verify: another content" },
            };
        return;
      }
      case "release":
        this.released = true;
        return;
      case "abort":
        this.broken = true;
        return;
      case "finish":
      case "fail":
        this.clientEnds.push(effect);
        return;
    }
  }

  #executorDo(effect: ExecutorEffect): void {
    const send = (frame: ExecutorFrame) => {
      if (!this.broken) this.toClient.push(frame);
    };
    switch (effect.type) {
      case "verify":
        this.executorPending = () => ({
          type: "verified",
          client: CLIENT,
          requestHash: REQUEST_HASH,
        });
        return;
      case "admit":
        this.executorPending = () => ({
          type: "admitted",
          ...(this.paid && { payment: { step: STEP, paid: PREPAY, acknowledged: 0 } }),
        });
        return;
      case "accept":
        return send(effect);
      case "run":
        this.running = true;
        return;
      case "delta": {
        const tokens = this.#tokensOf.get(effect.lines)!;
        this.handed++;
        this.handedOut += tokens;
        this.largestBatch = Math.max(this.largestBatch, tokens);
        return send(effect);
      }
      case "due":
        this.demands++;
        return send(effect);
      case "take": {
        const { paid } = effect.voucher;
        this.executorTaking = () => {
          this.executorPaid = paid;
          return { type: "paid", total: paid };
        };
        return;
      }
      case "settle":
        this.executorPending = () => ({ type: "settled" });
        return;
      case "pause":
        this.paused = true;
        return;
      case "resume":
        this.paused = false;
        return;
      case "cancel_run":
        this.cancelled = effect.reason;
        return;
      case "sign": {
        const response: SignedResponse = { commitment: effect.commitment, signature: SIGNATURE };
        this.executorPending = () => ({
          type: "signed",
          response,
          responseHash: RESPONSE_HASH,
        });
        return;
      }
      case "receipt":
        return send({ type: "receipt", response: effect.response, trailer: effect.trailer });
      case "reject":
        return send({ type: "reject", error: effect.error });
      case "arm":
        this.executorTimers.add(effect.timer);
        return;
      case "disarm":
        this.executorTimers.delete(effect.timer);
        return;
      case "abort":
        this.broken = true;
        return;
      case "done":
        this.executorEnds.push(effect);
        return;
    }
  }

  /** The backend ends: well, or because it was told to. */
  #end(error?: ErrorData): void {
    this.running = false;
    const completionTokens = this.#exactCount();
    const trailer = encodeTrailer({
      finish: error === undefined ? "stop" : error.code === "aborted" ? "cancelled" : "error",
      promptTokens: 3,
      completionTokens,
      countedBy: "backend",
      ...(error && { error }),
    });
    this.toTheExecutor({
      type: "end",
      nowMs: NOW_MS,
      end: {
        trailer,
        contentHash: contentHash([...this.produced, trailer]),
        promptTokens: 3,
        completionTokens,
        success: error === undefined,
      },
    });
  }

  /** The exact count, which is a little off the running one. */
  #exactCount(): number {
    if (!this.paid) return this.produced.length;
    const running = this.produced.reduce((sum, lines) => sum + this.#tokensOf.get(lines)!, 0);
    return Math.min(MAX_TOKENS, Math.max(0, running + this.produced.length % 7 - 3));
  }

  /**
   * What can happen now. Each is listed as often as it is likely: progress mostly, disturbance
   * seldom, so that a schedule reaches every depth of a session before it is disturbed.
   */
  moves(): [name: string, move: () => void][] {
    const moves: [string, () => void][] = [];
    const add = (name: string, move: () => void) => {
      const weight = PROGRESS.includes(name) ? 12 : name === "batch" ? 24 : 1;
      for (let i = 0; i < weight; i++) moves.push([name, move]);
    };
    const forth = this.toExecutor[0];
    const back = this.toClient[0];
    if (!this.broken && forth !== undefined) {
      add("→", () => {
        this.toExecutor.shift();
        if (typeof forth === "object") {
          assert.ok(!this.executor.over, "each voucher comes where one is awaited");
          return this.toTheExecutor({ type: "voucher", voucher: forth });
        }
        this.toTheExecutor(
          forth === "open" ? { type: "open", nowMs: NOW_MS } : { type: "cancel" },
        );
      });
    }
    if (!this.broken && back !== undefined && !this.client.over) {
      add("←", () => {
        this.toClient.shift();
        this.toTheClient({ type: "frame", frame: back, nowMs: NOW_MS });
      });
    }
    if (this.clientPending) {
      add("client completes", () => {
        const pending = this.clientPending!;
        this.clientPending = undefined;
        this.toTheClient(pending());
      });
    }
    if (this.clientPaying) {
      const paying = this.clientPaying;
      const pay = (event: ClientEvent) => {
        this.clientPaying = undefined;
        this.toTheClient(event);
      };
      add("client pays", () => pay(paying()));
      add(
        "client cannot pay",
        () => pay({ type: "unpaid", error: { code: "internal", message: "pay: no disk" } }),
      );
    }
    if (this.executorTaking) {
      const taking = this.executorTaking;
      const take = (event: ExecutorEvent) => {
        this.executorTaking = undefined;
        this.toTheExecutor(event);
      };
      add("executor takes", () => take(taking()));
      add(
        "executor refuses",
        () => take({ type: "unpaid", error: { code: "voucher_invalid", message: "take: bad" } }),
      );
    }
    if (this.executorPending) {
      add("executor completes", () => {
        const pending = this.executorPending!;
        this.executorPending = undefined;
        this.toTheExecutor(pending());
      });
    }
    if (this.running) {
      if (this.cancelled) {
        const reason = this.cancelled;
        add("backend stops", () => {
          if (this.produced.length > 0) return this.#end(reason);
          this.running = false;
          this.toTheExecutor({ type: "failed", error: reason });
        });
      } else {
        add("backend ends", () => this.#end());
      }
      add("batch", () => {
        const text = this.produced.length * 7 % 15;
        const tokens = Math.ceil(text / 2);
        const lines = lineOf(text);
        this.#tokensOf.set(lines, tokens);
        this.produced.push(lines);
        this.toTheExecutor({ type: "batch", lines, tokens });
      });
      add("backend fails", () => {
        if (this.produced.length > 0) return this.#end(failure);
        this.running = false;
        this.toTheExecutor({ type: "failed", error: failure });
      });
      add("backend crashes", () => {
        this.running = false;
        this.toTheExecutor({
          type: "failed",
          error: { code: "worker_crashed", message: "run: the worker crashed" },
        });
      });
      add(
        this.paused ? "drained" : "congested",
        () => this.toTheExecutor({ type: this.paused ? "drained" : "congested" }),
      );
    }
    if (!this.client.over) {
      add("client cancels", () => {
        this.clientCancelled = true;
        this.toTheClient({ type: "cancel", reason: { code: "aborted", message: "test" } });
      });
    }
    if (!this.broken && !this.released) {
      add("cut", () => {
        this.broken = true;
      });
    }
    add("shutdown", () => this.toTheExecutor({ type: "shutdown" }));
    for (const timer of this.clientTimers) {
      add(`client ${timer}`, () => {
        this.clientTimers.delete(timer);
        this.toTheClient({ type: "timer", timer: timer as "total" });
      });
    }
    for (const timer of this.executorTimers) {
      add(`executor ${timer}`, () => {
        this.executorTimers.delete(timer);
        this.toTheExecutor({ type: "timer", timer: timer as "total" });
      });
    }
    return moves;
  }

  /** Both ends notice a broken stream. */
  noticeBreak(): void {
    if (!this.broken) return;
    const error: ErrorData = { code: "stream_broken", message: "test: cut" };
    this.toTheClient({ type: "cut", error });
    this.toTheExecutor({ type: "cut", error });
  }
}

/** Plays a schedule, then lets what is under way come to its end. @param check called after each move */
export function play(
  schedule: readonly number[],
  paid = false,
  check: (world: World) => void = () => {},
): World {
  const world = new World(paid);
  world.toTheClient({ type: "start" });
  for (const choice of schedule) {
    const moves = world.moves();
    moves[choice % moves.length]![1]();
    check(world);
    if (choice % 3 === 0) world.noticeBreak();
  }
  world.noticeBreak();
  // Nothing disturbs any more: what is under way comes to its end, if need be by timers.
  for (let i = 0; i < 1000 && !(world.client.over && world.executorEnds.length > 0); i++) {
    world.noticeBreak();
    const [first] = world.moves();
    if (world.executor.over && world.client.over) break;
    // An executor that was never reached has nothing to end.
    const idle = !world.running && !world.executorPending && !world.executorTaking;
    if (world.client.over && world.broken && idle && world.executorTimers.size === 0) break;
    const useful = world.moves().find(([name]) => PROGRESS.includes(name)) ??
      world.moves().find(([name]) =>
        /^(client|executor) (accept|first|total|cancel|stall|payment)$/.test(name)
      ) ??
      first!;
    useful[1]();
    check(world);
  }
  return world;
}

/** What an executor may have outstanding: a step, or one batch. */
export function mayBeOutstanding({ largestBatch }: World): Cost {
  return costOf(PRICES, 0, Math.max(STEP_TOKENS, largestBatch));
}

/** Schedules of moves, for {@linkcode play}. */
export const schedules: fc.Arbitrary<number[]> = fc.array(fc.nat({ max: 1 << 16 }), {
  minLength: 10,
  maxLength: 80,
});
