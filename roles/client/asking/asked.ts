/** One executor that is asked, and how that goes. @module */
import type { Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { InferAnswer, Receipt } from "@lloom/core/net";
import type { Cost } from "@lloom/core/payments";
import { PROMPT_TOKEN_BYTES, textBytes } from "@lloom/core/protocol";
import type { Attempt, Candidate } from "@lloom/core/routing";
import { withoutPreamble } from "./continuation.ts";
import type { Question } from "./question.ts";
import { VectorCheck } from "./vector_check.ts";

/** One executor asked, as the reader of the answer may see it. */
export interface AnswerPart {
  /** Who was asked, and at which price. */
  readonly candidate: Candidate;
  /** Whether what it said is part of the answer; else it failed before, or another was faster. */
  readonly delivers: boolean;
  /** The hash of the request that was signed; absent if none was. */
  readonly requestHash?: Hash;
  /** The hash of the broken request whose answer this one continues. */
  readonly continues?: Hash;
  /** The proof, also of a broken part; absent as long as there is none. */
  readonly receipt?: Receipt;
  /** Why it said nothing, or broke. */
  readonly error?: LloomError;
  /** Base units per 1,000,000 tokens of prompt. */
  readonly inboundPrice: bigint;
  /** Base units per 1,000,000 tokens of answer. */
  readonly outboundPrice: bigint;
  /** Tokens of its answer: by the receipt, else an estimate of what it delivered. */
  readonly tokens: number;
  /** What was paid for it so far, and once it is over, what it came to. */
  readonly cost: Cost;
}

/** An executor under way. Its end, one way or another, is told to what observes executors. */
export class Asked {
  /** Who is asked. */
  readonly candidate: Candidate;
  /** What it is asked. */
  readonly question: Question;
  readonly #answer: InferAnswer;
  readonly #lines: AsyncIterator<Uint8Array>;
  readonly #cancelled = new AbortController();
  readonly #observation: Attempt;
  readonly #settled: Promise<void>;
  /** Of a request for vectors. */
  readonly #vectors: VectorCheck | undefined;
  /** Its first token has not come. */
  #isSilent = true;
  /** It continues an answer, and what it said so far is no part of that. */
  #isPreamble: boolean;
  #delivers = false;
  #isOver = false;
  #receipt: Receipt | undefined;
  #error: LloomError | undefined;

  /**
   * Asks.
   * @param ask sends the request; its signal cancels it
   * @param observation told how it goes
   */
  constructor(
    candidate: Candidate,
    question: Question,
    ask: (signal: AbortSignal) => InferAnswer,
    observation: Attempt,
  ) {
    this.candidate = candidate;
    this.question = question;
    this.#observation = observation;
    this.#answer = ask(this.#cancelled.signal);
    this.#lines = this.#answer[Symbol.asyncIterator]();
    this.#isPreamble = question.continues !== undefined;
    const { request } = question;
    this.#vectors = request.kind === "embedding" ? new VectorCheck(request) : undefined;
    this.#settled = this.#answer.receipt.then(
      (receipt) => void (this.#receipt = receipt),
      () => undefined, // whoever reads the lines gets the same error there
    );
  }

  /** The proof, also of a part; rejects if there is none. */
  get receipt(): Promise<Receipt> {
    return this.#answer.receipt;
  }

  /** Who is asked, by its PeerId. */
  get peerId(): string {
    return this.candidate.announcement.peerId;
  }

  /** Whether what it says is the answer, or a part of it. */
  get delivers(): boolean {
    return this.#delivers;
  }

  /** Why it failed; undefined if it has not. */
  get error(): LloomError | undefined {
    return this.#error;
  }

  /** The hash of its request; undefined before that is signed. */
  get requestHash(): Hash | undefined {
    return this.#answer.requestHash;
  }

  /** Tokens of its prompt; undefined without a receipt. */
  get promptTokens(): number | undefined {
    return this.#receipt?.trailer.promptTokens;
  }

  /** What was paid for it so far, and once it is over, what it came to. */
  get cost(): Cost {
    return this.#answer.spent;
  }

  /** Tokens of its answer: by the receipt, else an estimate of what it delivered. */
  get tokens(): { readonly count: number; readonly estimated: boolean } {
    if (this.#receipt === undefined) return { count: this.#estimate(), estimated: true };
    const { completionTokens, countedBy } = this.#receipt.trailer;
    return { count: completionTokens, estimated: countedBy === "estimate" };
  }

  /** All lines it delivered. */
  delivered(): Uint8Array {
    return this.#answer.delivered();
  }

  /** The next lines; undefined once it is over: whole and proven, or with {@linkcode Asked.error}. */
  async next(): Promise<Uint8Array | undefined> {
    try {
      for (;;) {
        const { done, value } = await this.#lines.next();
        if (done) break;
        this.#vectors?.take(value);
        if (this.#isSilent) this.#observation.firstToken();
        this.#isSilent = false;
        if (!this.#isPreamble) return value;
        const said = withoutPreamble(value);
        if (said.length === 0) continue;
        this.#isPreamble = false;
        return said;
      }
      this.#vectors?.end();
      this.#isOver = true;
      await this.#settled;
      const { response, content } = await this.#answer.receipt;
      // A claim of more tokens than bytes would only make the executor look fast.
      this.#observation.succeeded(Math.min(response.commitment.outboundTokens, content.length));
      return undefined;
    } catch (thrown) {
      this.#error = LloomError.wrap(thrown);
      this.#observation.failed(this.#error.toData());
      this.#cancelled.abort(this.#error);
      await this.#settled;
      return undefined;
    }
  }

  /** What it says is the answer, or a part of it. */
  deliver(): void {
    this.#delivers = true;
  }

  /** Cancels it, as another spoke first. */
  outrun(): void {
    this.#observation.outrun();
    this.#cancelled.abort(new LloomError("aborted", "await answer: another executor was faster"));
  }

  /** Cancels it, as the reader left; does nothing once it is over. */
  leave(): void {
    if (this.#isOver) return;
    const left = new LloomError("aborted", "read completion: the caller left");
    this.#observation.failed(left.toData());
    this.#cancelled.abort(left);
  }

  /** How it stands. */
  toPart(): AnswerPart {
    const { candidate, question: { continues }, requestHash } = this;
    const { inboundPrice, outboundPrice } = candidate.offer;
    return {
      candidate,
      delivers: this.#delivers,
      ...(requestHash !== undefined && { requestHash }),
      ...(continues !== undefined && { continues }),
      ...(this.#receipt && { receipt: this.#receipt }),
      ...(this.#error && { error: this.#error }),
      inboundPrice,
      outboundPrice,
      tokens: this.tokens.count,
      cost: this.cost,
    };
  }

  #estimate(): number {
    if (!this.#delivers) return 0;
    const delivered = this.delivered();
    try {
      return Math.ceil(textBytes(delivered) / PROMPT_TOKEN_BYTES);
    } catch (thrown) {
      // It broke with lines that nobody can read: their bytes are all that is known.
      if (!(thrown instanceof LloomError)) throw thrown;
      return Math.ceil(delivered.length / PROMPT_TOKEN_BYTES);
    }
  }
}
