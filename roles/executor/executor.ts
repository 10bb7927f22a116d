/** An executor: language models, offered to the network and served to whoever asks. @module */
import { LloomError } from "@lloom/core/errors";
import type { Identity } from "@lloom/core/identity";
import {
  Announcer,
  InferServer,
  type LloomNode,
  ProviderRecords,
  type StreamHandler,
} from "@lloom/core/net";
import { isFree } from "@lloom/core/payments";
import {
  CHANNEL_PROTOCOL,
  LLM_PROTOCOL,
  MAX_CLOSE_FRAME_BYTES,
  MAX_CLOSE_STREAMS_PER_PEER,
  MAX_QUERY_BYTES,
  MAX_REGISTRY_STREAMS_PER_PEER,
  MAX_REQUEST_FRAME_BYTES,
  modelKey,
  REGISTRY_PROTOCOL,
  roleKey,
} from "@lloom/core/protocol";
import { acceptAnnouncement, Registry, RegistryServer } from "@lloom/core/registry";
import { paymentChain } from "@lloom/host";
import { createPeer, type Peer } from "@lloom/host/peer";
import type { ExecutorConfig } from "@lloom/host/config";
import { SqliteNonceStore } from "@lloom/host/stores";
import { getLogger } from "@logtape/logtape";
import { join } from "node:path";
import { type Backend, startBackend } from "./backends.ts";
import { Catalog } from "./catalog.ts";
import { type ModelTest, testModel } from "./test_models.ts";
import { Till, type TillService } from "./till.ts";

const log = getLogger(["lloom", "executor"]);

/** How long one look at a backend's models may take. */
const DISCOVER_TIMEOUT_MS = 15_000;
/** How long a model has for its test: servers load models on demand. */
const TEST_TIMEOUT_MS = 120_000;
/** How long requests under way may go on when the executor stops; then they end with a receipt. */
const DRAIN_MS = 5_000;
/** How long the last redemption may take to be on disk when the executor stops. */
const LAST_REDEMPTION_MS = 5_000;

/** How an executor is started, besides its settings. */
export interface ExecutorOptions {
  /** Takes all permissions from the workers but those that each needs; needs Deno's `--unstable-worker-options`. */
  readonly sandboxWorkers: boolean;
  /** Ask every model first, and leave out what fails. @default false */
  readonly test?: boolean;
  /** Told of every model that was tested. */
  readonly onTested?: (test: ModelTest) => void;
  /** Gives up starting. */
  readonly signal: AbortSignal;
}

/** What an executor is made of, each started. */
interface Parts {
  readonly peer: Peer;
  readonly backends: readonly Backend[];
  readonly till: Till | undefined;
  readonly paid: TillService | undefined;
}

/** An executor at work. */
export class Executor {
  readonly #peer: Peer;
  readonly #backends: readonly Backend[];
  readonly #nonces: SqliteNonceStore;
  readonly #server: InferServer;
  readonly #registry: RegistryServer;
  readonly #announcer: Announcer;
  readonly #catalog: Catalog;
  readonly #records: ProviderRecords;
  readonly #stopping = new AbortController();
  readonly #refreshMs: number;
  readonly #till: Till | undefined;
  readonly #paid: TillService | undefined;

  private constructor(
    { peer, backends, till, paid }: Parts,
    catalog: Catalog,
    config: ExecutorConfig,
  ) {
    const { clock, crypto, node, identity } = peer;
    this.#peer = peer;
    this.#backends = backends;
    this.#till = till;
    this.#paid = paid;
    this.#catalog = catalog;
    this.#refreshMs = config.executor.modelRefreshSecs * 1000;
    this.#nonces = new SqliteNonceStore(
      { path: join(config.storage.dataDir, "nonces.db") },
      { clock },
    );
    this.#server = new InferServer({
      timeoutMs: config.executor.requestTimeoutSecs * 1000,
      maxRequests: config.executor.maxConcurrentRequests,
    }, {
      clock,
      signer: crypto,
      verifier: crypto,
      nonces: this.#nonces,
      terms: catalog,
      ...(paid && { cashier: paid.cashier }),
      inference: (model) => catalog.inference(model),
      onDone: (served) => {
        catalog.record(served);
        const { model, durationMs, error, response } = served;
        log.debug("request for {model} ended after {durationMs} ms: {code}, {tokens} tokens", {
          model,
          durationMs,
          code: error?.code ?? "ok",
          tokens: response?.commitment.outboundTokens ?? 0,
        });
      },
    });
    // An executor answers for itself, so that it can be found with no validator.
    const self = new Registry({ maxExecutors: 1 }, { clock });
    this.#registry = new RegistryServer({}, { registry: self, clock });
    this.#records = new ProviderRecords(node);
    this.#announcer = new Announcer({
      heartbeatMs: config.executor.announceIntervalSecs * 1000,
    }, {
      clock,
      signer: crypto,
      peerId: identity.peerId,
      offering: () => ({
        multiaddrs: node.multiaddrs(),
        models: catalog.offers(),
        load: catalog.load(),
        ...(till && { payment: till.terms }),
      }),
      publish: async (_, bytes) => {
        await acceptAnnouncement(bytes, {
          verifier: crypto,
          clock,
          registry: self,
        }, identity.peerId);
        const told = await node.publish(bytes);
        // Who listens is known before a stream to them is open: until then, nobody is told.
        if (told === 0 && node.announcementPeers().length > 0) this.#announcer.changed();
      },
    });
  }

  /**
   * Starts backends, looks up their models, joins the network and announces them.
   * @throws {LloomError} `config_invalid` without a backend that can be started
   */
  static async start(
    identity: Identity,
    config: ExecutorConfig,
    options: ExecutorOptions,
  ): Promise<Executor> {
    const { sandboxWorkers, signal } = options;
    const payment = paymentChain(config.blockchain)?.domain;
    const peer = await createPeer(identity, {
      network: config.network,
      dht: "server",
      relay: "client",
      gossip: true,
      sandboxWorkers,
      ...(payment && { payment }),
    });
    const backends: Backend[] = [];
    let till: Till | undefined;
    let executor: Executor | undefined;
    try {
      till = await Till.open({ identity, config, sandboxWorkers });
      for (const backend of config.llmBackends) {
        backends.push(
          await startBackend(backend, {
            sandbox: sandboxWorkers,
            totalTimeoutMs: config.executor.requestTimeoutSecs * 1000,
          }),
        );
      }
      const catalog = new Catalog(identity.address, config.pricing, backends);
      const paid = await till?.start(peer.crypto);
      executor = new Executor({ peer, backends, till, paid }, catalog, config);
      await executor.#start(options);
      return executor;
    } catch (error) {
      if (executor !== undefined) await executor.stop();
      else {
        await Promise.all(backends.map(({ worker }) => worker.stop()));
        await peer.stop();
        await till?.close(LAST_REDEMPTION_MS);
      }
      throw signal.aborted ? signal.reason : error;
    }
  }

  /** The node, for its addresses. */
  get node(): LloomNode {
    return this.#peer.node;
  }

  /** The models on offer now. */
  get models(): readonly string[] {
    return this.#catalog.offers().map(({ id }) => id);
  }

  /**
   * Takes back what was announced, lets requests under way finish or ends them with a receipt,
   * redeems what they were paid with, and leaves the network.
   */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#records.stop();
    await this.#announcer.stop();
    await this.#server.stop(DRAIN_MS);
    await Promise.all(this.#backends.map(({ worker }) => worker.stop()));
    await this.#peer.stop();
    await this.#till?.close(LAST_REDEMPTION_MS);
    this.#nonces.close();
  }

  async #start({ test, onTested, signal }: ExecutorOptions): Promise<void> {
    const { node } = this.#peer;
    await this.#catalog.refresh(this.#within(DISCOVER_TIMEOUT_MS, signal));
    if (test) await this.#testAll(onTested);
    signal.throwIfAborted();
    this.#warnOfPrices();
    await node.handle(LLM_PROTOCOL, (stream, { address }) => this.#server.serve(stream, address), {
      maxFrameBytes: MAX_REQUEST_FRAME_BYTES,
    });
    const paid = this.#paid;
    if (paid !== undefined) {
      await node.handle(
        CHANNEL_PROTOCOL,
        (stream, { address }) => paid.closing.serve(stream, address),
        {
          maxFrameBytes: MAX_CLOSE_FRAME_BYTES,
          maxInboundStreams: MAX_CLOSE_STREAMS_PER_PEER,
        },
      );
    }
    const askedOf: StreamHandler = (stream, { peerId }) => this.#registry.serve(stream, peerId);
    await node.handle(REGISTRY_PROTOCOL, askedOf, {
      maxFrameBytes: MAX_QUERY_BYTES,
      maxInboundStreams: MAX_REGISTRY_STREAMS_PER_PEER,
    });
    await node.start();
    // Who begins to listen, and a new address, are worth an announcement before the next heartbeat.
    node.onAnnouncementPeer(() => this.#announcer.changed());
    node.onAddressesChanged(() => this.#announcer.changed());
    await this.#announcer.start();
    this.#keepFound();
    void this.#keepRefreshed();
  }

  /** Looks at the backends again and again. */
  async #keepRefreshed(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await elapsed(this.#refreshMs, signal);
      if (signal.aborted) return;
      try {
        if (await this.#catalog.refresh(this.#within(DISCOVER_TIMEOUT_MS, signal))) {
          this.#announcer.changed();
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn("look at the backends failed: {code}", { code: LloomError.wrap(error).code });
        continue;
      }
      // Also where nothing changed: a record may have failed.
      this.#keepFound();
    }
  }

  #keepFound(): void {
    this.#records.keep([roleKey("executor"), ...this.models.map(modelKey)]);
  }

  async #testAll(onTested: ((test: ModelTest) => void) | undefined): Promise<void> {
    for (const offer of this.#catalog.offers()) {
      const inference = this.#catalog.inference(offer.id);
      if (inference === undefined) continue;
      const test = await testModel(offer, inference, this.#peer.identity.address, TEST_TIMEOUT_MS);
      onTested?.(test);
      if (test.error !== undefined) this.#catalog.exclude(offer.id);
    }
  }

  #warnOfPrices(): void {
    const priced = this.#catalog.offers().filter((offer) => !isFree(offer));
    if (priced.length === 0 || this.#till !== undefined) return;
    log.warn(
      "{count} models have a price and are refused: no chain is configured to be paid on; " +
        "name one with --rpc-url and --chain-id",
      { count: priced.length },
    );
  }

  #within(ms: number, signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  }
}

/** Resolves after a time, or when the signal aborts. */
function elapsed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
