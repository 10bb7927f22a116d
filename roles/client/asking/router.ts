/** Which executors a request goes to, and what each can cost. @module */
import { toHex } from "@lloom/core/bytes";
import type { Amount } from "@lloom/core/payments";
import type { Clock } from "@lloom/core/ports";
import {
  messageText,
  type ModelRequest,
  parameterFeatures,
  requiredFeatures,
  systemPrompt,
} from "@lloom/core/protocol";
import type { Registry } from "@lloom/core/registry";
import {
  type Candidate,
  candidatesOf,
  isNamed,
  noExecutor,
  type Observations,
  type PaymentMeans,
  type Requirements,
  select,
  StickyRoutes,
  type Strategy,
} from "@lloom/core/routing";
import { DEFAULT_MAX_TOKENS } from "@lloom/core/session";
import type { Finder } from "./finder.ts";
import { affordable, type Plan, planFor } from "./plan.ts";
import type { Question } from "./question.ts";

/** How executors are chosen. */
export interface RoutingOptions {
  /** Which of those that may be asked comes first. @default balanced */
  readonly strategy?: Strategy;
  /** Base units per 1,000,000 tokens of prompt. @default no limit */
  readonly maxInboundPrice?: bigint;
  /** Base units per 1,000,000 tokens of answer. @default no limit */
  readonly maxOutboundPrice?: bigint;
  /** The most that the request may cost, in base units. @default the wallet's limit */
  readonly maxPrice?: Amount;
  /** PeerIds and addresses to ask before all others, in this order, unless they sit out. */
  readonly prefer?: readonly string[];
  /** PeerIds and addresses; nobody else is asked. @default anybody */
  readonly only?: readonly string[];
  /** PeerIds and addresses not to ask. */
  readonly exclude?: readonly string[];
  /** Executors must say that they honour every parameter of the request. @default false */
  readonly requireParameters?: boolean;
}

/** What a {@linkcode Router} works with. */
export interface RouterComponents {
  /** Looks for executors. */
  readonly finder: Pick<Finder, "find">;
  /** Where they are kept. */
  readonly registry: Pick<Registry, "ofModel">;
  /** How they have served. */
  readonly observations: Observations;
  /** Time. */
  readonly clock: Pick<Clock, "now">;
  /** What can be paid with; undefined: only what is free is asked. */
  readonly means: PaymentMeans | undefined;
  /** The most that a request may cost that does not say. */
  readonly maxPrice: Amount | undefined;
}

/** Of a conversation's beginning, so much tells it from others. */
const MAX_KEY_LENGTH = 65_536;

/** Chooses executors, and remembers who serves which conversation. */
export class Router {
  readonly #components: RouterComponents;
  readonly #routes = new StickyRoutes();

  /** A router that knows no conversation yet. */
  constructor(components: RouterComponents) {
    this.#components = components;
  }

  /**
   * Whom to ask, in order, and what each can cost.
   * @param timeoutMs for the answer
   * @throws {LloomError} `no_executor`, `budget_exceeded`, `peer_unreachable`
   */
  async plans(
    { body, request }: Question,
    options: RoutingOptions,
    { timeoutMs, signal }: {
      readonly timeoutMs: number;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<readonly Plan[]> {
    const { finder, clock, maxPrice: usualPrice } = this.#components;
    await finder.find(request.model, signal);
    const conversation = await conversationOf(request, options.strategy);
    const candidates = this.#candidates(request, body.length, options, conversation);
    const times = { nowMs: clock.now(), timeoutMs };
    const plans = candidates.map((candidate) => planFor(request, body.length, candidate, times));
    return affordable(plans, options.maxPrice ?? usualPrice);
  }

  /** An executor has answered. */
  async answered(
    { request }: Question,
    { announcement: { peerId } }: Candidate,
    { strategy }: RoutingOptions,
  ): Promise<void> {
    const conversation = await conversationOf(request, strategy);
    if (conversation !== undefined) this.#routes.served(conversation, peerId);
  }

  #candidates(
    request: ModelRequest,
    bodyBytes: number,
    options: RoutingOptions,
    conversation: string | undefined,
  ): readonly Candidate[] {
    const { clock, registry, observations, means } = this.#components;
    const { strategy = { type: "balanced" }, prefer = [], requireParameters = false } = options;
    const { maxInboundPrice, maxOutboundPrice, only, exclude } = options;
    const candidates = candidatesOf(registry.ofModel(request.model), request.model, observations);
    const requirements: Requirements = {
      model: request.model,
      features: requiredFeatures(request),
      ...(requireParameters && { parameters: parameterFeatures(request) }),
      ...(maxInboundPrice !== undefined && { maxInboundPrice }),
      ...(maxOutboundPrice !== undefined && { maxOutboundPrice }),
      ...(only !== undefined && { only }),
      ...(exclude !== undefined && { exclude }),
      ...(means && { payment: means }),
    };
    const demand = {
      // English has about four bytes a token; only the ratio of executors' prices and times matters.
      promptTokens: Math.ceil(bodyBytes / 4),
      completionTokens: request.kind === "embedding" ? 0 : request.maxTokens ?? DEFAULT_MAX_TOKENS,
    };
    const stuckTo = conversation === undefined ? undefined : this.#routes.of(conversation);
    const selected = select(candidates, requirements, strategy, demand, { clock, stuckTo });
    if (selected.length === 0) throw noExecutor(candidates, requirements, clock.now());
    const ready = selected.filter(({ observed }) => observed.satOutUntil <= clock.now());
    const preferred = prefer.flatMap((name) => ready.filter((one) => isNamed(one, name)));
    return [...new Set([...preferred, ...selected])];
  }
}

/**
 * A short name of the conversation that a request belongs to: the key that its sender gives it, else
 * its system prompt and first message, which stay the same as it grows. Undefined where conversations
 * are not kept on their executors.
 */
async function conversationOf(
  request: ModelRequest,
  strategy: Strategy | undefined,
): Promise<string | undefined> {
  if (strategy?.type !== "sticky") return undefined;
  const told = strategy.key === undefined
    ? ["beginning", systemPrompt(request).slice(0, MAX_KEY_LENGTH), beginning(request)]
    : ["key", strategy.key];
  const bytes = new TextEncoder().encode(JSON.stringify([request.model, ...told]));
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function beginning(request: ModelRequest): string {
  const text = request.kind === "chat"
    ? messageText(request.messages.find(({ role }) => role === "user") ?? {})
    : request.kind === "completion"
    ? request.prompts.join("\n")
    : "";
  return text.slice(0, MAX_KEY_LENGTH);
}
