/** One answer of the network, as the APIs read it. @module */
import { LloomError } from "@lloom/core/errors";
import { toChecksumAddress } from "@lloom/core/identity";
import { type Asset, formatUnits } from "@lloom/core/payments";
import type { Candidate } from "@lloom/core/routing";
import { getLogger } from "@logtape/logtape";
import { readLines } from "../asking/answer_lines.ts";
import type { AnswerPart } from "../asking/asked.ts";
import type { Completion, CompletionEvent } from "../asking/completion.ts";
import type { Answer, AnswerEnd, Answering, AnswerOrigin, AnswerPiece } from "./answer.ts";

const log = getLogger(["lloom", "gateway"]);

/** What an answer is made of. */
export interface NetworkAnswerComponents extends Pick<Answer, "id" | "model" | "createdS"> {
  /** The request under way, not read yet. */
  readonly completion: Completion;
  /** Cancels it. */
  readonly abort: AbortController;
  /** What is paid with. */
  readonly asset?: Asset | undefined;
  /** Says more of an error, where more is known. */
  readonly explain: (error: LloomError) => LloomError;
  /** Told once when nothing more will come. */
  readonly onOver: () => void;
}

/** An answer that is asked for at once, whether it is read or not. */
export class NetworkAnswer implements Answer {
  readonly id: string;
  readonly model: string;
  readonly createdS: number;
  readonly answering: Promise<Answering>;
  readonly #components: NetworkAnswerComponents;
  readonly #events: AsyncGenerator<CompletionEvent, void>;
  readonly #first: Promise<IteratorResult<CompletionEvent, void>>;

  /** Begins to ask. */
  constructor(components: NetworkAnswerComponents) {
    const { id, model, createdS, completion, abort } = components;
    this.id = id;
    this.model = model;
    this.createdS = createdS;
    this.#components = components;
    this.#events = completion.events();
    this.#first = this.#events.next();
    this.answering = this.#first.then(({ value }) => {
      if (value?.type === "answering") return answeringOf(value.candidate);
      throw new LloomError("internal", "read answer: nobody answers");
    }).catch(async (error) => {
      const failure = this.#failure(error);
      await this.#leave();
      throw failure;
    });
    // Whoever reads the pieces gets the same error there.
    this.answering.catch(() => undefined);
    // A reader that is gone does not come back for the rest.
    abort.signal.addEventListener("abort", () => void this.#leave(), { once: true });
  }

  async *pieces(): AsyncGenerator<AnswerPiece, void> {
    try {
      await this.answering;
      for (;;) {
        const { done, value } = await this.#events.next();
        if (done) break;
        if (value.type === "lines") yield { type: "lines", lines: [...readLines(value.lines)] };
        else if (value.type === "continued") yield seamOf(value);
      }
      this.#components.abort.signal.throwIfAborted();
      yield { type: "end", end: this.#end() };
    } catch (error) {
      throw this.#failure(error);
    } finally {
      await this.#leave();
    }
  }

  /** Ends the request, if it has not ended: it waits for what is being read. */
  async #leave(): Promise<void> {
    try {
      await this.#events.return();
    } catch (error) {
      // Its readers have what matters; there may be none.
      log.debug("leave answer: {error}", { error });
    } finally {
      this.#components.onOver();
    }
  }

  /** Why there is no answer: whoever cancelled says it best. */
  #failure(error: unknown): LloomError {
    const { abort: { signal }, explain } = this.#components;
    return signal.aborted
      ? LloomError.wrap(signal.reason, "aborted")
      : explain(LloomError.wrap(error));
  }

  #end(): AnswerEnd {
    const { completion, asset } = this.#components;
    const { promptTokens, completionTokens, estimated, cost } = completion.usage();
    const delivering = completion.parts.filter(({ delivers }) => delivers);
    return {
      finish: delivering.at(-1)?.receipt?.trailer.finish ?? "stop",
      ...{ promptTokens, completionTokens, estimated },
      ...(cost > 0n && asset !== undefined && {
        cost: formatUnits(cost, asset.decimals + 6),
        asset: asset.symbol,
      }),
      parts: delivering.flatMap(originOf),
      cached: false,
    };
  }
}

function answeringOf({ announcement, offer }: Candidate): Answering {
  return {
    peerId: announcement.peerId,
    address: toChecksumAddress(announcement.executor),
    backend: offer.backend,
    cached: false,
    inboundPrice: String(offer.inboundPrice),
    outboundPrice: String(offer.outboundPrice),
  };
}

function seamOf({ candidate, error }: CompletionEvent & { type: "continued" }): AnswerPiece {
  return { type: "seam", peerId: candidate.announcement.peerId, code: error.code };
}

function originOf({ candidate, requestHash, continues }: AnswerPart): readonly AnswerOrigin[] {
  if (requestHash === undefined) return [];
  const { peerId, executor } = candidate.announcement;
  return [{
    peerId,
    address: toChecksumAddress(executor),
    requestHash,
    ...(continues !== undefined && { continues }),
  }];
}
