/** How a client wants its request routed: `provider` as OpenRouter has it, and `X-Lloom-*` headers. @module */
import { LloomError } from "@lloom/core/errors";
import { isPeerName } from "@lloom/core/identity";
import { isJsonObject, type JsonObject } from "@lloom/core/protocol";
import { mustBe } from "./body_fields.ts";
import { MAX_CONVERSATION_CHARS, MAX_NAMES, MAX_TIMEOUT_MS } from "./limits.ts";

/** Strategies that a request may ask for by name. */
export const WISHED_STRATEGIES = [
  "best-price",
  "fastest",
  "balanced",
  "latency",
  "throughput",
  "sticky",
] as const;

/** How an executor is chosen. */
export type WishedStrategy = (typeof WISHED_STRATEGIES)[number];

/**
 * The highest price per 1,000,000 tokens: a bigint in base units, or decimal text in whole units of
 * the asset that is paid with.
 */
export type PriceLimit = bigint | string;

/** How one request is to be routed. What is absent is as the settings say. */
export interface Wishes {
  /** How an executor is chosen. */
  readonly strategy?: WishedStrategy;
  /** Keeps requests of the same name on the same executor, with strategy `sticky`. */
  readonly conversation?: string;
  /** PeerIds and addresses to ask first, in order. */
  readonly prefer?: readonly string[];
  /** PeerIds and addresses beside which nobody is asked. */
  readonly only?: readonly string[];
  /** PeerIds and addresses not to ask. */
  readonly exclude?: readonly string[];
  /** False: only the first choice is asked. */
  readonly allowFallbacks?: boolean;
  /** True: executors must say that they honour every parameter. */
  readonly requireParameters?: boolean;
  /** For the prompt. */
  readonly maxInboundPrice?: PriceLimit;
  /** For the answer. */
  readonly maxOutboundPrice?: PriceLimit;
  /** The most that the request may cost: decimal text in whole units of the asset. */
  readonly maxPrice?: string;
  /** Asks the next executor too if the first is silent for so long, in milliseconds. */
  readonly hedgeAfterMs?: number;
  /** Whether another executor continues a broken plain-text answer. */
  readonly continueBroken?: boolean;
  /** For the whole answer, in milliseconds. */
  readonly timeoutMs?: number;
  /** Whether a stored answer will do, and this one may be stored. */
  readonly cache: "use" | "bypass";
}

const EXECUTORS = `at most ${MAX_NAMES} PeerIds or addresses, with no letter mistyped`;
const DECIMAL = /^[0-9]{1,30}(?:\.[0-9]{1,30})?$/;
const BASE_UNITS = /^[0-9]{1,28}$/;

const SORTS: Readonly<Record<string, WishedStrategy>> = {
  price: "best-price",
  throughput: "throughput",
  latency: "latency",
};

/**
 * Reads a request's wishes; where a header and `provider` say different things, the header counts.
 * @param provider the field of the request's body, as sent
 * @param promptCacheKey the field of the request's body, as sent: it tells conversations apart
 * @throws {LloomError} `request_invalid` for what cannot be understood, or cannot be promised here
 */
export function readWishes(headers: Headers, provider: unknown, promptCacheKey?: unknown): Wishes {
  const isNamed = typeof promptCacheKey === "string" && promptCacheKey !== "";
  return {
    cache: "use",
    ...(isNamed && { conversation: promptCacheKey.slice(0, MAX_CONVERSATION_CHARS) }),
    ...readProvider(provider),
    ...readHeaders(headers),
  };
}

function readHeaders(headers: Headers): Partial<Wishes> {
  const read = <T>(name: string, parse: (text: string) => T | undefined, want: string) => {
    const text = headers.get(name)?.trim();
    if (text === undefined || text === "") return undefined;
    return parse(text) ?? mustBe(`header ${name}`, want);
  };
  const executors = (name: string) => read(name, namesInText, EXECUTORS);
  const flag = (name: string) => read(name, flagInText, "true or false");
  const ms = (name: string) => read(name, milliseconds, `an integer from 1 to ${MAX_TIMEOUT_MS}`);
  const strategies = `one of ${WISHED_STRATEGIES.join(", ")}`;
  const baseUnits = (name: string) =>
    read(
      name,
      (text) => BASE_UNITS.test(text) ? BigInt(text) : undefined,
      "base units per 1,000,000 tokens, a whole number",
    );
  return given({
    strategy: read(
      "X-Lloom-Strategy",
      (text) => WISHED_STRATEGIES.find((name) => name === text),
      strategies,
    ),
    conversation: read(
      "X-Lloom-Conversation",
      (text) => text.length <= MAX_CONVERSATION_CHARS ? text : undefined,
      `at most ${MAX_CONVERSATION_CHARS} characters`,
    ),
    only: executors("X-Lloom-Executor"),
    prefer: executors("X-Lloom-Prefer"),
    exclude: executors("X-Lloom-Ignore"),
    maxInboundPrice: baseUnits("X-Lloom-Max-Inbound-Price"),
    maxOutboundPrice: baseUnits("X-Lloom-Max-Outbound-Price"),
    maxPrice: read("X-Lloom-Max-Price", decimal, "an amount such as 0.25"),
    timeoutMs: ms("X-Lloom-Timeout-Ms"),
    hedgeAfterMs: ms("X-Lloom-Hedge-Ms"),
    continueBroken: flag("X-Lloom-Continue"),
    cache: read(
      "X-Lloom-Cache",
      (text) => text === "use" || text === "bypass" ? text : undefined,
      "use or bypass",
    ),
  });
}

function flagInText(text: string): boolean | undefined {
  return text === "true" ? true : text === "false" ? false : undefined;
}

/** Fields of `provider` that Lloom cannot promise: each with the values that ask for nothing. */
const EMPTY_PROMISES: Readonly<Record<string, (value: unknown) => boolean>> = {
  data_collection: (value) => value === "allow",
  zdr: (value) => value === false,
  enforce_distillable_text: (value) => value === false,
  quantizations: (value) => Array.isArray(value) && value.length === 0,
};

function readProvider(provider: unknown): Partial<Wishes> {
  if (provider === undefined || provider === null) return {};
  if (!isJsonObject(provider)) mustBe("provider", "an object");
  const {
    order,
    only,
    ignore,
    sort,
    max_price: maxPrice,
    allow_fallbacks: allowFallbacks,
    require_parameters: requireParameters,
    ...others
  } = provider;
  for (const [name, value] of Object.entries(others)) {
    if (value === null || value === undefined) continue;
    const isEmpty = Object.hasOwn(EMPTY_PROMISES, name) && EMPTY_PROMISES[name]!(value);
    if (!isEmpty) {
      throw new LloomError(
        "request_invalid",
        "read request: provider may have order, only, ignore, sort, max_price, allow_fallbacks and " +
          "require_parameters; nothing else can be promised on this network",
      );
    }
  }
  const named = names("provider.only", only);
  const prefer = names("provider.order", order);
  const fallbacks = flagOf("provider.allow_fallbacks", allowFallbacks);
  // As OpenRouter: with an order and no fallbacks, whoever stands in the order may be asked.
  const isClosed = prefer !== undefined && fallbacks === false;
  const within = named && prefer ? prefer.filter((name) => named.includes(name)) : prefer;
  return given({
    prefer,
    only: isClosed ? within : named,
    exclude: names("provider.ignore", ignore),
    strategy: sortOf(sort),
    allowFallbacks: isClosed ? undefined : fallbacks,
    requireParameters: flagOf("provider.require_parameters", requireParameters),
    ...readMaxPrice(maxPrice),
  });
}

function readMaxPrice(value: unknown): Partial<Wishes> {
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value)) mustBe("provider.max_price", "an object");
  const { prompt, completion, request, ...others }: JsonObject = value;
  if (Object.keys(others).length > 0) {
    mustBe("provider.max_price", "of prompt, completion or request");
  }
  return given({
    maxInboundPrice: amount("provider.max_price.prompt", prompt),
    maxOutboundPrice: amount("provider.max_price.completion", completion),
    maxPrice: amount("provider.max_price.request", request),
  });
}

function amount(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  // A number prints as its shortest decimal, with an exponent where it is very small or large.
  const text = typeof value === "number" ? plain(value) : typeof value === "string" ? value : "";
  return decimal(text) ?? mustBe(field, "a number, not negative, or its decimal text");
}

/** A number without an exponent. */
function plain(value: number): string {
  const text = String(value);
  const match = /^(\d)(?:\.(\d+))?e-(\d+)$/.exec(text);
  if (match === null) return text;
  const [, whole = "", fraction = "", exponent = ""] = match;
  return `0.${"0".repeat(Number(exponent) - 1)}${whole}${fraction}`;
}

function decimal(text: string): string | undefined {
  return DECIMAL.test(text) ? text : undefined;
}

function sortOf(value: unknown): WishedStrategy | undefined {
  if (value === undefined || value === null) return undefined;
  const known = typeof value === "string" && Object.hasOwn(SORTS, value);
  return known ? SORTS[value] : mustBe("provider.sort", "price, throughput or latency");
}

function flagOf(field: string, value: unknown): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === "boolean" ? value : mustBe(field, "true or false");
}

function names(field: string, value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const list: unknown = value;
  if (!Array.isArray(list) || list.length > MAX_NAMES || !list.every(isExecutor)) {
    mustBe(field, `a list of ${EXECUTORS}`);
  }
  return list;
}

function isExecutor(value: unknown): value is string {
  return typeof value === "string" && isPeerName(value);
}

function namesInText(text: string): readonly string[] | undefined {
  const list = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  return list.length > 0 && list.length <= MAX_NAMES && list.every(isExecutor) ? list : undefined;
}

function milliseconds(text: string): number | undefined {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= MAX_TIMEOUT_MS ? value : undefined;
}

/** Only what is there, so that the settings count for the rest. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
