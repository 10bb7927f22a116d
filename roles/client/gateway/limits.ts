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
/** The longest name of a conversation. */
export const MAX_CONVERSATION_CHARS = 256;
