/** Executors whose answers a test writes by hand, for a client that asks them. @module */
import { concat, type Hash } from "@lloom/core/bytes";
import { type ErrorCode, LloomError } from "@lloom/core/errors";
import type { InferAnswer, Receipt } from "@lloom/core/net";
import type { Attempt, Candidate } from "@lloom/core/routing";
import { Completion } from "../../roles/client/asking/completion.ts";
import type { PersistenceOptions } from "../../roles/client/asking/completion_components.ts";
import { type Question, readQuestion } from "../../roles/client/asking/question.ts";
import { ManualClock } from "./manual_clock.ts";

const encoder = new TextEncoder();

/** One line of an answer, with what a delta adds. */
export function line(delta: object, finish: string | null = null): Uint8Array {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  return encoder.encode(`${JSON.stringify({ choices })}\n`);
}

/** How an answer ends. */
interface End {
  readonly error?: LloomError;
  readonly receipt?: { readonly tokens: number; readonly promptTokens: number };
}

/** One answer under way; what it says and how it ends is told by the test. */
export class ScriptedAnswer implements InferAnswer {
  readonly question: Question;
  readonly timeoutMs: number;
  /** What it costs. */
  spent = 0n;
  /** How its cancelling ends. @default a receipt for what it said */
  onCancel: () => void = () => this.end({ tokens: this.#said.length, promptTokens: 7 });
  /** Undefined: not signed yet. */
  requestHash: Hash | undefined;
  readonly receipt: Promise<Receipt>;
  readonly #peerId: string;
  readonly #proof = Promise.withResolvers<Receipt>();
  readonly #said: Uint8Array[] = [];
  #given = 0;
  #over: End | undefined;
  #reason: LloomError | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(
    peerId: string,
    question: Question,
    number: number,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ) {
    this.#peerId = peerId;
    this.question = question;
    this.timeoutMs = timeoutMs;
    this.requestHash = `0x${number.toString(16).padStart(64, "0")}`;
    this.receipt = this.#proof.promise;
    this.receipt.catch(() => undefined);
    const cancel = () => {
      if (this.#over !== undefined) return;
      this.#reason = LloomError.wrap(signal.reason, "aborted");
      this.onCancel();
    };
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel);
  }

  /** Why it was cancelled; undefined if it was not. */
  get cancelled(): ErrorCode | undefined {
    return this.#reason?.code;
  }

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** What it is asked, as JSON. */
  get asked(): Readonly<Record<string, unknown>> {
    return JSON.parse(new TextDecoder().decode(this.question.body));
  }

  /** Delivers lines: texts of the answer, or bytes as they are. */
  say(...texts: readonly (string | Uint8Array)[]): this {
    for (const text of texts) {
      this.#said.push(typeof text === "string" ? line({ content: text }) : text);
    }
    this.#stir();
    return this;
  }

  /** Ends with a receipt: of a whole answer, or of a part if it was cancelled. */
  end(receipt: NonNullable<End["receipt"]>): void {
    this.#finish({ receipt, ...(this.#reason && { error: this.#reason }) });
  }

  /** Fails. @param receipt for what it said; absent for none */
  fail(code: ErrorCode, receipt?: End["receipt"], retryAfterMs?: number): void {
    const error = new LloomError(code, `answer: ${code}`, {
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
    this.#finish({ error: this.#reason ?? error, ...(receipt && { receipt }) });
  }

  delivered(): Uint8Array {
    return concat(this.#said);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      while (this.#given < this.#said.length) yield this.#said[this.#given++]!;
      if (this.#over !== undefined) {
        if (this.#over.error !== undefined) throw this.#over.error;
        return;
      }
      await this.#wake.promise;
    }
  }

  #finish(end: End): void {
    this.#over = end;
    // The proof comes later than the end, as a signature does.
    queueMicrotask(() => {
      if (end.receipt === undefined) return this.#proof.reject(end.error);
      const { tokens, promptTokens } = end.receipt;
      this.#proof.resolve({
        executor: { peerId: this.#peerId },
        requestHash: this.requestHash,
        response: { commitment: { outboundTokens: tokens } },
        trailer: { completionTokens: tokens, promptTokens, countedBy: "backend" },
        content: this.delivered(),
      } as unknown as Receipt);
    });
    this.#stir();
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** Executors by their names, in the order in which they are asked. */
export class ScriptedExecutors {
  readonly clock = new ManualClock();
  /** All that were asked, in order, by name. */
  readonly names: string[] = [];
  /** Who gave whole answers. */
  readonly answered: string[] = [];
  /** Who was replaced, and why. */
  readonly failovers: string[] = [];
  /** What was observed of them. */
  readonly observed: string[] = [];
  /** How often executors were chosen. */
  choices = 0;
  readonly #candidates: readonly Candidate[];
  readonly #waiting: ScriptedAnswer[] = [];
  #next = Promise.withResolvers<void>();

  /** @param names who can be asked */
  constructor(...names: readonly string[]) {
    this.#candidates = names.map((peerId, i) => ({
      announcement: { peerId },
      offer: { inboundPrice: BigInt(i), outboundPrice: BigInt(2 * i) },
    } as unknown as Candidate));
  }

  /** Asks them. */
  complete(request: object, options: PersistenceOptions = {}): Completion {
    const question = readQuestion(encoder.encode(JSON.stringify(request)));
    return new Completion(question, options, {
      clock: this.clock,
      random: () => 0.5,
      candidates: () => {
        this.choices++;
        return Promise.resolve(this.#candidates);
      },
      observe: ({ announcement: { peerId } }) => this.#observer(peerId),
      ask: ({ announcement: { peerId } }, asked, limits) => {
        const answer = new ScriptedAnswer(peerId, asked, this.names.length + 1, limits);
        this.names.push(peerId);
        this.#waiting.push(answer);
        this.#next.resolve();
        return answer;
      },
      onFailover: ({ announcement: { peerId } }, { code }) =>
        void this.failovers.push(`${peerId} ${code}`),
      onAnswered: ({ announcement: { peerId } }) => {
        this.answered.push(peerId);
        return Promise.resolve();
      },
    });
  }

  /** Resolves once all have failed, and a timer says when they are asked again. */
  async pausing(): Promise<void> {
    for (let ticks = 0; this.clock.armed === 0; ticks++) {
      if (ticks > 1000) throw new Error("await pause: no timer was set");
      await Promise.resolve();
    }
  }

  /** The next answer that is asked for. */
  async next(): Promise<ScriptedAnswer> {
    for (;;) {
      const answer = this.#waiting.shift();
      if (answer !== undefined) return answer;
      this.#next = Promise.withResolvers();
      await this.#next.promise;
    }
  }

  #observer(name: string): Attempt {
    let over = false;
    const tell = (what: string, ends: boolean) => {
      if (!over) this.observed.push(`${name} ${what}`);
      over ||= ends;
    };
    return {
      firstToken: () => tell("first token", false),
      outrun: () => tell("outrun", true),
      succeeded: () => tell("succeeded", true),
      failed: ({ code }) => tell(code, true),
    };
  }
}
