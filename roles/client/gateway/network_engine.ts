/** Questions answered by the network. @module */
import { LloomError } from "@lloom/core/errors";
import type { Completion } from "../asking/completion.ts";
import type { LloomClient } from "../client.ts";
import type { Answer, Ask, Engine } from "./answer.ts";
import { askOptions, type OwnersTerms } from "./ask_options.ts";
import { NetworkAnswer } from "./network_answer.ts";
import { newStamp } from "./stamp.ts";

/** How questions are asked. */
export interface NetworkEngineOptions {
  /** What the owner allows. */
  readonly terms: OwnersTerms;
  /** Names that clients use, each with the model to ask instead. */
  readonly aliases: Readonly<Record<string, string>>;
  /** For requests that name no model. */
  readonly defaultModel: string | undefined;
  /** Questions at once. */
  readonly maxConcurrent: number;
}

/** What questions are asked with. */
export interface NetworkEngineComponents {
  /** Asks; it stays the caller's to close. */
  readonly client: Pick<LloomClient, "complete" | "known">;
  /** Told how many executors failed, before and in an answer. */
  readonly onFailures: (count: number) => void;
}

/** When to come back, where there are too many questions. */
const BUSY_MS = 1000;

/** Asks the network, as many questions at once as is allowed. */
export class NetworkEngine implements Engine {
  readonly #options: NetworkEngineOptions;
  readonly #components: NetworkEngineComponents;
  readonly #underWay = new Set<AbortController>();
  #stopped = false;
  #onIdle: (() => void) | undefined;

  /** An engine on a client of the network. */
  constructor(options: NetworkEngineOptions, components: NetworkEngineComponents) {
    this.#options = options;
    this.#components = components;
  }

  /** Questions being answered. */
  get active(): number {
    return this.#underWay.size;
  }

  /** Begins to ask. @throws {LloomError} as {@linkcode Engine.ask} */
  ask(ask: Ask): Promise<Answer> {
    return new Promise((resolve) => resolve(this.#begin(ask)));
  }

  /**
   * Takes no more questions, and lets those under way come to their end.
   * @param graceMs after that they end with `shutting_down`
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    if (this.#underWay.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    const timer = setTimeout(() => {
      for (const abort of this.#underWay) abort.abort(stopping());
    }, graceMs);
    await promise;
    clearTimeout(timer);
  }

  /** @throws what cannot be asked */
  #begin({ request, wishes, signal }: Ask): Answer {
    const { terms, maxConcurrent, aliases, defaultModel } = this.#options;
    if (this.#stopped) throw stopping();
    if (this.#underWay.size >= maxConcurrent) {
      throw new LloomError("overloaded", "ask: too many requests are being answered", {
        retryAfterMs: BUSY_MS,
      });
    }
    const named = request["model"] ?? defaultModel;
    const isAlias = typeof named === "string" && Object.hasOwn(aliases, named);
    const model = isAlias ? aliases[named] : named;
    const abort = new AbortController();
    const completion = this.#components.client.complete(
      { ...request, model },
      { ...askOptions(wishes, terms), signal: abort.signal },
    );
    const cancel = () => abort.abort(new LloomError("aborted", "answer: the client is gone"));
    this.#underWay.add(abort);
    const answer = new NetworkAnswer({
      ...newStamp(),
      model: String(named),
      ...{ completion, abort, asset: terms.asset },
      explain: (error) => this.#explained(error, String(model)),
      onOver: () => {
        signal.removeEventListener("abort", cancel);
        if (this.#underWay.delete(abort)) this.#over(completion);
      },
    });
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    return answer;
  }

  #over({ parts }: Completion): void {
    const failures = parts.filter(({ error, delivers }) => error !== undefined && !delivers).length;
    if (failures > 0) this.#components.onFailures(failures);
    if (this.#underWay.size === 0) this.#onIdle?.();
  }

  /** A model that nobody has is not the same as one that nobody can serve now. */
  #explained(error: LloomError, model: string): LloomError {
    if (error.code !== "no_executor") return error;
    const { client } = this.#components;
    const isUnknown = client.known().length > 0 && client.known(model).length === 0;
    if (!isUnknown) return error;
    return new LloomError("model_unavailable", "find model: nobody was found who offers it", {
      cause: error,
    });
  }
}

function stopping(): LloomError {
  return new LloomError("shutting_down", "answer: the gateway stops");
}
