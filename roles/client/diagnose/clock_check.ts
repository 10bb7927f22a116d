/** Whether this machine's clock agrees with those of others. @module */
import { MAX_CLOCK_SKEW_S } from "@lloom/core/protocol";
import { failed, ok, type Outcome, skipped, warning } from "./check.ts";
import { type AskedPeer, median } from "./network_probe.ts";
import { inWords } from "./time_span.ts";

const ALLOWED_MS = MAX_CLOCK_SKEW_S * 1000;
const REMEDY = "set the clock, and let it be set by itself: `timedatectl set-ntp true` on Linux";

/** What the clock is compared with. */
export interface ClockEvidence {
  /** Peers that told when executors had announced themselves. */
  readonly asked: readonly Pick<AskedPeer, "clockMs">[];
  /** Date of the chain's newest block, in Unix seconds; absent without a chain that answers. */
  readonly blockS?: number;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/**
 * Executors refuse requests that are dated too far from their own time. One peer may be wrong, or lie:
 * the middle of all counts. A block dated ahead counts too, an old one does not: a chain may stand
 * still.
 */
export function checkClock({ asked, blockS, nowMs }: ClockEvidence): Outcome {
  const offsets = asked.flatMap(({ clockMs }) => clockMs === undefined ? [] : [clockMs]);
  const offsetMs = median(offsets);
  if (offsetMs !== undefined && Math.abs(offsetMs) > ALLOWED_MS) {
    return wrong(
      `${inWords(Math.abs(offsetMs))} ${offsetMs > 0 ? "ahead of" : "behind"} the peers`,
    );
  }
  const behindMs = blockS === undefined ? 0 : blockS * 1000 - nowMs;
  if (behindMs > ALLOWED_MS) return wrong(`${inWords(behindMs)} behind the chain's newest block`);
  if (offsetMs === undefined) {
    return blockS === undefined
      ? skipped("there is nobody to compare it with")
      : ok("not behind the chain's newest block; no peer to compare it with");
  }
  const astray = offsets.filter((ms) => Math.abs(ms) > ALLOWED_MS).length;
  if (astray > 0) {
    return warning(
      `agrees with most peers; ${astray} of ${offsets.length} disagree by more than ` +
        `${MAX_CLOCK_SKEW_S} seconds`,
      "nothing is to be done here, if the clock is right",
    );
  }
  return ok(`within ${inWords(Math.abs(offsetMs))} of ${offsets.length} peers`);
}

function wrong(finding: string): Outcome {
  const rule = `executors allow ${MAX_CLOCK_SKEW_S} seconds`;
  return failed("request_expired", `it is ${finding}; ${rule}`, REMEDY);
}
