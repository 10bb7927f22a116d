/** `--discover-models` and `--query-model`: what the network offers. @module */
import { toChecksumAddress } from "@lloom/core/identity";
import { LloomError } from "@lloom/core/errors";
import { formatAmount, type PaymentTerms } from "@lloom/core/payments";
import { isoTime, print, printableJson, printTable } from "@lloom/host";
import type { LloomClient } from "./client.ts";
import type { Funds } from "./wallet.ts";

/**
 * Prints all models on offer. Their prices are of executors that may be paid in different assets, so
 * they are in base units.
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
      "discover models: no executor has announced itself here yet; `diagnose` looks why",
    );
  }
  if (format === "json") {
    return print(`${printableJson({ models })}\n`);
  }
  printTable(
    ["MODEL", "EXECUTORS", "CONTEXT", "IN/1M (base units)", "OUT/1M (base units)", "FEATURES"],
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
 * @param funds what can be paid with: prices in that asset are in its whole units
 * @param onFound called before anything is printed
 * @throws {LloomError} `no_executor` if none was found
 */
export async function printExecutors(
  client: LloomClient,
  model: string,
  funds: Funds | undefined,
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
    lastSeen: isoTime({ ms: lastSeen }),
    load: announcement.load,
    payment: announcement.payment,
    offer: announcement.models.find(({ id }) => id === model)!,
  }));
  if (format === "json") return print(`${printableJson({ model, executors })}\n`);
  printTable(
    ["EXECUTOR", "BACKEND", "CONTEXT", "IN/1M", "OUT/1M", "LOAD", "AVAILABLE"],
    executors.map(({ peerId, offer, load, payment }) => [
      peerId,
      offer.backend,
      offer.contextLength === undefined ? "?" : `${offer.contextLength}`,
      priceIn(offer.inboundPrice, payment, funds),
      priceIn(offer.outboundPrice, payment, funds),
      `${load.active}/${load.capacity}`,
      offer.available ? "yes" : "no",
    ]),
  );
}

function priceIn(
  amount: bigint,
  payment: PaymentTerms | undefined,
  funds: Funds | undefined,
): string {
  if (amount === 0n) return "free";
  const isOurs = funds !== undefined && payment?.chainId === funds.chain.chainId &&
    payment.contract === funds.chain.contract && payment.asset === funds.asset.address;
  return isOurs ? formatAmount(amount, funds.asset) : `${amount} (base units)`;
}

function price(amount: bigint): string {
  return amount === 0n ? "free" : `${amount}`;
}

function range({ low, high }: { readonly low: bigint; readonly high: bigint }): string {
  return low === high ? price(low) : `${price(low)}–${price(high)}`;
}
