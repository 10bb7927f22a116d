/** How the settings say that an executor is chosen. @module */
import type { ClientConfig } from "@lloom/host/config";
import type { CompleteOptions } from "../client.ts";
import type { Priority } from "../flags.ts";

/** With high priority, a second executor is asked where the first has said nothing for so long. */
const HEDGE_AFTER_MS = 2000;

/**
 * The routing of a request that does not say otherwise.
 * @param priority `low` and `high` count instead of the settings' strategy, among those that it allows
 */
export function routingOptions(
  { executorSelection, client: { defaults, retry: { exponentialBase: base, ...retry } } }:
    ClientConfig,
  priority: Priority = "normal",
): CompleteOptions {
  const { strategy, weights, preferredExecutors, excludedExecutors, ...prices } = executorSelection;
  const { maxInboundPrice, maxOutboundPrice } = prices;
  const limits = {
    ...(excludedExecutors.length > 0 && { exclude: excludedExecutors }),
    ...(maxInboundPrice !== undefined && { maxInboundPrice }),
    ...(maxOutboundPrice !== undefined && { maxOutboundPrice }),
    retry: { ...retry, base },
    timeoutMs: defaults.requestTimeoutSecs * 1000,
  };
  if (priority !== "normal") {
    return {
      ...limits,
      ...(strategy === "specific" ? { only: preferredExecutors } : { prefer: preferredExecutors }),
      ...(priority === "low"
        ? { strategy: { type: "best-price" } }
        : { strategy: { type: "fastest" }, hedgeAfterMs: HEDGE_AFTER_MS }),
    };
  }
  return {
    ...limits,
    strategy: strategy === "specific"
      ? { type: strategy, names: preferredExecutors }
      : strategy === "balanced"
      ? { type: strategy, weights }
      : strategy === "sticky"
      ? { type: strategy, otherwise: { type: "balanced", weights } }
      : { type: strategy },
    prefer: preferredExecutors,
  };
}
