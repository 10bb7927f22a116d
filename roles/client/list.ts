/** `--discover-models` and `--query-model`: what the network offers. @module */
import { toChecksumAddress } from "@lloom/core/identity";
import { LloomError } from "@lloom/core/errors";
import { print, printableJson, printTable } from "@lloom/host";
import type { LloomClient } from "./client.ts";

/**
 * Prints all models on offer.
 * @param onFound called before anything is printed
 * @throws {LloomError} `no_executor` if none was found
 */
export async function printModels(
  client: LloomClient,
  format: "text" | "json",
  signal: AbortSignal,
  onFound: () => void,
): Promise<void> {
  const models = await client.models({}, signal);
  onFound();
  if (models.length === 0) {
    throw new LloomError(
      "no_executor",
      "discover models: no executor has announced itself here yet",
    );
  }
  if (format === "json") {
    return print(`${printableJson({ models })}\n`);
  }
  printTable(
    ["MODEL", "EXECUTORS", "CONTEXT", "IN/1M", "OUT/1M", "FEATURES"],
    models.map(({ id, executors, available, contextLength, features, ...prices }) => [
      id,
      available === executors ? `${executors}` : `${available} of ${executors}`,
      contextLength === undefined ? "?" : `${contextLength}`,
      range(prices.inboundPrice),
      range(prices.outboundPrice),
      features.join(",") || "-",
    ]),
  );
}

/**
 * Prints the executors of one model.
 * @param onFound called before anything is printed
 * @throws {LloomError} `no_executor` if none was found
 */
export async function printExecutors(
  client: LloomClient,
  model: string,
  format: "text" | "json",
  signal: AbortSignal,
  onFound: () => void,
): Promise<void> {
  const entries = await client.executors(model, signal);
  onFound();
  if (entries.length === 0) {
    throw new LloomError("no_executor", "query model: nobody was found who serves it");
  }
  const executors = entries.map(({ announcement, lastSeen }) => ({
    peerId: announcement.peerId,
    address: toChecksumAddress(announcement.executor),
    multiaddrs: announcement.multiaddrs,
    lastSeen: new Date(lastSeen).toISOString(),
    load: announcement.load,
    offer: announcement.models.find(({ id }) => id === model)!,
  }));
  if (format === "json") return print(`${printableJson({ model, executors })}\n`);
  printTable(
    ["EXECUTOR", "BACKEND", "CONTEXT", "IN/1M", "OUT/1M", "LOAD", "AVAILABLE"],
    executors.map(({ peerId, offer, load }) => [
      peerId,
      offer.backend,
      offer.contextLength === undefined ? "?" : `${offer.contextLength}`,
      price(offer.inboundPrice),
      price(offer.outboundPrice),
      `${load.active}/${load.capacity}`,
      offer.available ? "yes" : "no",
    ]),
  );
}

function price(amount: bigint): string {
  return amount === 0n ? "free" : `${amount}`;
}

function range({ low, high }: { readonly low: bigint; readonly high: bigint }): string {
  return low === high ? price(low) : `${price(low)}–${price(high)}`;
}
