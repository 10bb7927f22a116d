/** The asking side of `/lloom/registry/2.0.0`. @module */
import { LloomError } from "../errors.ts";
import { exchange } from "../exchange.ts";
import type { MessageStream } from "../ports.ts";
import { decodeAnnouncement } from "../protocol/announcement.ts";
import { GONE_AFTER_MS, MAX_EXECUTORS } from "../protocol/limits.ts";
import {
  decodeAnswer,
  type ListedExecutor,
  type RegistryAnswer,
} from "../protocol/registry/answer.ts";
import { encodeQuery, type RegistryQuery } from "../protocol/registry/query.ts";
import {
  assertNotAhead,
  isForged,
  verifyAnnouncement,
  type VerifyComponents,
} from "./accept_announcement.ts";
import type { RegistryEntry } from "./registry.ts";

/** What answers each type of query. */
export const ANSWER_TYPES = {
  list_models: "models",
  find_model: "executors",
  executors: "executors",
  search: "executors",
  statistics: "statistics",
} as const;

/** The answer that belongs to a query. */
export type AnswerTo<Q extends RegistryQuery> = Extract<
  RegistryAnswer,
  { readonly type: (typeof ANSWER_TYPES)[Q["type"]] }
>;

/** A query whose answer comes in pages. */
export type PagedQuery = Extract<
  RegistryQuery,
  { readonly type: "list_models" | "find_model" | "search" }
>;

/**
 * Asks one query and awaits its answer; the stream can be asked again after it. An abort breaks the
 * stream.
 * @throws {LloomError} what the registry answers, `frame_*` or `protocol_violation` for an answer
 * that is none, `stream_broken`, `aborted` or `timeout`
 */
export async function queryRegistry<Q extends RegistryQuery>(
  stream: MessageStream,
  query: Q,
  signal: AbortSignal,
): Promise<AnswerTo<Q>> {
  const answer = decodeAnswer(
    await exchange(stream, encodeQuery(query), signal, "query registry"),
  );
  if (answer.type === "error") throw LloomError.from(answer.error);
  if (!answers(query, answer)) {
    throw new LloomError("protocol_violation", "query registry: an answer to another question");
  }
  return answer;
}

function answers<Q extends RegistryQuery>(query: Q, answer: RegistryAnswer): answer is AnswerTo<Q> {
  return answer.type === ANSWER_TYPES[query.type];
}

/**
 * Asks page after page, beginning with the one that the query names.
 * @throws {LloomError} as {@linkcode queryRegistry} does, and `protocol_violation` for pages that
 * do not advance or do not end
 */
export async function* queryPages<Q extends PagedQuery>(
  stream: MessageStream,
  query: Q,
  signal: AbortSignal,
): AsyncGenerator<AnswerTo<Q>, void, undefined> {
  let { page = {} }: PagedQuery = query;
  // A registry cuts a page at a size in bytes too, but never below one entry.
  for (let pages = 0; pages < MAX_EXECUTORS; pages++) {
    const answer = await queryRegistry(stream, { ...query, page }, signal);
    yield answer;
    const next = nextOf(answer);
    if (next === undefined) return;
    if (page.after !== undefined && next <= page.after) break;
    page = { ...page, after: next };
  }
  throw new LloomError("protocol_violation", "query registry: pages without end");
}

function nextOf(answer: RegistryAnswer): string | undefined {
  return "next" in answer ? answer.next : undefined;
}

/** Signatures of one answer under verification at once: others wait for the same verifier. */
const MAX_VERIFICATIONS = 16;
/** How often, and how soon, a verifier that has too much to do is asked again. */
const MAX_TRIES = 10;
const RETRY_MS = 100;

/**
 * The executors in an answer that are what they seem: each signed by its own key, not removed, and
 * not gone. The others are left out: a registry can omit an executor, but not invent one.
 * @throws {LloomError} if the verifier itself fails, and nothing could be verified
 */
export async function verifiedExecutors(
  listed: readonly ListedExecutor[],
  components: VerifyComponents,
): Promise<readonly RegistryEntry[]> {
  const entries: RegistryEntry[] = [];
  const failures: unknown[] = [];
  for (let at = 0; at < listed.length; at += MAX_VERIFICATIONS) {
    const batch = listed.slice(at, at + MAX_VERIFICATIONS);
    const results = await Promise.allSettled(batch.map((item) => verifiedSoon(item, components)));
    for (const result of results) {
      if (result.status === "rejected") failures.push(result.reason);
      else if (result.value !== undefined) entries.push(result.value);
    }
  }
  if (entries.length === 0 && failures.length > 0) throw failures[0];
  return entries;
}

/** Asks again after a while where there is too much to verify. */
async function verifiedSoon(
  item: ListedExecutor,
  components: VerifyComponents,
): Promise<RegistryEntry | undefined> {
  for (let tries = 1;; tries++) {
    try {
      return await verified(item, components);
    } catch (thrown) {
      const { code, retryAfterMs = RETRY_MS } = LloomError.wrap(thrown);
      if (code !== "overloaded" || tries === MAX_TRIES) throw thrown;
      const ms = Math.min(RETRY_MS, retryAfterMs);
      await new Promise<void>((resolve) => components.clock.setTimer(ms, resolve));
    }
  }
}

async function verified(
  { signed }: ListedExecutor,
  components: VerifyComponents,
): Promise<RegistryEntry | undefined> {
  const now = components.clock.now();
  try {
    const announcement = decodeAnnouncement(signed.body);
    assertNotAhead(announcement, components.clock);
    const { kind, timestamp } = announcement;
    if (kind === "removal" || now - timestamp > GONE_AFTER_MS) return undefined;
    await verifyAnnouncement(signed, announcement, components);
    return { signed, announcement, lastSeen: Math.min(timestamp, now) };
  } catch (thrown) {
    const error = LloomError.wrap(thrown);
    if (isForged(error)) return undefined;
    if (error.code === "frame_unsupported" || error.code === "announcement_stale") return undefined;
    throw error;
  }
}
