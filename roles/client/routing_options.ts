/** How the settings say that an executor is chosen. @module */
import type { ClientConfig } from "@lloom/host/config";
import type { CompleteOptions } from "./client.ts";

/** The routing of a request that does not say otherwise. */
export function routingOptions(
  { executorSelection, client: { defaults, retry: { exponentialBase: base, ...retry } } }:
    ClientConfig,
): CompleteOptions {
  const { strategy, weights, preferredExecutors, maxInboundPrice, maxOutboundPrice } =
    executorSelection;
  return {
    strategy: strategy === "specific"
      ? { type: strategy, names: preferredExecutors }
      : strategy === "balanced"
      ? { type: strategy, weights }
      : strategy === "sticky"
      ? { type: strategy, otherwise: { type: "balanced", weights } }
      : { type: strategy },
    prefer: preferredExecutors,
    ...(maxInboundPrice !== undefined && { maxInboundPrice }),
    ...(maxOutboundPrice !== undefined && { maxOutboundPrice }),
    retry: { ...retry, base },
    timeoutMs: defaults.requestTimeoutSecs * 1000,
  };
}
