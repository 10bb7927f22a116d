/** A network that answers as scripted, behind the port that the gateway's APIs use. @module */
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import type {
  Answer,
  AnswerEnd,
  Answering,
  AnswerLine,
  AnswerPiece,
  Ask,
  Engine,
} from "../../roles/client/gateway/answer.ts";

/** What happens next: a piece comes, the answer breaks, or nothing comes until a promise resolves. */
export type Step = AnswerPiece | LloomError | Promise<unknown>;

/** How one question is answered. */
export interface FakeScript {
  /** What `ask` itself throws. */
  readonly refusal?: LloomError;
  /** Before anybody answers: promises are waited for, an error is why nobody does. */
  readonly before?: readonly (LloomError | Promise<unknown>)[];
  /** The answer. @default only its end */
  readonly steps?: readonly Step[];
  /** Who answers. @default {@linkcode ANSWERING} */
  readonly answering?: Partial<Answering>;
}

/** Who answers, if a script does not say. */
export const ANSWERING: Answering = {
  peerId: "16Uiu2HAmFakeExecutor",
  address: "0x00000000000000000000000000000000000000Fa",
  backend: "mock",
  cached: false,
  inboundPrice: "0",
  outboundPrice: "0",
};

/** An end, with what a test says of it. */
export function endOf(end: Partial<AnswerEnd> = {}): AnswerPiece {
  return {
    type: "end",
    end: {
      finish: "stop",
      promptTokens: 7,
      completionTokens: 3,
      estimated: false,
      parts: [{
        peerId: ANSWERING.peerId,
        address: ANSWERING.address,
        requestHash: `0x${"ab".repeat(32)}`,
      }],
      cached: false,
      ...end,
    },
  };
}

/** A line as an executor would send it. */
export function lineOf(value: JsonObject): AnswerLine {
  return { text: JSON.stringify(value), value };
}

/** Lines that come at once. */
export function linesOf(...values: readonly JsonObject[]): AnswerPiece {
  return { type: "lines", lines: values.map(lineOf) };
}

/** A line with one choice of a chat. */
export function deltaOf(delta: JsonObject, finish: string | null = null, index = 0): JsonObject {
  return { choices: [{ index, delta, finish_reason: finish }] };
}

/** A plain answer: each text comes alone. */
export function sayingSteps(...texts: readonly string[]): readonly Step[] {
  return [
    linesOf(deltaOf({ role: "assistant", content: "" })),
    ...texts.map((text) => linesOf(deltaOf({ content: text }))),
    linesOf(deltaOf({}, "stop")),
    endOf(),
  ];
}

/** An engine that plays scripts, and keeps what it was asked. */
export class FakeEngine implements Engine {
  /** All questions so far. */
  readonly asks: Ask[] = [];
  /** Resolves when the first question is cancelled. */
  readonly cancelled: Promise<void>;
  readonly #cancelled = Promise.withResolvers<void>();
  readonly #script: (ask: Ask) => FakeScript;

  /** Answers every question by a script. */
  constructor(script: FakeScript | ((ask: Ask) => FakeScript)) {
    this.#script = typeof script === "function" ? script : () => script;
    this.cancelled = this.#cancelled.promise;
  }

  /** Plays a script. */
  ask(ask: Ask): Promise<Answer> {
    this.asks.push(ask);
    ask.signal.addEventListener("abort", () => this.#cancelled.resolve());
    const { refusal, before = [], steps = [endOf()], answering } = this.#script(ask);
    if (refusal !== undefined) return Promise.reject(refusal);
    const found = (async () => {
      for (const step of before) await play(step, ask.signal);
      return { ...ANSWERING, ...answering };
    })();
    found.catch(() => undefined);
    return Promise.resolve({
      id: "0123456789abcdef0123456789abcdef",
      model: String(ask.request["model"]),
      createdS: 1_700_000_000,
      answering: found,
      async *pieces() {
        await found;
        for (const step of steps) {
          const piece = await play(step, ask.signal);
          if (piece !== undefined) yield piece;
        }
      },
    });
  }
}

async function play(step: Step, signal: AbortSignal): Promise<AnswerPiece | undefined> {
  if (signal.aborted) throw new LloomError("aborted", "fake engine: cancelled");
  if (step instanceof LloomError) throw step;
  if (!(step instanceof Promise)) return step;
  await Promise.race([
    step,
    new Promise((_, reject) =>
      signal.addEventListener(
        "abort",
        () => reject(new LloomError("aborted", "fake engine: cancelled")),
      )
    ),
  ]);
}
