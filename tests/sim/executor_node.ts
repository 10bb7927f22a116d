/** An executor of the market: the real server, cashier and settler, in a process that may die. @module */
import { type Address, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import { createCashier, type PaymentTerms, type SellerStore, Settler } from "@lloom/core/payments";
import { ChannelActions, createRedeemer, openOutbox } from "@lloom/core/payments/chain";
import type { MessageStream, Signer, Verifier } from "@lloom/core/ports";
import { MemoryNonceStore } from "@lloom/core/session";
import { InferServer } from "../../core/net/infer_server.ts";
import { ChainAccess, createModelSigner, watchOutbox, type Weather } from "./chain_access.ts";
import { createModelLlm, type ModelLie } from "./model_llm.ts";
import type { Life } from "./scheduler.ts";
import { SellerOracle } from "./seller_oracle.ts";
import { createSellerLedger, type SimLedger, SimOutboxDisk } from "./sim_ledger.ts";
import type { Link, StreamObserver } from "./sim_stream.ts";
import { slowSigner, slowVerifier } from "./slow_crypto.ts";
import type { World } from "./world.ts";

/** What an executor asks for. */
export interface ExecutorOffer {
  readonly inboundPrice: bigint;
  readonly outboundPrice: bigint;
  readonly stepTokens: number;
  /** Milliseconds after which a voucher is redeemed in any case. */
  readonly maxAgeMs: number;
}

/** Base units at which a channel is redeemed. */
const THRESHOLD = 150n;

/** An executor. */
export class ExecutorNode {
  readonly name: string;
  readonly signer: Signer;
  readonly lie: ModelLie | undefined;
  readonly prices: Pick<ExecutorOffer, "inboundPrice" | "outboundPrice">;
  readonly payment: PaymentTerms;
  readonly weather: Weather = { failures: 0, lag: 0n, deadUntilMs: 0 };
  readonly oracle: SellerOracle;
  readonly ledger: SimLedger<SellerStore>;
  readonly links = new Set<Link>();
  readonly #world: World;
  readonly #verifier: Verifier;
  readonly #maxAgeMs: number;
  readonly #outboxDisk: SimOutboxDisk;
  /** Nonces survive a process that is killed, and not a power cut. */
  #nonces: MemoryNonceStore;
  #server: InferServer | undefined;
  #settler: Settler | undefined;
  #life: Life;
  #lives = 0;

  constructor(
    world: World,
    name: string,
    signer: Signer,
    verifier: Verifier,
    offer: ExecutorOffer,
    lie: ModelLie | undefined,
  ) {
    this.#world = world;
    this.name = name;
    this.signer = signer;
    this.#verifier = verifier;
    this.#maxAgeMs = offer.maxAgeMs;
    this.lie = lie;
    this.prices = { inboundPrice: offer.inboundPrice, outboundPrice: offer.outboundPrice };
    this.payment = {
      chainId: world.payment.chainId,
      contract: world.payment.verifyingContract,
      asset: ZERO_ADDRESS,
      stepTokens: offer.stepTokens,
      closeDelay: 900,
    };
    this.oracle = new SellerOracle(name, world.oracle, lie === undefined, offer.stepTokens);
    this.ledger = createSellerLedger(world.scheduler, this.oracle);
    this.#outboxDisk = new SimOutboxDisk(world.scheduler);
    this.#life = { name, alive: false };
    this.#nonces = this.#newNonces();
  }

  get address(): Address {
    return this.signer.address;
  }

  get isAlive(): boolean {
    return this.#life.alive;
  }

  get life(): Life {
    return this.#life;
  }

  start(): void {
    this.#life = { name: `${this.name}.${this.#lives++}`, alive: true };
    void this.#start(this.#life);
  }

  /** @param power whether what the operating system held is lost too */
  crash(power: boolean): void {
    this.#life.alive = false;
    this.#server = undefined;
    this.#settler = undefined;
    this.ledger.crash();
    if (power) this.#nonces = this.#newNonces();
    for (const link of this.links) link.cut();
    this.links.clear();
    this.oracle.crashed(this.ledger.book);
  }

  async #start(life: Life): Promise<void> {
    const { scheduler, chain: model } = this.#world;
    const clock = scheduler.clock(life);
    const chain = new ChainAccess(this.#world, life, this.weather);
    const store = this.ledger.open(life);
    await store.recover(clock.now());
    const outbox = watchOutbox(
      this.#world,
      await openOutbox({}, {
        chain,
        store: this.#outboxDisk.open(life),
        signer: createModelSigner(model, this.address),
        clock,
      }),
    );
    const actions = new ChannelActions(model.contract, { chain, outbox });
    const settler = this.#settler = new Settler(
      { threshold: THRESHOLD, maxAgeMs: this.#maxAgeMs },
      {
        store,
        chain,
        redeemer: createRedeemer({ actions, outbox }),
        clock,
      },
    );
    settler.start();
    const verifier = slowVerifier(this.#verifier, scheduler, life);
    const cashier = createCashier(
      { terms: this.payment, executor: this.address, minDeposit: 1n },
      { store, chain, verifier, clock, watchedMs: (viewedMs) => settler.watchedMs(viewedMs) },
    );
    const inference = createModelLlm(scheduler, life, this.lie);
    const offer = { id: "m", backend: "sim", features: [], available: true, ...this.prices };
    this.#server = new InferServer({}, {
      clock,
      signer: slowSigner(this.signer, scheduler, life, {
        onReceipt: (receipt) => this.oracle.signs(receipt),
      }),
      verifier,
      nonces: this.#nonces,
      inference: () => inference,
      terms: { executor: this.address, offer: () => offer },
      cashier,
    });
  }

  /** Serves a stream; one that comes while it starts is refused. */
  serve(stream: MessageStream, client: Address): void {
    if (this.#server === undefined) {
      return stream.abort(new LloomError("shutting_down", "serve stream: not ready"));
    }
    void this.#server.serve(stream, client);
  }

  /** What sees the messages that it sends. */
  streamObserver(): StreamObserver {
    return this.#world.oracle.watch(this.lie === undefined ? this.oracle : undefined);
  }

  #newNonces(): MemoryNonceStore {
    return new MemoryNonceStore({}, { clock: { now: () => this.#world.scheduler.nowMs } });
  }
}
