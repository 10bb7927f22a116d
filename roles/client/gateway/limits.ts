/** Bounds of the gateway's HTTP. Those of the network are in `@lloom/core/protocol`. @module */

/** How long a failure may still have its own HTTP status, in milliseconds; then the head is sent. */
export const HEAD_WAIT_MS = 10_000;
/** Between two signs of life in a stream that has nothing to tell, in milliseconds. */
export const KEEP_ALIVE_MS = 15_000;
/** How long answers under way may go on when the gateway stops, in milliseconds. */
export const DRAIN_MS = 5_000;
/** Executors named in one request's preferences. */
export const MAX_NAMES = 64;
/** The longest that one request may be allowed to take, in milliseconds. */
export const MAX_TIMEOUT_MS = 3_600_000;
/** The longest answer that is kept for identical requests, in characters. */
export const MAX_KEPT_ANSWER_CHARS = 4 << 20;
/** The longest name of a conversation. */
export const MAX_CONVERSATION_CHARS = 256;
/** Background responses that are made at once. */
export const MAX_BACKGROUND_RUNNING = 16;
/** Background responses that may wait to be made, or for somebody to be told of them. */
export const MAX_BACKGROUND_UNFINISHED = 1_000;
/** The longest address to which a response may be sent. */
export const MAX_CALLBACK_URL_CHARS = 2_048;
/** Waits before a background response, or telling somebody of it, is tried again, in milliseconds. */
export const BACKGROUND_RETRIES_MS: readonly number[] = [1_000, 5_000, 30_000, 120_000];
/** Processes that may begin to make one background response: what each had delivered of it was paid. */
export const MAX_BACKGROUND_STARTS = 5;
/** The longest that a background response waits because an executor asked for it, in milliseconds. */
export const MAX_BACKGROUND_WAIT_MS = 600_000;
/** Responses that one may go on from in a row. */
export const MAX_CHAIN = 1_000;
/**
 * Characters of stored responses that one request may have read: some times the longest request, as
 * each response repeats what it was asked with. All that is kept would take gigabytes to read.
 */
export const MAX_RECALLED_CHARS = 32 << 20;
/** How long `/health` looks for executors before it tells what is known, in milliseconds. */
export const HEALTH_SEARCH_MS = 2_000;
