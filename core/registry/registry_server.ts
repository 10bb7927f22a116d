/** The answering side of `/lloom/registry/2.0.0`. @module */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../errors.ts";
import type { Clock, MessageStream } from "../ports.ts";
import { IDLE_STREAM_MS } from "../protocol/limits.ts";
import { encodeAnswer, type RegistryAnswer } from "../protocol/registry/answer.ts";
import { decodeQuery, type RegistryQuery } from "../protocol/registry/query.ts";
import { answerQuery } from "./answer_query.ts";
import type { Registry } from "./registry.ts";

/** How a registry is served. */
export interface RegistryServerOptions {
  /** How long a stream may neither ask nor read. @default {IDLE_STREAM_MS} */
  readonly idleMs?: number;
}

const log = getLogger(["lloom", "registry"]);

/**
 * Answers queries from a registry. A validator serves all executors that it knows; an executor
 * serves a registry that holds only itself, so that discovery needs no validator.
 */
export class RegistryServer {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #startedAt: number;
  #queries = 0;

  /** A server of what is in a registry. */
  constructor(
    options: RegistryServerOptions,
    { registry, clock }: { readonly registry: Registry; readonly clock: Clock },
  ) {
    this.#registry = registry;
    this.#clock = clock;
    this.#idleMs = options.idleMs ?? IDLE_STREAM_MS;
    this.#startedAt = clock.now();
  }

  /** The answer to one query. */
  answer(query: RegistryQuery): RegistryAnswer {
    this.#queries++;
    return query.type === "statistics"
      ? this.#statistics()
      : answerQuery(query, this.#registry, this.#clock.now());
  }

  /** Serves one stream until the other side ends it. Never rejects: a broken stream is let go. */
  async serve(stream: MessageStream): Promise<void> {
    try {
      for (;;) {
        const bytes = await this.#within(stream, () => stream.next());
        if (bytes === undefined) break;
        if (!stream.send(encodeAnswer(this.#reply(bytes)))) {
          await this.#within(stream, () => stream.drained());
        }
      }
      await stream.close();
    } catch (thrown) {
      const error = LloomError.wrap(thrown, "stream_broken", "serve registry");
      log.debug("registry stream ended: {code}", { code: error.code });
      stream.abort(error);
    }
  }

  #reply(bytes: Uint8Array): RegistryAnswer {
    try {
      return this.answer(decodeQuery(bytes));
    } catch (thrown) {
      if (thrown instanceof LloomError) return { type: "error", error: thrown.toData() };
      log.error("query failed: {error}", { error: thrown });
      return { type: "error", error: { code: "internal", message: "answer query: failed" } };
    }
  }

  /** Waits for the other side, but not for ever. */
  async #within<T>(stream: MessageStream, wait: () => Promise<T>): Promise<T> {
    const disarm = this.#clock.setTimer(
      this.#idleMs,
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
