/** The models on offer, as OpenRouter and both SDKs show them. @module */
import { toChecksumAddress } from "@lloom/core/identity";
import { LloomError } from "@lloom/core/errors";
import { type Asset, formatUnits } from "@lloom/core/payments";
import type { JsonObject, ModelOffer, ModelSummary } from "@lloom/core/protocol";
import type { RegistryEntry } from "@lloom/core/registry";
import type { LloomClient } from "../client.ts";
import { nowS } from "./stamp.ts";

/** What the catalogue works with. */
export interface CatalogComponents {
  /** Knows who offers what. */
  readonly client: Pick<LloomClient, "models" | "executors">;
  /** What is paid with; without it, prices are in base units. */
  readonly asset?: Asset;
  /** Names that clients use, each with the model's own. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/** Lists models, and finds one. */
export class ModelCatalog {
  readonly #components: CatalogComponents;
  /** When a model was first listed here, in Unix seconds: nobody tells when it was made. */
  readonly #since = nowS();

  /** A catalogue of what a client knows. */
  constructor(components: CatalogComponents) {
    this.#components = components;
  }

  /** The body of `GET /v1/models`. @throws {LloomError} `peer_unreachable` */
  async list(signal?: AbortSignal): Promise<JsonObject> {
    const models = await this.#models(signal);
    const data = models.map((model) => this.#entry(model));
    const ids = data.map(({ id }) => id);
    return {
      object: "list",
      data,
      has_more: false,
      first_id: ids[0] ?? null,
      last_id: ids.at(-1) ?? null,
    };
  }

  /**
   * The body of `GET /v1/models/{name}`, with each executor.
   * @throws {LloomError} `model_unavailable` if nobody offers it
   */
  async find(name: string, signal?: AbortSignal): Promise<JsonObject> {
    const model = (await this.#models(signal)).find(({ id }) => id === name);
    if (model === undefined) {
      throw new LloomError("model_unavailable", "find model: nobody was found who offers it");
    }
    const own = this.#nameOf(name);
    const entries = await this.#components.client.executors(own, signal);
    const endpoints = entries.flatMap((entry) => {
      const offer = entry.announcement.models.find(({ id }) => id === own);
      return offer === undefined ? [] : [this.#endpoint(entry, offer)];
    });
    return { ...this.#entry(model), endpoints };
  }

  /** All models by their own names, and those that an alias stands for by the alias too. */
  async #models(signal?: AbortSignal): Promise<readonly ModelSummary[]> {
    const { client, aliases = {} } = this.#components;
    const models = await client.models({}, signal);
    const byName = new Map(models.map((model) => [model.id, model]));
    for (const [alias, name] of Object.entries(aliases)) {
      const model = byName.get(name);
      if (model !== undefined) byName.set(alias, { ...model, id: alias });
    }
    return [...byName.values()];
  }

  #nameOf(name: string): string {
    const { aliases = {} } = this.#components;
    return Object.hasOwn(aliases, name) ? aliases[name]! : name;
  }

  #entry({ id, executors, available, contextLength, features, ...prices }: ModelSummary) {
    return {
      id,
      object: "model",
      created: this.#since,
      owned_by: "lloom",
      name: id,
      ...(contextLength !== undefined && { context_length: contextLength }),
      pricing: this.#pricing(prices.inboundPrice.low, prices.outboundPrice.low),
      architecture: {
        input_modalities: ["text", ...modalities(features)],
        output_modalities: features.includes("chat") || !features.includes("embeddings")
          ? ["text"]
          : ["embeddings"],
      },
      supported_parameters: parametersOf(features),
      features,
      executors: { total: executors, available },
      // What Anthropic's SDK reads.
      type: "model",
      display_name: id,
      created_at: new Date(this.#since * 1000).toISOString(),
    };
  }

  #endpoint({ announcement, lastSeen }: RegistryEntry, offer: ModelOffer) {
    const { peerId, executor, load } = announcement;
    const { backend, contextLength, features, available, performance } = offer;
    return {
      executor: peerId,
      address: toChecksumAddress(executor),
      backend,
      ...(contextLength !== undefined && { context_length: contextLength }),
      pricing: this.#pricing(offer.inboundPrice, offer.outboundPrice),
      features,
      supported_parameters: parametersOf(features),
      available,
      load,
      ...(performance && {
        tokens_per_second: performance.tokensPerSecond,
        time_to_first_token_ms: performance.timeToFirstTokenMs,
        success_rate: performance.successRate,
      }),
      last_seen: new Date(lastSeen).toISOString(),
    };
  }

  /** Prices of one token: they are announced for a million. */
  #pricing(inbound: bigint, outbound: bigint): JsonObject {
    const { asset } = this.#components;
    const perToken = (price: bigint) => formatUnits(price, (asset?.decimals ?? 0) + 6);
    return {
      prompt: perToken(inbound),
      completion: perToken(outbound),
      currency: asset?.symbol ?? "base units",
    };
  }
}

/** What a model takes besides text. */
function modalities(features: readonly string[]): readonly string[] {
  return [
    ...(features.includes("vision") ? ["image"] : []),
    ...(features.includes("audio") ? ["audio"] : []),
  ];
}

/** Fields of a request that each feature stands for. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  chat: ["max_tokens", "temperature", "top_p"],
  completions: ["max_tokens", "temperature", "top_p"],
  tools: ["tools", "tool_choice"],
  parallel_tools: ["parallel_tool_calls"],
  json_mode: ["response_format"],
  json_schema: ["response_format", "structured_outputs"],
  reasoning: ["reasoning", "reasoning_effort"],
  logprobs: ["logprobs", "top_logprobs"],
  seed: ["seed"],
  stop: ["stop"],
  n: ["n"],
};

/** In OpenRouter's words. */
function parametersOf(features: readonly string[]): readonly string[] {
  const known = features.filter((feature) => Object.hasOwn(PARAMETERS, feature));
  return [...new Set(known.flatMap((feature) => PARAMETERS[feature]!))];
}
