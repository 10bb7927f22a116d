/** Time, as the roles have it. @module */
import type { Clock } from "@lloom/core/ports";

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer: (ms, fire) => {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  },
};
