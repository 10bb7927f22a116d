/** A request's wishes and the owner's settings, as the client of the network takes them. @module */
import { LloomError } from "@lloom/core/errors";
import { type Amount, type Asset, parseAmount } from "@lloom/core/payments";
import type { Strategy } from "@lloom/core/routing";
import type { CompleteOptions } from "../client.ts";
import type { Wallet } from "../wallet.ts";
import type { PriceLimit, WishedStrategy, Wishes } from "./wishes.ts";

/** What wishes are read against. */
export interface OwnersTerms {
  /** How requests are routed that do not say otherwise; its prices bound those that do. */
  readonly routing: CompleteOptions;
  /** The most that one request may cost, in base units. */
  readonly maxPrice?: Amount;
  /** What is paid with; without it only free models are asked. */
  readonly asset?: Asset;
}

/** What an owner allows whose settings are these, and who pays with this wallet. */
export function ownersTerms(
  routing: CompleteOptions,
  { funds, maxPrice }: Pick<Wallet, "funds" | "maxPrice">,
): OwnersTerms {
  return {
    routing,
    ...(funds && { asset: funds.asset }),
    ...(maxPrice !== undefined && { maxPrice }),
  };
}

/**
 * How a request is routed: as it wishes, else as the settings say. Nobody can wish to pay more than
 * the owner allows.
 * @throws {LloomError} `request_invalid` for an amount that is too large
 */
export function askOptions(wishes: Wishes, terms: OwnersTerms): CompleteOptions {
  const { routing, asset } = terms;
  const { maxInboundPrice, maxOutboundPrice, maxPrice } = wishes;
  const exclude = [...routing.exclude ?? [], ...wishes.exclude ?? []];
  const inbound = lower(routing.maxInboundPrice, limit(maxInboundPrice, asset));
  const outbound = lower(routing.maxOutboundPrice, limit(maxOutboundPrice, asset));
  const most = lower(terms.maxPrice, limit(maxPrice, asset));
  return {
    ...routing,
    strategy: strategyOf(wishes, routing.strategy ?? { type: "balanced" }),
    ...(inbound !== undefined && { maxInboundPrice: inbound }),
    ...(outbound !== undefined && { maxOutboundPrice: outbound }),
    ...(most !== undefined && { maxPrice: most }),
    ...(wishes.prefer !== undefined && { prefer: wishes.prefer }),
    ...(wishes.only !== undefined && { only: wishes.only }),
    ...(exclude.length > 0 && { exclude }),
    ...(wishes.allowFallbacks !== undefined && { allowFallbacks: wishes.allowFallbacks }),
    ...(wishes.requireParameters !== undefined && {
      requireParameters: wishes.requireParameters,
    }),
    ...(wishes.hedgeAfterMs !== undefined && { hedgeAfterMs: wishes.hedgeAfterMs }),
    ...(wishes.continueBroken !== undefined && { continueBroken: wishes.continueBroken }),
    ...(wishes.timeoutMs !== undefined && { timeoutMs: wishes.timeoutMs }),
  };
}

/** Who names a conversation wants it to stay where it is. */
function strategyOf({ strategy, conversation }: Wishes, own: Strategy): Strategy {
  const chosen = strategy === undefined ? own : named(strategy, own);
  if (conversation === undefined) return chosen;
  if (chosen.type === "sticky") return { ...chosen, key: conversation };
  return { type: "sticky", key: conversation, otherwise: chosen };
}

/**
 * A strategy by its name, with the settings' weights where they are for it. Whom alone the owner has
 * asked, and in which order, is nobody else's to change.
 */
function named(strategy: WishedStrategy, own: Strategy): Strategy {
  if (strategy === own.type) return own;
  if (strategy === "sticky" && own.type !== "sticky") return { type: "sticky", otherwise: own };
  if (own.type === "specific") return own;
  return { type: strategy };
}

/** In base units. */
function limit(wish: PriceLimit | undefined, asset: Asset | undefined): bigint | undefined {
  if (typeof wish !== "string") return wish;
  // Without an asset nobody is paid, so that no limit is exceeded.
  if (asset === undefined) return undefined;
  const [whole = "", fraction = ""] = wish.split(".");
  const decimals = fraction.slice(0, asset.decimals);
  try {
    return parseAmount(decimals === "" ? whole : `${whole}.${decimals}`, asset);
  } catch (cause) {
    throw new LloomError("request_invalid", "read request: a limit is more than can be paid", {
      cause,
    });
  }
}

function lower(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}
