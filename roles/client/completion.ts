/** One request, from the choice of an executor to the proven answer. @module */
import { LloomError } from "@lloom/core/errors";
import type { InferAnswer, Receipt } from "@lloom/core/net";
import type { Attempt, Candidate } from "@lloom/core/routing";
import { type ChatChunk, readChunks } from "./chat_chunk.ts";

/** What a {@linkcode Completion} works with. */
export interface CompletionComponents {
  /** The executors to ask, in order. @throws {LloomError} `no_executor` */
  readonly candidates: () => Promise<readonly Candidate[]>;
  /** Asks one of them. */
  readonly ask: (candidate: Candidate) => InferAnswer;
  /** Remembers how it goes. */
  readonly observe: (candidate: Candidate) => Attempt;
  /** Told when an executor failed before it said anything, and the next one is asked. */
  readonly onFailover?: (candidate: Candidate, error: LloomError) => void;
}

/**
 * A chat completion under way: iterate for its pieces as they come. Iteration ends when the receipt
 * proves that the answer is complete, and throws otherwise. An executor that fails before its first
 * piece is replaced by the next one; after that, a failure is an error. Leaving the iteration early
 * cancels the request. It can be iterated once.
 */
export class Completion implements AsyncIterable<ChatChunk> {
  readonly #components: CompletionComponents;
  readonly #receipt = Promise.withResolvers<Receipt>();
  #started = false;

  /** An answer that is asked for when it is first read. */
  constructor(components: CompletionComponents) {
    this.#components = components;
    // Whoever iterates gets the same error there.
    this.#receipt.promise.catch(() => undefined);
  }

  /** The proof, also of a part; rejects if there is none. It settles only while somebody iterates. */
  get receipt(): Promise<Receipt> {
    return this.#receipt.promise;
  }

  /** The pieces as they come. Leaving the loop cancels the request. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatChunk, void> {
    for await (const lines of this.lines()) yield* readChunks(lines);
  }

  /** Reads all, for the receipt alone. */
  async drain(): Promise<Receipt> {
    for await (const _ of this.lines());
    return await this.receipt;
  }

  /** The answer as whole lines of JSON, as the executor delivered them. */
  async *lines(): AsyncGenerator<Uint8Array, void> {
    if (this.#started) throw new TypeError("read completion: it is being read already");
    this.#started = true;
    try {
      const candidates = await this.#components.candidates();
      const failures: LloomError[] = [];
      for (const candidate of candidates) {
        const failure = yield* this.#attempt(candidate);
        if (failure === undefined) return;
        failures.push(failure);
        if (failures.length < candidates.length) {
          this.#components.onFailover?.(candidate, failure);
        }
      }
      throw allFailed(failures);
    } catch (error) {
      this.#receipt.reject(error);
      throw error;
    } finally {
      // Counts only where the reader left before any executor was asked.
      this.#receipt.reject(new LloomError("aborted", "read completion: the caller left"));
    }
  }

  /** @returns why the executor failed before its first piece; undefined if it did not */
  async *#attempt(candidate: Candidate): AsyncGenerator<Uint8Array, LloomError | undefined> {
    const attempt = this.#components.observe(candidate);
    const answer = this.#components.ask(candidate);
    let said = false;
    let left = true;
    try {
      for await (const lines of answer) {
        if (!said) attempt.firstToken();
        said = true;
        yield lines;
      }
      const receipt = await answer.receipt;
      // A claim of more tokens than bytes would only make the executor look fast.
      const { outboundTokens } = receipt.response.commitment;
      attempt.succeeded(Math.min(outboundTokens, receipt.content.length));
      this.#receipt.resolve(receipt);
      left = false;
      return undefined;
    } catch (thrown) {
      left = false;
      const error = LloomError.wrap(thrown);
      attempt.failed(error.toData());
      if (!said && isWorthAnother(error)) return error;
      // What was delivered may be proven all the same.
      await answer.receipt.then(this.#receipt.resolve, this.#receipt.reject);
      throw error;
    } finally {
      if (left) {
        attempt.failed({ code: "aborted", message: "read completion: the caller left" });
        // The executor ends with a receipt for what it had delivered.
        this.#receipt.resolve(answer.receipt);
      }
    }
  }
}

/** What another executor may well do better. */
function isWorthAnother({ code }: LloomError): boolean {
  return code !== "aborted" && code !== "timeout" && code !== "request_invalid";
}

function allFailed(failures: readonly LloomError[]): LloomError {
  const last = failures.at(-1);
  if (last === undefined) return new LloomError("no_executor", "select executor: none");
  if (failures.length === 1) return last;
  const message = `ask executors: all ${failures.length} failed, the last one: ${last.message}`;
  return new LloomError(last.code, message, { cause: new AggregateError(failures) });
}
