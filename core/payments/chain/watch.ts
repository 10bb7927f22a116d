/**
 * Follows the events of channels by asking for them block by block, so that no event is missed
 * however endpoints fail, and what a reorganization undoes is told.
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../../errors.ts";
import type { ChannelEvent } from "./ports.ts";

const log = getLogger(["lloom", "chain"]);

/** Blocks asked for at once: what most endpoints allow. Halved when one refuses. */
const MAX_RANGE = 1000n;
/** Newest blocks that are always read again: an endpoint may know of a block before its events. */
const READ_AGAIN = 12n;
/** Looks in a row at a chain that ends before what was read already, until that is believed. */
const LOOKS_TO_BELIEVE = 5;

/** Where events come from. */
export interface EventSource {
  /** Between two looks, in milliseconds. */
  readonly pollMs: number;
  /** Blocks after which something counts as final. */
  readonly confirmations: number;
  /**
   * The events from a block up to another, or to the newest if that is lower, and the newest, all
   * from one endpoint.
   */
  events(
    from: bigint,
    to: bigint,
  ): Promise<{ readonly events: readonly ChannelEvent[]; readonly head: bigint }>;
}

/**
 * See `ChainReader.watch`.
 * @param pause waits, or until aborted
 * @throws {LloomError} `chain_unavailable` if the chain keeps ending before what was read already
 */
export async function watchEvents(
  source: EventSource,
  fromBlock: bigint,
  onEvents: (events: readonly ChannelEvent[], upTo: bigint) => Promise<void>,
  signal: AbortSignal,
  pause: (ms: number) => Promise<void>,
): Promise<void> {
  /** Told, and so new that they may still be undone. */
  let recent = new Map<string, ChannelEvent>();
  let from = fromBlock;
  let upTo = fromBlock - 1n;
  let range = MAX_RANGE;
  let contradicted = 0;
  while (!signal.aborted) {
    const to = from + range - 1n;
    let answer: Awaited<ReturnType<EventSource["events"]>>;
    try {
      answer = await source.events(from, to);
    } catch (error) {
      // A range with too many events is refused like any other request.
      range = range > 1n ? range / 2n : 1n;
      log.warn("channels are not watched: {message}", { message: LloomError.wrap(error).message });
      await pause(source.pollMs);
      continue;
    }
    if (range < MAX_RANGE) range *= 2n;
    const seen = to < answer.head ? to : answer.head;
    // An endpoint that lags says so for a while; if all keep saying it, a false one told of more.
    contradicted = answer.head + 1n < from ? contradicted + 1 : 0;
    if (contradicted >= LOOKS_TO_BELIEVE) {
      throw new LloomError(
        "chain_unavailable",
        "read events: the chain ends before blocks that were read already",
      );
    }
    if (seen >= from) {
      const found = new Map(answer.events.map((event) => [keyOf(event), event]));
      const undone = [...recent.values()].filter((event) =>
        event.blockNumber <= seen && !found.has(keyOf(event))
      );
      const fresh = [...found.values()].filter((event) => !recent.has(keyOf(event)));
      const final = answer.head - BigInt(source.confirmations) + 1n;
      const before = upTo;
      upTo = larger(upTo, seen < final ? seen : final);
      if (undone.length + fresh.length > 0 || upTo > before) {
        const removed = undone.map((event) => ({ ...event, removed: true }));
        await onEvents([...removed, ...fresh], upTo);
      }
      for (const event of undone) recent.delete(keyOf(event));
      for (const event of fresh) recent.set(keyOf(event), event);
      const again = larger(BigInt(source.confirmations), READ_AGAIN);
      from = larger(from, smaller(seen + 1n, answer.head - again + 1n));
      recent = new Map([...recent].filter(([, { blockNumber }]) => blockNumber >= from));
    }
    // Between two ranges as well: a false newest block may be any number of them away.
    await pause(source.pollMs);
  }
}

function keyOf({ blockHash, logIndex }: ChannelEvent): string {
  return `${blockHash}/${logIndex}`;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
