/** Gives other work a turn, in the midst of a long computation. @module */

const NOTHING = new Uint8Array();

/**
 * Lets everything run that is due: other answers, timers, and messages from other isolates.
 *
 * It waits for a digest of nothing, which another thread computes: the cheapest way, at about 40 µs,
 * to make the event loop really wait. `setImmediate` and a `MessageChannel` are faster, but their
 * loop keeps itself awake, and Deno then looks for messages from outside only now and then: a cancel
 * came up to 30 and 109 turns late (Deno 2.9.6). A timer waits 2 ms.
 */
export async function breathe(): Promise<void> {
  await crypto.subtle.digest("SHA-256", NOTHING);
}
