/** The client as a library. @module */
import type { Hash } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { generateIdentity, type Identity } from "@lloom/core/identity";
import {
  Directory,
  type InferAnswer,
  InferClient,
  requestConsent,
  type SignedConsent,
} from "@lloom/core/net";
import { Allowance, type BuyerChannel, type Payer } from "@lloom/core/payments";
import {
  answersOf,
  CHANNEL_PROTOCOL,
  type JsonObject,
  LLM_PROTOCOL,
  MAX_CLOSE_FRAME_BYTES,
  MAX_RESPONSE_FRAME_BYTES,
  type ModelSummary,
  type OfferFilters,
  systemPrompt,
} from "@lloom/core/protocol";
import { answerQuery, Registry, type RegistryEntry } from "@lloom/core/registry";
import { type Candidate, Observations } from "@lloom/core/routing";
import { domainOf, type SigningDomain } from "@lloom/core/signing";
import type { NetworkConfig } from "@lloom/host/config";
import { createPeer, type Peer } from "@lloom/host/peer";
import { getLogger } from "@logtape/logtape";
import { Completion, DEFAULT_TIMEOUT_MS } from "./asking/completion.ts";
import type { PersistenceOptions } from "./asking/completion_components.ts";
import { Finder } from "./asking/finder.ts";
import { type Plan, planFor } from "./asking/plan.ts";
import { type Question, readQuestion } from "./asking/question.ts";
import { Router, type RoutingOptions } from "./asking/router.ts";
import type { Wallet } from "./wallet.ts";

const log = getLogger(["lloom", "client"]);

/** For an executor to be found, and to agree that a channel is closed. */
const CLOSE_TIMEOUT_MS = 20_000;

/** How a client joins the network. */
export interface LloomClientOptions {
  /** Nodes to join through. */
  readonly bootstrapNodes: readonly string[];
  /** Who asks. @default the wallet's, or a new identity */
  readonly identity?: Identity;
  /**
   * Pays, and keeps what was asked and answered. It stays the caller's to close, after the client.
   * @default nothing is paid or kept, and only free models are asked
   */
  readonly wallet?: Wallet;
  /** Further settings of the node. */
  readonly network?: Partial<Omit<NetworkConfig, "bootstrapNodes">>;
  /** How long executors are looked for. @default 10000 */
  readonly searchTimeoutMs?: number;
  /** Takes all permissions from the workers; needs Deno's `--unstable-worker-options`. @default false */
  readonly sandboxWorkers?: boolean;
}

/** How one request is routed, and how hard an answer is tried for. */
export interface CompleteOptions extends RoutingOptions, PersistenceOptions {}

/**
 * A client of the network.
 *
 * @example
 * ```ts ignore
 * const client = await LloomClient.connect({ bootstrapNodes: ["/ip4/127.0.0.1/tcp/9000"] });
 * const request = { model: "lloom-demo", messages: [{ role: "user", content: "Hello!" }] };
 * for await (const chunk of client.complete(request)) console.log(chunk.choices[0]?.delta.content);
 * await client.close();
 * ```
 */
export class LloomClient {
  readonly #peer: Peer;
  readonly #registry: Registry;
  readonly #directory: Directory;
  readonly #finder: Finder;
  readonly #infer: InferClient;
  readonly #observations: Observations;
  readonly #router: Router;
  readonly #wallet: Wallet | undefined;
  /** Answers, each with what cancels it. */
  readonly #underWay = new Map<Promise<void>, AbortSignal>();

  private constructor(
    peer: Peer,
    { wallet, payer }: { readonly wallet: Wallet | undefined; readonly payer: Payer | undefined },
    searchTimeoutMs: number,
  ) {
    const { clock, crypto, node } = peer;
    this.#peer = peer;
    this.#wallet = wallet;
    this.#registry = new Registry({}, { clock });
    this.#directory = new Directory({
      node,
      registry: this.#registry,
      clock,
      verifier: crypto,
    });
    this.#finder = new Finder(searchTimeoutMs, {
      directory: this.#directory,
      registry: this.#registry,
      clock,
      peers: () => this.peers,
    });
    this.#observations = new Observations({}, { clock });
    this.#router = new Router({
      finder: this.#finder,
      registry: this.#registry,
      observations: this.#observations,
      clock,
      means: wallet?.means,
      maxPrice: wallet?.maxPrice,
    });
    this.#infer = new InferClient({}, {
      clock,
      signer: crypto,
      verifier: crypto,
      ...(payer && { payer }),
      openStream: (executor, signal) =>
        node.openStream(executor, LLM_PROTOCOL, {
          signal,
          maxFrameBytes: MAX_RESPONSE_FRAME_BYTES,
        }),
    });
  }

  /** Starts a node and begins to join the network; what needs the network waits for it. */
  static async connect(options: LloomClientOptions): Promise<LloomClient> {
    const { bootstrapNodes, network, wallet, sandboxWorkers = false } = options;
    const identity = options.identity ?? wallet?.identity ?? generateIdentity();
    if (wallet !== undefined && wallet.identity.address !== identity.address) {
      throw new TypeError("connect client: the wallet is another identity's");
    }
    const peer = await createPeer(identity, {
      network: {
        listenAddresses: [],
        externalAddresses: [],
        port: 0,
        enableMdns: false,
        enableRelay: true,
        maxConnections: 100,
        ...network,
        bootstrapNodes,
      },
      dht: "client",
      relay: "client",
      gossip: false,
      sandboxWorkers,
      ...(wallet?.domain && { payment: wallet.domain }),
    });
    try {
      const [payer] = await Promise.all([wallet?.payer(peer.crypto), peer.node.start()]);
      return new LloomClient(peer, { wallet, payer }, options.searchTimeoutMs ?? 10_000);
    } catch (error) {
      await peer.stop();
      throw error;
    }
  }

  /** Who this client is. */
  get identity(): Identity {
    return this.#peer.identity;
  }

  /** What pays for it; undefined without one. */
  get wallet(): Wallet | undefined {
    return this.#wallet;
  }

  /** The domain in which it signs requests on a channel, and checks their receipts. @param channelId zero for a free request */
  domainOf(channelId: Hash): SigningDomain {
    return domainOf(channelId, this.#peer.paymentDomain);
  }

  /** Peers it is connected to. */
  get peers(): number {
    return new Set(this.#peer.node.connections().map(({ peerId }) => peerId)).size;
  }

  /** What serves a model at an executor, as it says. */
  backendOf(peerId: string, model: string): string | undefined {
    const offers = this.#registry.get(peerId)?.announcement.models;
    return offers?.find(({ id }) => id === model)?.backend;
  }

  /** Models on offer, each summed up over the executors found. */
  async models(filters: OfferFilters = {}, signal?: AbortSignal): Promise<readonly ModelSummary[]> {
    await this.#finder.find(undefined, signal);
    const models: ModelSummary[] = [];
    let after: string | undefined;
    do {
      const answer = answerQuery(
        { type: "list_models", filters, page: after === undefined ? {} : { after } },
        this.#registry,
        this.#peer.clock.now(),
      );
      if (answer.type !== "models") break;
      models.push(...answer.models);
      after = answer.next;
    } while (after !== undefined);
    return models;
  }

  /** Live executors that offer a model, or all, as far as they are known without a search. */
  known(model?: string): readonly RegistryEntry[] {
    const entries = model === undefined ? this.#registry.entries() : this.#registry.ofModel(model);
    return [...entries].filter((entry) => this.#registry.isLive(entry));
  }

  /** Executors that offer a model, or all. */
  async executors(model?: string, signal?: AbortSignal): Promise<readonly RegistryEntry[]> {
    await this.#finder.find(model, signal);
    return model === undefined ? [...this.#registry.entries()] : [...this.#registry.ofModel(model)];
  }

  /**
   * Asks a model. Errors come when the completion is read.
   * @param request an OpenAI chat-completion, completion or embedding request, or its exact bytes as JSON
   * @throws {LloomError} `request_invalid`, `frame_malformed`, `frame_too_large`
   */
  complete(request: JsonObject | Uint8Array, options: CompleteOptions = {}): Completion {
    const question = readQuestion(request);
    const { maxPrice = this.#wallet?.maxPrice, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    const allowance = maxPrice === undefined ? undefined : new Allowance(maxPrice);
    return new Completion(question, options, {
      clock: this.#peer.clock,
      candidates: async (question) => {
        const plans = await this.#router.plans(question, options, { timeoutMs, signal });
        return plans.map(({ candidate }) => candidate);
      },
      observe: ({ announcement: { peerId }, offer }) =>
        this.#observations.started(peerId, offer.id),
      ask: (candidate, question, limits) => this.#ask(candidate, question, allowance, limits),
      onFailover: ({ announcement: { peerId } }, { code }) =>
        log.info("executor {peerId} failed with {code}; asking another", { peerId, code }),
      onAnswered: (candidate) => this.#router.answered(question, candidate, options),
    });
  }

  /**
   * Whom {@linkcode LloomClient.complete} would ask, in order, and what each can cost. Nothing is
   * signed, and nobody is asked.
   * @throws {LloomError} as `complete`, and `no_executor`, `budget_exceeded`
   */
  async plan(
    request: JsonObject | Uint8Array,
    options: CompleteOptions = {},
  ): Promise<readonly Plan[]> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    return await this.#router.plans(readQuestion(request), options, { timeoutMs, signal });
  }

  /**
   * Asks a channel's executor to agree that it is closed at once. Nothing more is paid from the channel,
   * as it may have agreed though no answer came.
   * @throws {LloomError} `no_executor` if it is not found, and as {@linkcode requestConsent}
   */
  async askToClose(channel: BuyerChannel, signal?: AbortSignal): Promise<SignedConsent> {
    const { crypto, clock, node } = this.#peer;
    const timeout = AbortSignal.timeout(CLOSE_TIMEOUT_MS);
    const within = AbortSignal.any([timeout, ...(signal ? [signal] : [])]);
    const [found] = await this.#directory.find({ executor: channel.terms.executor }, within);
    if (found === undefined) {
      throw new LloomError("no_executor", "close channel: its executor was not found");
    }
    const { peerId, multiaddrs } = found.announcement;
    const stream = await node.openStream({ peerId, multiaddrs }, CHANNEL_PROTOCOL, {
      signal: within,
      maxFrameBytes: MAX_CLOSE_FRAME_BYTES,
    });
    await (await this.#wallet?.ledger())?.retire(channel.channelId);
    const consent = await requestConsent(stream, channel, { verifier: crypto, clock }, within);
    await stream.close();
    return consent;
  }

  /**
   * Leaves the network. Answers under way break off; those that were cancelled are settled first, which
   * takes some seconds at most.
   */
  async close(): Promise<void> {
    this.#finder.stop();
    const cancelled = [...this.#underWay].filter(([, signal]) => signal.aborted);
    await Promise.all(cancelled.map(([over]) => over));
    await this.#infer.stop();
    await this.#peer.stop();
  }

  #ask(
    candidate: Candidate,
    { body, request }: Question,
    allowance: Allowance | undefined,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): InferAnswer {
    const { peerId, executor, multiaddrs, payment } = candidate.announcement;
    const { clock } = this.#peer;
    const answer = this.#infer.ask(
      { peerId, address: executor, multiaddrs },
      {
        body,
        systemPrompt: systemPrompt(request),
        answers: answersOf(request),
        ...(payment && { payment }),
        ...(allowance && { allowance }),
        // Dated when the request is sent: opening a channel before that may take a while.
        draft: () =>
          planFor(request, body.length, candidate, { nowMs: clock.now(), timeoutMs }).draft,
      },
      signal,
      { timeoutMs },
    );
    this.#wallet?.keep(answer.receipt, body);
    const over = answer.receipt.then(() => {}, () => {}); // its reader gets the error
    this.#underWay.set(over, signal);
    over.then(() => this.#underWay.delete(over));
    return answer;
  }
}
