/** A client of the market: the real payer and the real client of inference, in a process that may die. @module */
import { type Address, type Hash, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import {
  type BuyerStore,
  type ChannelOpener,
  type ChannelPayer,
  createPayer,
  type Payer,
} from "@lloom/core/payments";
import {
  ChannelActions,
  createChannelOpener,
  openOutbox,
  type Outbox,
} from "@lloom/core/payments/chain";
import type { MessageStream, RequestDraft, Signer, Verifier } from "@lloom/core/ports";
import type { ChannelTerms } from "@lloom/core/signing";
import { InferClient } from "../../core/net/infer_client.ts";
import { BuyerOracle } from "./buyer_oracle.ts";
import { ChainAccess, createModelSigner, watchOutbox, type Weather } from "./chain_access.ts";
import type { ExecutorNode } from "./executor_node.ts";
import { type ClientLie, createLyingPayer } from "./lying_payer.ts";
import { DELAYS, type Life } from "./scheduler.ts";
import { createBuyerLedger, type SimLedger, SimOutboxDisk } from "./sim_ledger.ts";
import { connect, type Link } from "./sim_stream.ts";
import { slowSigner, slowVerifier } from "./slow_crypto.ts";
import type { World } from "./world.ts";

/** One request that a client is to make. */
export interface Job {
  readonly executor: ExecutorNode;
  readonly bodyBytes: number;
  readonly maxTokens: number;
  /** Milliseconds after which it is cancelled; absent if it is not. */
  readonly cancelAfterMs?: number;
}

/** What lives and dies with the process. */
interface Running {
  readonly life: Life;
  readonly outbox: Outbox;
  readonly actions: ChannelActions;
  readonly chain: ChainAccess;
  readonly infer: InferClient;
  readonly payer: ChannelPayer;
}

/** Base units that a channel is opened with. */
const DEPOSIT = 400n;
const REQUEST_TIMEOUT_MS = 90_000;
/** Between that and a request's deadline, in milliseconds: as `draftRequest` has it. */
const SKEW_MS = 30_000;

/** A client. */
export class ClientNode {
  readonly name: string;
  readonly signer: Signer;
  readonly lie: ClientLie | undefined;
  readonly weather: Weather = { failures: 0, lag: 0n, deadUntilMs: 0 };
  readonly oracle: BuyerOracle;
  readonly links = new Set<Link>();
  readonly ledger: SimLedger<BuyerStore>;
  readonly #world: World;
  readonly #verifier: Verifier;
  readonly #outboxDisk: SimOutboxDisk;
  #life: Life;
  #running: Promise<Running> | undefined;
  #lives = 0;
  /** Requests under way in this life. */
  #asking = 0;
  #nonce = 0n;

  constructor(
    world: World,
    name: string,
    signer: Signer,
    verifier: Verifier,
    lie: ClientLie | undefined,
  ) {
    this.#world = world;
    this.name = name;
    this.signer = signer;
    this.#verifier = verifier;
    this.lie = lie;
    this.oracle = new BuyerOracle(
      name,
      world.oracle,
      (executor) => world.executors.some(({ address, lie }) => address === executor && !lie),
    );
    const nothing = { changed: () => {}, stored: () => {} };
    this.ledger = createBuyerLedger(world.scheduler, lie === undefined ? this.oracle : nothing);
    this.#outboxDisk = new SimOutboxDisk(world.scheduler);
    this.#life = { name, alive: false };
  }

  get address(): Address {
    return this.signer.address;
  }

  get isAlive(): boolean {
    return this.#life.alive;
  }

  /** Whether nothing is asked, or it is its own lies that let it wait. */
  get isIdle(): boolean {
    return this.#asking === 0 || this.lie !== undefined;
  }

  start(): void {
    this.#life = { name: `${this.name}.${this.#lives++}`, alive: true };
    this.#running = this.#start(this.#life);
  }

  crash(): void {
    this.#life.alive = false;
    this.ledger.crash();
    this.#asking = 0;
    for (const link of this.links) link.cut();
    this.links.clear();
    if (this.lie === undefined) this.oracle.crashed(this.ledger.book, this.#world.scheduler.nowMs);
  }

  async #start(life: Life): Promise<Running> {
    const { scheduler, chain: model, payment } = this.#world;
    const clock = scheduler.clock(life);
    const chain = new ChainAccess(this.#world, life, this.weather);
    const store = this.ledger.open(life);
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
    const isHonest = this.lie === undefined;
    const signer = slowSigner(this.signer, scheduler, life, {
      ...(isHonest && { onVoucher: (voucher) => this.oracle.signs(voucher) }),
    });
    const payer = createPayer({
      chainId: payment.chainId,
      contract: payment.verifyingContract,
      asset: ZERO_ADDRESS,
      channelDeposit: DEPOSIT,
      autoOpen: true,
      closeDelay: 900,
      maxCloseDelay: 3600,
      budgets: { request: 100n * DEPOSIT },
    }, {
      store,
      signer,
      clock,
      chain: this.#opener(createChannelOpener({ actions, outbox, chain })),
      random: (bytes) => scheduler.random.bytes(bytes),
    });
    const infer = new InferClient({ timeoutMs: REQUEST_TIMEOUT_MS }, {
      clock,
      signer,
      verifier: slowVerifier(this.#verifier, scheduler, life),
      openStream: ({ peerId }) => this.#openStream(life, peerId),
      payer: this.#payer(payer),
    });
    const running = { life, outbox, actions, chain, infer, payer };
    await payer.refresh().catch((thrown) => scheduler.note(`refresh: ${codeOf(thrown)}`));
    return running;
  }

  #payer(payer: Payer): Payer {
    if (this.lie === undefined) return payer;
    return createLyingPayer(payer, this.signer, this.lie, this.#world.scheduler.random);
  }

  /** Two lies are about what is on the chain. */
  #opener(opener: ChannelOpener): ChannelOpener {
    if (this.lie !== "opens nothing" && this.lie !== "thinks it has more") return opener;
    const more = async (viewing: ReturnType<ChannelOpener["view"]>) => {
      const view = await viewing;
      return { ...view, deposit: 100n * view.deposit };
    };
    const none = { deposit: DEPOSIT, settled: 0n, status: "open", closesAt: 0 } as const;
    return {
      view: (id) => more(opener.view(id)),
      topUp: (channel, amount) => more(opener.topUp(channel, amount)),
      open: (channel, amount) =>
        this.lie === "opens nothing" ? Promise.resolve(none) : more(opener.open(channel, amount)),
    };
  }

  async #openStream(life: Life, name: string): Promise<MessageStream> {
    const { scheduler } = this.#world;
    await scheduler.wait(life, DELAYS.network, `connect to ${name}`);
    const executor = this.#world.executors.find((one) => one.name === name)!;
    const far = executor.isAlive ? executor.life : undefined;
    if (far === undefined) throw new LloomError("peer_unreachable", "open stream: nobody there");
    const link = connect(scheduler, [life, far], executor.streamObserver());
    this.links.add(link);
    executor.links.add(link);
    executor.serve(link.ends[1], this.address);
    return link.ends[0];
  }

  /** Makes a request; resolves with how it ended, never if the process ends first. */
  async ask(job: Job): Promise<string> {
    const { scheduler } = this.#world;
    const life = this.#life;
    this.#asking++;
    try {
      const { infer } = await this.#running!;
      const controller = new AbortController();
      if (job.cancelAfterMs !== undefined) {
        scheduler.after(job.cancelAfterMs, life, "cancel", () => controller.abort());
      }
      const { executor } = job;
      const peer = { peerId: executor.name, address: executor.address };
      const draft = () => this.#draft(job);
      const body = new Uint8Array(job.bodyBytes).fill(0x20);
      const request = { body, systemPrompt: "", answers: 1, payment: executor.payment, draft };
      const answer = infer.ask(peer, request, controller.signal);
      const [read, proof] = await Promise.allSettled([readAll(answer), answer.receipt]);
      return outcomeOf(read, proof);
    } finally {
      if (life.alive) this.#asking--;
    }
  }

  #draft({ executor, maxTokens }: Job): RequestDraft {
    return {
      channelId: `0x${"00".repeat(32)}`,
      executor: executor.address,
      model: "m",
      maxTokens,
      temperature: 0,
      ...executor.prices,
      nonce: this.#nonce++,
      deadline: BigInt(
        Math.ceil((this.#world.scheduler.nowMs + REQUEST_TIMEOUT_MS + SKEW_MS) / 1000),
      ),
    };
  }

  /** Its channels that are on the chain and not closed. */
  get openChannels(): readonly { readonly channelId: Hash; readonly terms: ChannelTerms }[] {
    const { channels } = this.#world.chain.block().state.contract;
    return this.ledger.book.channels().filter(({ channelId }) => {
      const status = channels.get(channelId)?.status;
      return status === "open" || status === "closing";
    });
  }

  /** Asks for a channel's money back, without the executor's help. */
  async requestClose(channelId: Hash, terms: ChannelTerms): Promise<void> {
    const { outbox, actions } = await this.#running!;
    await outbox.confirmed(await actions.requestClose(channelId, terms));
  }

  /** Ends a channel whose delay is over. */
  async finalize(channelId: Hash, terms: ChannelTerms): Promise<void> {
    const { outbox, actions } = await this.#running!;
    await outbox.confirmed(await actions.finalize(channelId, terms));
  }
}

async function readAll(answer: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const lines of answer) bytes += lines.length;
  return bytes;
}

function outcomeOf(
  read: PromiseSettledResult<unknown>,
  proof: PromiseSettledResult<unknown>,
): string {
  if (proof.status === "rejected") return codeOf(proof.reason);
  return read.status === "fulfilled" ? "done" : "done in part";
}

/** The code of an error; what is no error of ours is a fault. */
export function codeOf(thrown: unknown): string {
  if (!(thrown instanceof LloomError)) throw thrown;
  return thrown.code;
}
