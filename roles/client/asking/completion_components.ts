/** What a completion works with, and how it goes about it. @module */
import type { LloomError } from "@lloom/core/errors";
import type { InferAnswer } from "@lloom/core/net";
import type { Clock } from "@lloom/core/ports";
import type { Attempt, Candidate } from "@lloom/core/routing";
import type { RetryOptions } from "./backoff.ts";
import type { Question } from "./question.ts";

/** How executors are asked, once they are chosen. */
export interface PersistenceOptions {
  /** Whether others are asked where the first choice fails. @default true */
  readonly allowFallbacks?: boolean;
  /**
   * Asks the next executor too if the first has said nothing for so many milliseconds; who speaks
   * first answers, and the other is cancelled. What that one was paid is spent. @default never
   */
  readonly hedgeAfterMs?: number;
  /**
   * Has another executor continue an answer that breaks, if it is one plain text, and the executor
   * did not break the protocol. @default false
   */
  readonly continueBroken?: boolean;
  /** Asks again where all failed for reasons that pass. @default no retry */
  readonly retry?: RetryOptions;
  /** For the whole answer, the search for an executor not included. @default 300000 */
  readonly timeoutMs?: number;
  /** Cancels the request. */
  readonly signal?: AbortSignal;
}

/** What a completion works with. */
export interface CompletionComponents {
  /** The executors to ask, in order. @throws {LloomError} `no_executor`, `budget_exceeded` */
  readonly candidates: (question: Question) => Promise<readonly Candidate[]>;
  /** Asks one of them. */
  readonly ask: (
    candidate: Candidate,
    question: Question,
    limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ) => InferAnswer;
  /** Remembers how it goes. */
  readonly observe: (candidate: Candidate) => Attempt;
  /** Times everything. */
  readonly clock: Clock;
  /** From 0 up to but not including 1. @default {Math.random} */
  readonly random?: () => number;
  /** Told when an executor failed, and another is asked instead of it. */
  readonly onFailover?: (candidate: Candidate, error: LloomError) => void;
  /** Told who gave the answer, or the last part of it. */
  readonly onAnswered?: (candidate: Candidate) => Promise<void>;
}
