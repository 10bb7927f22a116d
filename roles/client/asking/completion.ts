/** One request, from the choice of an executor to the proven answer. @module */
import { LloomError } from "@lloom/core/errors";
import type { Receipt } from "@lloom/core/net";
import type { Cost } from "@lloom/core/payments";
import { PROMPT_TOKEN_BYTES } from "@lloom/core/protocol";
import type { Candidate } from "@lloom/core/routing";
import { type AnswerPart, Asked } from "./asked.ts";
import { Backoff, pause } from "./backoff.ts";
import { type ChatChunk, readChunks } from "./chat_chunk.ts";
import type { CompletionComponents, PersistenceOptions } from "./completion_components.ts";
import { asksForText, continuationOf, isHonestBreak, plainText } from "./continuation.ts";
import type { Question } from "./question.ts";
import { race, type Spoken } from "./race.ts";

/** What happens to an answer. */
export type CompletionEvent =
  /** Who answers; comes once, just before the first lines. */
  | { readonly type: "answering"; readonly candidate: Candidate }
  /** Whole lines of the answer. Only its end proves them. */
  | { readonly type: "lines"; readonly lines: Uint8Array }
  /** The executor before broke with an error; the next lines, by another one, continue the answer. */
  | { readonly type: "continued"; readonly candidate: Candidate; readonly error: LloomError };

/** What an answer came to, all its parts together. */
export interface CompletionUsage {
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Tokens of the answer. */
  readonly completionTokens: number;
  /** Whether one of the counts is an estimate. */
  readonly estimated: boolean;
  /** What was paid, also to executors that failed or were too slow. */
  readonly cost: Cost;
}

/** For one request, where its caller does not say. */
export const DEFAULT_TIMEOUT_MS = 300_000;
/** With no more time left than this, nobody else is asked. */
const MIN_LEFT_MS = 100;

/**
 * An answer under way, to be read once: by its pieces (iteration), {@linkcode Completion.lines} or
 * {@linkcode Completion.events}. Reading ends when receipts prove that the answer is complete, and
 * throws otherwise. An executor that fails before its first piece is replaced by the next one; after
 * that, a failure is an error, unless another executor can and may continue. Leaving the iteration
 * early cancels the request.
 */
export class Completion implements AsyncIterable<ChatChunk> {
  readonly #question: Question;
  readonly #options: PersistenceOptions;
  readonly #components: CompletionComponents;
  readonly #receipt = Promise.withResolvers<Receipt>();
  readonly #asked: Asked[] = [];
  #firstChoice: string | undefined;
  #endMs: number | undefined;
  #started = false;

  /** An answer that is asked for when it is first read. */
  constructor(
    question: Question,
    options: PersistenceOptions,
    components: CompletionComponents,
  ) {
    this.#question = question;
    this.#options = options;
    this.#components = components;
    // Whoever reads gets the same error there.
    this.#receipt.promise.catch(() => undefined);
  }

  /**
   * The proof of the answer, or of its last part, also if that broke; rejects if there is none. It
   * settles only while somebody reads.
   */
  get receipt(): Promise<Receipt> {
    return this.#receipt.promise;
  }

  /** All executors asked so far, in order. Those that deliver make the answer, one after the other. */
  get parts(): readonly AnswerPart[] {
    return this.#asked.map((asked) => asked.toPart());
  }

  /** What the answer came to. Final at its end, but for executors whose cancelling goes on. */
  usage(): CompletionUsage {
    const delivering = this.#asked.filter(({ delivers }) => delivers);
    const prompt = delivering[0]?.promptTokens;
    const counts = delivering.map(({ tokens }) => tokens);
    return {
      promptTokens: prompt ?? Math.ceil(this.#question.body.length / PROMPT_TOKEN_BYTES),
      completionTokens: counts.reduce((sum, { count }) => sum + count, 0),
      estimated: prompt === undefined || counts.some(({ estimated }) => estimated),
      cost: this.#asked.reduce((sum, { cost }) => sum + cost, 0n),
    };
  }

  /** The pieces of a chat's answer as they come. Leaving the loop cancels the request. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatChunk, void> {
    for await (const lines of this.lines()) yield* readChunks(lines);
  }

  /** Reads all, for the receipt alone. */
  async drain(): Promise<Receipt> {
    for await (const _ of this.lines());
    return await this.receipt;
  }

  /** The answer as whole lines of JSON, as executors deliver them. */
  async *lines(): AsyncGenerator<Uint8Array, void> {
    for await (const event of this.events()) if (event.type === "lines") yield event.lines;
  }

  /** The answer, who gives it, and where one executor continues for another. */
  async *events(): AsyncGenerator<CompletionEvent, void> {
    if (this.#started) throw new TypeError("read completion: it is being read already");
    this.#started = true;
    let asked: Asked | undefined;
    try {
      let spoken = await this.#firstToSpeak(this.#question);
      asked = spoken.asked;
      yield { type: "answering", candidate: asked.candidate };
      for (;;) {
        let { lines } = spoken;
        for (; lines !== undefined; lines = await asked.next()) yield { type: "lines", lines };
        const { error } = asked;
        if (error === undefined) break;
        spoken = await this.#continued(asked, error);
        asked = spoken.asked;
        yield { type: "continued", candidate: asked.candidate, error };
      }
      await this.#components.onAnswered?.(asked.candidate);
      this.#receipt.resolve(asked.receipt);
    } catch (thrown) {
      // What was delivered may be proven all the same.
      const broken = this.#asked.find(({ error }) => error === thrown);
      if (broken === undefined) this.#receipt.reject(thrown);
      else this.#receipt.resolve(broken.receipt);
      throw thrown;
    } finally {
      // Counts only where the reader left: an executor asked ends with a receipt for what it delivered.
      asked?.leave();
      if (asked !== undefined) this.#receipt.resolve(asked.receipt);
      else this.#receipt.reject(new LloomError("aborted", "read completion: the caller left"));
    }
  }

  /** Asks until somebody speaks. @throws {LloomError} why nobody does */
  async #firstToSpeak(question: Question): Promise<Spoken> {
    const { clock, random = Math.random, onFailover } = this.#components;
    const { hedgeAfterMs, retry = {}, signal } = this.#options;
    const backoff = new Backoff(retry, clock, random);
    const failures: LloomError[] = [];
    for (;;) {
      const candidates = await this.#choices(question);
      const { spoken, failed } = await race(candidates.filter((one) => backoff.mayAsk(one)), {
        ask: (candidate) => this.#ask(candidate, question),
        isWorthAnother: () => this.#mayAskAgain(),
        hedgeAfterMs,
        clock,
        onFailover,
      });
      if (spoken !== undefined) {
        spoken.asked.deliver();
        return spoken;
      }
      for (const { candidate, error } of failed) {
        failures.push(error);
        backoff.failed(candidate, error);
      }
      const last = failures.at(-1);
      if (last !== undefined && !this.#mayAskAgain()) throw last;
      const delayMs = backoff.nextRound();
      if (delayMs === undefined || delayMs > this.#leftMs() - MIN_LEFT_MS) {
        throw allFailed(failures);
      }
      await pause(delayMs, clock, signal);
    }
  }

  /** Whom to ask: nobody whose part broke, and without fallbacks only the first choice. */
  async #choices(question: Question): Promise<readonly Candidate[]> {
    const broken = this.#asked.filter(({ delivers }) => delivers).map(({ peerId }) => peerId);
    const candidates = (await this.#components.candidates(question))
      .filter(({ announcement: { peerId } }) => !broken.includes(peerId));
    if (this.#options.allowFallbacks ?? true) return candidates;
    this.#firstChoice ??= candidates[0]?.announcement.peerId;
    return candidates.filter(({ announcement }) => announcement.peerId === this.#firstChoice);
  }

  #ask(candidate: Candidate, question: Question): Asked {
    const { ask, observe } = this.#components;
    const { signal: outer } = this.#options;
    const asked = new Asked(candidate, question, (cancelled) => {
      const signal = outer === undefined ? cancelled : AbortSignal.any([outer, cancelled]);
      return ask(candidate, question, { timeoutMs: Math.max(1, this.#leftMs()), signal });
    }, observe(candidate));
    this.#asked.push(asked);
    return asked;
  }

  /** Has another executor go on after one that broke. @throws {LloomError} its error, if nobody can */
  async #continued(broken: Asked, error: LloomError): Promise<Spoken> {
    const question = this.#continuation(broken, error);
    if (question === undefined) throw error;
    this.#components.onFailover?.(broken.candidate, error);
    try {
      return await this.#firstToSpeak(question);
    } catch (thrown) {
      // Why nobody continues matters less than why somebody had to.
      throw this.#options.signal?.aborted ? thrown : error;
    }
  }

  #continuation({ requestHash }: Asked, error: LloomError): Question | undefined {
    const { continueBroken = false, allowFallbacks = true } = this.#options;
    const { request } = this.#question;
    if (!continueBroken || !allowFallbacks || requestHash === undefined) return undefined;
    if (!asksForText(request) || !isHonestBreak(error) || !this.#mayAskAgain()) {
      return undefined;
    }
    const texts = this.#asked.filter(({ delivers }) => delivers)
      .map((asked) => plainText(asked.delivered()));
    if (texts.includes(undefined)) return undefined;
    const { completionTokens: tokens } = this.usage();
    return continuationOf(request, { text: texts.join(""), tokens, requestHash });
  }

  /**
   * Whether anybody may be asked after a failure. Whatever an executor says of the request is its word
   * alone: here it was read, and found to be one.
   */
  #mayAskAgain(): boolean {
    return !this.#options.signal?.aborted && this.#leftMs() > MIN_LEFT_MS;
  }

  /** All executors share the time. It begins when the first is asked. */
  #leftMs(): number {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const now = this.#components.clock.now();
    this.#endMs ??= now + timeoutMs;
    return this.#endMs - now;
  }
}

function allFailed(failures: readonly LloomError[]): LloomError {
  const last = failures.at(-1);
  if (last === undefined) return new LloomError("no_executor", "select executor: none");
  if (failures.length === 1) return last;
  const message = `ask executors: all ${failures.length} failed, the last one: ${last.message}`;
  const { code, retryAfterMs } = last;
  return new LloomError(code, message, {
    cause: new AggregateError(failures),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
