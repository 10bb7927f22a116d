/** Answers that were given before, for requests that can only have one. @module */
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import type { GatewayConfig } from "@lloom/host/config";
import { getLogger } from "@logtape/logtape";
import { createHash } from "node:crypto";
import { readLines } from "../asking/answer_lines.ts";
import type { RoutingOptions } from "../asking/router.ts";
import type {
  Answer,
  AnswerEnd,
  Answering,
  AnswerLine,
  AnswerPiece,
  Ask,
  Engine,
} from "./answer.ts";
import { isWorthKeeping } from "./kept_answer.ts";
import { MAX_KEPT_ANSWER_CHARS } from "./limits.ts";
import { newStamp } from "./stamp.ts";

const log = getLogger(["lloom", "gateway", "cache"]);

/** Where answers are kept: values under keys, bounded. */
export interface AnswerStore {
  /** A value; undefined if there is none, or none any more. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** Keeps a value, perhaps. */
  put(key: Uint8Array, value: Uint8Array): void;
}

/** What a caching engine works with. */
export interface CachingComponents {
  /** Where answers are kept. */
  readonly store: AnswerStore;
  /** As {@linkcode cacheSettings} gives them. */
  readonly settings: JsonObject;
}

/** What is kept of an answer, besides its lines. */
interface Head {
  readonly model: string;
  readonly answering: Answering;
  readonly end: AnswerEnd;
}

/**
 * Answers a request as before, if it is one that can only be answered so: at temperature 0, or for
 * embeddings. Whatever fails about the cache is logged, and fails no request.
 */
export class CachingEngine implements Engine {
  readonly #engine: Engine;
  readonly #components: CachingComponents;

  /** @param engine answers what was not answered before */
  constructor(engine: Engine, components: CachingComponents) {
    this.#engine = engine;
    this.#components = components;
  }

  /** Begins to ask, or to answer. */
  async ask(ask: Ask): Promise<Answer> {
    if (!isCacheable(ask)) return await this.#engine.ask(ask);
    const key = cacheKey(ask.request, this.#components.settings);
    const kept = this.#kept(key);
    if (kept !== undefined) return kept;
    const answer = await this.#engine.ask(ask);
    return { ...answer, pieces: () => this.#keeping(key, ask.request, answer) };
  }

  #kept(key: Uint8Array): Answer | undefined {
    try {
      const value = this.#components.store.get(key);
      return value && decodeAnswer(value);
    } catch (error) {
      log.warn("read cache: {error}", { error });
      return undefined;
    }
  }

  async *#keeping(
    key: Uint8Array,
    request: JsonObject,
    answer: Answer,
  ): AsyncGenerator<AnswerPiece, void> {
    const lines: AnswerLine[] = [];
    let chars = 0;
    for await (const piece of answer.pieces()) {
      if (piece.type === "lines" && chars <= MAX_KEPT_ANSWER_CHARS) {
        for (const line of piece.lines) {
          chars += line.text.length + 1;
          lines.push(line);
        }
        if (chars > MAX_KEPT_ANSWER_CHARS) lines.length = 0;
      }
      const isKept = piece.type === "end" && chars <= MAX_KEPT_ANSWER_CHARS &&
        isWorthKeeping(request, lines, piece.end);
      if (isKept) {
        const { model, answering } = answer;
        this.#keep(key, { model, answering: await answering, end: piece.end }, lines);
      }
      yield piece;
    }
  }

  #keep(key: Uint8Array, head: Head, lines: readonly AnswerLine[]): void {
    try {
      // No line has a line end in it.
      const text = [JSON.stringify(head), ...lines.map(({ text }) => text)].join("\n");
      this.#components.store.put(key, new TextEncoder().encode(text));
    } catch (error) {
      log.warn("write cache: {error}", { error });
    }
  }
}

/** Whether anybody's answer, of any time, will do. */
function isCacheable({ request, wishes }: Ask): boolean {
  if (wishes.cache === "bypass") return false;
  // To such a request it matters who answers.
  if (wishes.only !== undefined || wishes.exclude !== undefined) return false;
  return request["input"] !== undefined || request["temperature"] === 0;
}

/**
 * Settings that decide what a request means, and whose answers the owner takes: those of an executor
 * that is excluded because it cheats must not be given any longer.
 */
export function cacheSettings(
  { modelAliases, defaultModel }: Pick<GatewayConfig, "modelAliases" | "defaultModel">,
  { exclude, strategy }: RoutingOptions,
): JsonObject {
  const only = strategy?.type === "specific" ? strategy.names : undefined;
  return { modelAliases, defaultModel, exclude, only };
}

/** The hash of a request and of the settings that it is read with, whatever the order of their fields. */
export function cacheKey(request: JsonObject, settings: JsonObject): Uint8Array {
  const text = JSON.stringify([request, settings], (_name, value) => {
    if (!isJsonObject(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1));
  });
  return createHash("sha256").update(text).digest();
}

function decodeAnswer(value: Uint8Array): Answer {
  const headEnd = value.indexOf(0x0a);
  const headBytes = value.subarray(0, headEnd < 0 ? value.length : headEnd);
  const { model, answering, end: { cost: _cost, asset: _asset, ...end } } = JSON.parse(
    new TextDecoder().decode(headBytes),
  ) as Head;
  const lines = headEnd < 0 ? [] : [...readLines(value.subarray(headEnd + 1))];
  return {
    ...newStamp(),
    model,
    answering: Promise.resolve({
      ...answering,
      inboundPrice: "0",
      outboundPrice: "0",
      cached: true,
    }),
    async *pieces() {
      if (lines.length > 0) yield { type: "lines", lines };
      yield { type: "end", end: { ...end, cached: true } };
    },
  };
}
