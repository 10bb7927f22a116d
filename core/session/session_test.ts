/**
 * Both session machines against each other, over a network and a backend that do anything in any
 * order: the schedule is fast-check's, so a failing one shrinks and replays.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Hash, ZERO_HASH } from "../bytes.ts";
import type { ErrorData } from "../errors.ts";
import type { SignedRequest, SignedResponse } from "../ports.ts";
import type { ExecutorFrame, OpenFrame } from "../protocol/infer/mod.ts";
import { encodeTrailer } from "../protocol/trailer.ts";
import { type ClientEffect, type ClientEvent, ClientSession } from "./client_session.ts";
import { type ExecutorEffect, type ExecutorEvent, ExecutorSession } from "./executor_session.ts";

const CLIENT = `0x${"c1".repeat(20)}` as const;
const EXECUTOR = `0x${"e1".repeat(20)}` as const;
const REQUEST_HASH = `0x${"ab".repeat(32)}` as const;
const NOW_MS = 1_700_000_000_000;
const SIGNATURE = new Uint8Array(65);

const request: SignedRequest = {
  commitment: {
    channelId: ZERO_HASH,
    executor: EXECUTOR,
    model: "m",
    promptHash: ZERO_HASH,
    systemPromptHash: ZERO_HASH,
    maxTokens: 1000,
    temperature: 0,
    inboundPrice: 0n,
    outboundPrice: 0n,
    nonce: 1n,
    deadline: BigInt(NOW_MS / 1000 + 60),
  },
  signature: SIGNATURE,
};

const open: OpenFrame = {
  type: "open",
  body: new Uint8Array(2),
  salt: new Uint8Array(32),
  request,
};
const failure: ErrorData = { code: "backend_failed", message: "run: failed" };

const ABOUT = { request, requestHash: REQUEST_HASH, client: CLIENT, bodyBytes: 2 } as const;

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
  "executor completes",
  "backend ends",
  "backend stops",
];

/** The whole of one request: two machines, two directions of frames, and what is under way. */
class World {
  readonly client = new ClientSession(ABOUT);
  readonly executor = new ExecutorSession(open);
  readonly toExecutor: ("open" | "cancel")[] = [];
  readonly toClient: ExecutorFrame[] = [];
  readonly clientTimers = new Set<string>();
  readonly executorTimers = new Set<string>();
  readonly clientEnds: ClientEffect[] = [];
  readonly executorEnds: ExecutorEffect[] = [];
  readonly delivered: Uint8Array[] = [];
  readonly produced: Uint8Array[] = [];
  clientPending: (() => ClientEvent) | undefined;
  executorPending: (() => ExecutorEvent) | undefined;
  running = false;
  paused = false;
  cancelled: ErrorData | undefined;
  broken = false;
  released = false;
  clientCancelled = false;

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
            ? { type: "verified", executor: EXECUTOR }
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
        this.executorPending = () => ({ type: "admitted" });
        return;
      case "accept":
        return send({ type: "accept", requestHash: effect.requestHash });
      case "run":
        this.running = true;
        return;
      case "delta":
        return send({ type: "delta", lines: effect.lines });
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
        this.executorPending = () => ({ type: "signed", response });
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
    const trailer = encodeTrailer({
      finish: error === undefined ? "stop" : error.code === "aborted" ? "cancelled" : "error",
      promptTokens: 3,
      completionTokens: this.produced.length,
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
        completionTokens: this.produced.length,
        success: error === undefined,
      },
    });
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
        const lines = new TextEncoder().encode(`${this.produced.length}\n`);
        this.produced.push(lines);
        this.toTheExecutor({ type: "batch", lines });
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

function play(schedule: readonly number[]): World {
  const world = new World();
  world.toTheClient({ type: "start" });
  for (const choice of schedule) {
    const moves = world.moves();
    moves[choice % moves.length]![1]();
    if (choice % 3 === 0) world.noticeBreak();
  }
  world.noticeBreak();
  // Nothing disturbs any more: what is under way comes to its end, if need be by timers.
  for (let i = 0; i < 1000 && !(world.client.over && world.executorEnds.length > 0); i++) {
    world.noticeBreak();
    const [first] = world.moves();
    if (world.executor.over && world.client.over) break;
    // An executor that was never reached has nothing to end.
    if (world.client.over && world.broken && !world.running && !world.executorPending) break;
    const useful = world.moves().find(([name]) => PROGRESS.includes(name)) ??
      world.moves().find(([name]) =>
        /^(client|executor) (accept|first|total|cancel|stall)$/.test(name)
      ) ??
      first!;
    useful[1]();
  }
  return world;
}

const schedules = fc.array(fc.nat({ max: 1 << 16 }), { minLength: 10, maxLength: 80 });

Deno.test("any schedule: the client ends exactly once, and the executor at most once", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      assert.equal(world.clientEnds.length, 1);
      assert.ok(world.executorEnds.length <= 1);
      assert.equal(world.clientTimers.size, 0, "no timer outlives the client's session");
      if (world.executorEnds.length === 1) assert.equal(world.executorTimers.size, 0);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule: a finished answer is what the executor produced, whole and in order", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.clientEnds;
      if (end?.type !== "finish") return;
      assert.deepEqual(world.delivered, world.produced);
      assert.equal(end.response.commitment.success, end.trailer.finish === "stop");
      assert.equal(end.response.commitment.outboundTokens, world.produced.length);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule: an answer that the client did not finish is never a success", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.clientEnds;
      if (end?.type === "fail") {
        assert.notEqual(end.error.code, "internal");
        return;
      }
      assert.ok(end?.type === "finish");
      // Only who cancelled may find an incomplete answer without an error in its trailer.
      if (!end.response.commitment.success) assert.ok(end.trailer.error !== undefined);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("any schedule: the executor signs a receipt for whatever it delivered, unless it crashed", () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.executorEnds;
      if (end?.type !== "done" || world.produced.length === 0) return;
      if (end.error?.code === "worker_crashed" || end.error?.code === "backend_timeout") return;
      assert.ok(end.response !== undefined);
      assert.equal(end.response.commitment.outboundTokens, world.produced.length);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("an undisturbed request is accepted, streamed, receipted and its stream released", () => {
  const world = new World();
  world.toTheClient({ type: "start" });
  const script = [
    ..."→",
    "executor completes",
    "executor completes",
    "batch",
    "batch",
    "backend ends",
    "executor completes",
    ..."←←←←",
    "client completes",
  ];
  for (const step of script) world.moves().find(([name]) => name === step)![1]();
  assert.equal(world.clientEnds[0]?.type, "finish");
  assert.ok(world.released);
  assert.equal(world.delivered.length, 2);
});

/** Brings a client to the point where it has one delta, then hands it a receipt with changes. */
function receiptWith(
  change: Partial<SignedResponse["commitment"]>,
  trailerFinish = "stop",
): ClientEffect[] {
  const client = new ClientSession(ABOUT);
  client.handle({ type: "start" });
  const at = { nowMs: NOW_MS } as const;
  client.handle({
    type: "frame",
    frame: { type: "accept", requestHash: REQUEST_HASH },
    ...at,
  });
  client.handle({
    type: "frame",
    frame: { type: "delta", lines: new TextEncoder().encode("x\n") },
    ...at,
  });
  const trailer = encodeTrailer({
    finish: trailerFinish,
    promptTokens: 3,
    completionTokens: 1,
    countedBy: "backend",
  });
  const commitment = {
    requestHash: REQUEST_HASH as Hash,
    client: CLIENT,
    model: "m",
    contentHash: ZERO_HASH,
    inboundTokens: 3,
    outboundTokens: 1,
    inboundPrice: 0n,
    outboundPrice: 0n,
    timestamp: BigInt(NOW_MS / 1000),
    success: true,
    ...change,
  };
  const response = { commitment, signature: SIGNATURE };
  return client.handle({ type: "frame", frame: { type: "receipt", trailer, response }, ...at });
}

Deno.test("a receipt that fits the request goes on to its signature's check", () => {
  assert.deepEqual(receiptWith({}).map(({ type }) => type), ["verify"]);
});

for (
  const [name, change] of Object.entries({
    "of another request": { requestHash: ZERO_HASH },
    "for another client": { client: EXECUTOR },
    "for another model": { model: "other" },
    "at other prices": { outboundPrice: 1n },
    "for more tokens than asked for": { outboundTokens: 1001 },
    "for more tokens than the request can have": { inboundTokens: 4099 },
    "for other tokens than its trailer": { inboundTokens: 4 },
    "from the future": { timestamp: BigInt(NOW_MS / 1000 + 3600) },
    "from the past": { timestamp: BigInt(NOW_MS / 1000 - 3600) },
    "that calls a failure a success": { success: false },
  })
) {
  Deno.test(`a receipt ${name} is refused before its signature is looked at`, () => {
    const fail = receiptWith(change).find(({ type }) => type === "fail");
    assert.ok(fail?.type === "fail");
    assert.equal(fail.error.code, "receipt_invalid");
  });
}

for (
  const [name, lines] of Object.entries({
    "without its line feed": [0x61],
    "of an empty line": [0x61, 0x0a, 0x0a],
    "that is no UTF-8": [0xc3, 0x0a],
  })
) {
  Deno.test(`a delta ${name} breaks the answer: its signed bytes would read differently`, () => {
    const client = new ClientSession(ABOUT);
    client.handle({ type: "start" });
    const at = { nowMs: NOW_MS } as const;
    client.handle({ type: "frame", frame: { type: "accept", requestHash: REQUEST_HASH }, ...at });
    const effects = client.handle({
      type: "frame",
      frame: { type: "delta", lines: new Uint8Array(lines) },
      ...at,
    });
    const fail = effects.find(({ type }) => type === "fail");
    assert.ok(fail?.type === "fail");
    assert.equal(fail.error.code, "protocol_violation");
    assert.ok(!effects.some(({ type }) => type === "deliver"));
  });
}

Deno.test("an executor that accepts and says nothing is cancelled, so that another can be asked", () => {
  const client = new ClientSession(ABOUT);
  client.handle({ type: "start" });
  const accept = { type: "accept", requestHash: REQUEST_HASH } as const;
  const accepted = client.handle({ type: "frame", frame: accept, nowMs: NOW_MS });
  assert.ok(accepted.some((effect) => effect.type === "arm" && effect.timer === "first"));
  const late = client.handle({ type: "timer", timer: "first" });
  assert.ok(late.some((effect) => effect.type === "send" && effect.frame === "cancel"));
  const fail = client.handle({ type: "timer", timer: "cancel" })
    .find(({ type }) => type === "fail");
  assert.ok(fail?.type === "fail");
  assert.equal(fail.error.code, "backend_timeout");
});

Deno.test("a receipt signed by another than the executor asked is refused", () => {
  const world = new World();
  world.toTheClient({ type: "start" });
  for (
    const step of ["→", "executor completes", "executor completes", "backend ends"]
  ) world.moves().find(([name]) => name === step)![1]();
  world.moves().find(([name]) => name === "executor completes")![1]();
  for (const _ of "ab") world.moves().find(([name]) => name === "←")![1]();
  world.toTheClient({ type: "verified", executor: CLIENT });
  const [end] = world.clientEnds;
  assert.ok(end?.type === "fail");
  assert.equal(end.error.code, "signer_mismatch");
});

Deno.test("the schedules above reach every kind of end", () => {
  const ends = new Set<string>();
  fc.assert(
    fc.property(schedules, (schedule) => {
      const world = play(schedule);
      const [end] = world.clientEnds;
      const part = world.delivered.length > 0 ? " in mid-stream" : "";
      if (end?.type === "finish") ends.add(`finish ${end.trailer.finish}${part}`);
      if (end?.type === "fail") ends.add(`fail ${end.error.code}${part}`);
    }),
    { numRuns: 3000, seed: 42 },
  );
  for (
    const end of [
      "finish stop in mid-stream",
      "finish cancelled in mid-stream",
      "finish error in mid-stream",
      "fail stream_broken in mid-stream",
      "fail timeout in mid-stream",
      "fail backend_failed",
      "fail worker_crashed",
      "fail shutting_down",
    ]
  ) assert.ok(ends.has(end), `${end} was never reached`);
});
