/** The gateway: the network behind an HTTP server on this machine. @module */
import { LloomError } from "@lloom/core/errors";
import { systemClock } from "@lloom/host";
import type { GatewayCacheConfig, GatewayConfig } from "@lloom/host/config";
import { type HttpServer, serveHttp } from "@lloom/host/http";
import { SqliteResponseCache, SqliteResponseStore } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { join } from "node:path";
import type { LloomClient } from "../client.ts";
import { hostInUrl } from "../gateway_http.ts";
import { createApp } from "./app.ts";
import type { OwnersTerms } from "./ask_options.ts";
import { cacheSettings, CachingEngine } from "./caching_engine.ts";
import { Guard } from "./guard.ts";
import { type HealthFacts, healthReport } from "./health.ts";
import { DRAIN_MS, HEALTH_SEARCH_MS } from "./limits.ts";
import { messagesRoutes } from "./messages/messages_routes.ts";
import { GatewayMetrics } from "./metrics.ts";
import { ModelCatalog } from "./model_catalog.ts";
import { NetworkEngine } from "./network_engine.ts";
import { pageRoutes } from "./page/page_routes.ts";
import { BackgroundResponses } from "./responses/background.ts";
import { responsesRoutes } from "./responses/responses_routes.ts";

const log = getLogger(["lloom", "gateway"]);

/** What a gateway works with. */
export interface GatewayComponents {
  /** Asks the network; it stays the caller's to close, after the gateway. */
  readonly client: LloomClient;
  /** What the owner allows. */
  readonly terms: OwnersTerms;
  /** Where answers are kept. */
  readonly dataDir: string;
}

/** A gateway at work. */
export class Gateway {
  /** Where it listens. */
  readonly url: string;
  readonly #server: HttpServer;
  readonly #engine: NetworkEngine;
  readonly #background: BackgroundResponses;
  readonly #stores: readonly Closable[];

  private constructor(
    url: string,
    server: HttpServer,
    engine: NetworkEngine,
    background: BackgroundResponses,
    stores: readonly Closable[],
  ) {
    this.url = url;
    this.#server = server;
    this.#engine = engine;
    this.#background = background;
    this.#stores = stores;
  }

  /**
   * Listens.
   * @throws {LloomError} `config_invalid` if it cannot, or would serve other machines without a key
   */
  static async start(config: GatewayConfig, components: GatewayComponents): Promise<Gateway> {
    const { client, terms } = components;
    const { host, port, maxConnections, maxBodyBytes, modelAliases, defaultModel } = config;
    const guard = new Guard(config);
    const metrics = new GatewayMetrics();
    const network = new NetworkEngine({
      ...{ terms, defaultModel },
      aliases: modelAliases,
      maxConcurrent: config.maxConcurrentRequests,
    }, { client, onFailures: (count) => metrics.failed(count) });
    const cache = openCache(config.cache, components.dataDir);
    const settings = cacheSettings(config, terms.routing);
    const engine = metrics.metered(
      cache === undefined ? network : new CachingEngine(network, { store: cache, settings }),
    );
    const store = new SqliteResponseStore(join(components.dataDir, "responses.db"));
    const background = new BackgroundResponses({ engine, store });
    const stores = cache === undefined ? [store] : [store, cache];
    const facts = () => factsOf(client, network.active);
    const app = createApp({
      ...{ engine, guard },
      async health() {
        await lookAround(client);
        return healthReport(facts());
      },
      catalog: new ModelCatalog({
        client,
        aliases: modelAliases,
        ...(terms.asset && { asset: terms.asset }),
      }),
      metrics: () => {
        const { executors, peers } = facts();
        return metrics.text({ executorsAvailable: executors.available, peersConnected: peers });
      },
      mounts: [
        messagesRoutes(engine),
        responsesRoutes({ engine, store, background }),
        pageRoutes(),
      ],
    });
    try {
      const server = await serveHttp({
        ...{ host, port, maxConnections, maxBodyBytes },
        admit: (request) => app.admit(request),
        tooLarge: (request) => app.tooLarge(request),
      }, (request) => app.handle(request));
      const url = `http://${hostInUrl(host)}:${server.port}`;
      background.resume();
      return new Gateway(url, server, network, background, stores);
    } catch (error) {
      for (const each of stores) each.close();
      throw error;
    }
  }

  /** Takes no more requests; answers under way have a few seconds, and then end with an error. */
  async stop(): Promise<void> {
    await this.#background.stop();
    await this.#engine.stop(DRAIN_MS);
    await this.#server.stop();
    for (const store of this.#stores) store.close();
  }
}

/** What is on disk. */
interface Closable {
  close(): void;
}

function openCache(
  { enabled, maxSizeMb, ttlSecs }: GatewayCacheConfig,
  dataDir: string,
): SqliteResponseCache | undefined {
  if (!enabled) return undefined;
  const path = join(dataDir, "response_cache.db");
  return new SqliteResponseCache(
    { path, maxBytes: maxSizeMb * 2 ** 20, ttlMs: ttlSecs * 1000 },
    { clock: systemClock },
  );
}

/** Has executors looked for, where that was not done a moment ago. */
async function lookAround(client: LloomClient): Promise<void> {
  try {
    await client.executors(undefined, AbortSignal.timeout(HEALTH_SEARCH_MS));
  } catch (error) {
    log.debug("look for executors: {code}", { code: LloomError.wrap(error).code });
  }
}

function factsOf(client: LloomClient, active: number): HealthFacts {
  const known = client.known();
  const available =
    known.filter(({ announcement }) => announcement.models.some((model) => model.available)).length;
  return { peers: client.peers, executors: { known: known.length, available }, active };
}
