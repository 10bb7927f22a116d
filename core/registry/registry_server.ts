/** The answering side of `/lloom/registry/2.0.0`. @module */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../errors.ts";
import type { Clock, MessageStream } from "../ports.ts";
import {
  ANSWER_READ_TIMEOUT_MS,
  IDLE_STREAM_MS,
  MAX_UNREAD_ANSWER_BYTES,
  QUERY_RATE,
  SMALL_ANSWER_BYTES,
} from "../protocol/limits.ts";
import { encodeAnswer, type RegistryAnswer } from "../protocol/registry/answer.ts";
import { decodeQuery, type RegistryQuery } from "../protocol/registry/query.ts";
import { answerQuery } from "./answer_query.ts";
import { QueryRates } from "./query_rates.ts";
import type { Registry } from "./registry.ts";

/** How a registry is served. */
export interface RegistryServerOptions {
  /** How long a stream may ask nothing. @default {IDLE_STREAM_MS} */
  readonly idleMs?: number;
  /** Bytes of answers that may wait for their readers. @default {MAX_UNREAD_ANSWER_BYTES} */
  readonly maxUnreadBytes?: number;
}

/** What a list of models costs above other queries: every offer of every executor is looked at. */
const LIST_COST = 9;

const log = getLogger(["lloom", "registry"]);

/**
 * Answers queries from a registry. A validator serves all executors that it knows; an executor
 * serves a registry that holds only itself, so that discovery needs no validator.
 */
export class RegistryServer {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #maxUnreadBytes: number;
  readonly #startedAt: number;
  readonly #rates: QueryRates;
  #queries = 0;
  #unreadBytes = 0;

  /** A server of what is in a registry. */
  constructor(
    options: RegistryServerOptions,
    { registry, clock }: { readonly registry: Registry; readonly clock: Clock },
  ) {
    this.#registry = registry;
    this.#clock = clock;
    this.#idleMs = options.idleMs ?? IDLE_STREAM_MS;
    this.#maxUnreadBytes = options.maxUnreadBytes ?? MAX_UNREAD_ANSWER_BYTES;
    this.#startedAt = clock.now();
    this.#rates = new QueryRates(QUERY_RATE, { clock });
  }

  /** The answer to one query. */
  answer(query: RegistryQuery): RegistryAnswer {
    this.#queries++;
    return query.type === "statistics"
      ? this.#statistics()
      : answerQuery(query, this.#registry, this.#clock.now());
  }

  /**
   * Serves one stream until the other side ends it. Never rejects: a broken stream is let go.
   * @param peer who asks, as any text that is its own
   */
  async serve(stream: MessageStream, peer = ""): Promise<void> {
    try {
      for (;;) {
        const bytes = await this.#within(stream, this.#idleMs, () => stream.next());
        if (bytes === undefined) break;
        await this.#send(stream, encodeAnswer(this.#reply(bytes, peer)));
      }
      await stream.close();
    } catch (thrown) {
      const error = LloomError.wrap(thrown, "stream_broken", "serve registry");
      log.debug("registry stream ended: {code}", { code: error.code });
      stream.abort(error);
    }
  }

  /** Sends an answer, and waits until it has left: no query is read while one waits for its reader. */
  async #send(stream: MessageStream, answer: Uint8Array): Promise<void> {
    const { length } = answer;
    const hasRoom = this.#unreadBytes + length <= this.#maxUnreadBytes;
    if (!hasRoom && length > SMALL_ANSWER_BYTES) answer = encodeAnswer(OVERLOADED);
    this.#unreadBytes += answer.length;
    try {
      await this.#within(stream, ANSWER_READ_TIMEOUT_MS, async () => {
        stream.send(answer);
        // What is sent leaves at the end of the turn; only then is it known what could not.
        await Promise.resolve();
        await stream.drained();
      });
    } finally {
      this.#unreadBytes -= answer.length;
    }
  }

  #reply(bytes: Uint8Array, peer: string): RegistryAnswer {
    try {
      this.#rates.take(peer, 1);
      const query = decodeQuery(bytes);
      if (query.type === "list_models") this.#rates.take(peer, LIST_COST);
      return this.answer(query);
    } catch (thrown) {
      if (thrown instanceof LloomError) return { type: "error", error: thrown.toData() };
      log.error("query failed: {error}", { error: thrown });
      return { type: "error", error: { code: "internal", message: "answer query: failed" } };
    }
  }

  /** Waits for the other side, but not for ever. */
  async #within<T>(stream: MessageStream, ms: number, wait: () => Promise<T>): Promise<T> {
    const disarm = this.#clock.setTimer(
      ms,
      () => stream.abort(new LloomError("timeout", "serve registry: idle")),
    );
    try {
      return await wait();
    } finally {
      disarm();
    }
  }

  #statistics(): RegistryAnswer {
    let liveExecutors = 0, staleExecutors = 0;
    const models = new Set<string>();
    for (const entry of this.#registry.entries()) {
      if (!this.#registry.isLive(entry)) {
        staleExecutors++;
        continue;
      }
      liveExecutors++;
      for (const { id } of entry.announcement.models) models.add(id);
    }
    const statistics = {
      liveExecutors,
      staleExecutors,
      models: models.size,
      announcements: this.#registry.applied,
      queries: this.#queries,
      uptimeMs: Math.max(0, this.#clock.now() - this.#startedAt),
    };
    return { type: "statistics", statistics };
  }
}

const OVERLOADED: RegistryAnswer = {
  type: "error",
  error: {
    code: "overloaded",
    message: "answer query: too many answers wait for their readers",
    retryAfterMs: 1000,
  },
};
