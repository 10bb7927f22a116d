/** One run of the market: its nodes, what they do, what befalls them, and how it ends. @module */
import type { Address, Hash } from "@lloom/core/bytes";
import { createSigner, createVerifier, type SigningDomain } from "@lloom/core/signing";
import { ClientNode, codeOf, type Job } from "./client_node.ts";
import { ExecutorNode } from "./executor_node.ts";
import { createFakePrimitives } from "./fake_primitives.ts";
import { CLIENT_LIES } from "./lying_payer.ts";
import { ModelChain } from "./model_chain.ts";
import { createContractRules } from "./model_contract.ts";
import type { ModelLie } from "./model_llm.ts";
import { Oracle, type Violation } from "./oracle.ts";
import { Scheduler } from "./scheduler.ts";
import type { World } from "./world.ts";

/** What came of a run. */
export interface RunResult {
  readonly seed: number;
  readonly violation?: Violation;
  /** The same seed always gives the same. */
  readonly traceHash: string;
  readonly events: number;
  /** How many requests ended how. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** The last lines of the trace. */
  readonly recent: readonly string[];
}

const DOMAIN: SigningDomain = {
  name: "Lloom Network",
  version: "1.0.0",
  chainId: 31337n,
  verifyingContract: `0x${"cc".repeat(20)}`,
};
const MODEL_LIES: readonly ModelLie[] = ["counts too much", "charges too much", "falls silent"];
/** What everybody has at first: enough for all the gas of a run. */
const COINS = 1_000_000_000_000n;
const MAX_EVENTS = 60_000;
/** How long the market is busy, in milliseconds. */
const BUSY_MS = 150_000;

/** Runs one seed to its end. @param print takes the trace */
export async function runMarket(seed: number, print?: (line: string) => void): Promise<RunResult> {
  const market = new Market(seed, print);
  await market.run();
  return market.result;
}

class Market implements World {
  readonly payment = DOMAIN;
  readonly scheduler: Scheduler;
  readonly oracle: Oracle;
  readonly chain: ModelChain;
  readonly executors: ExecutorNode[] = [];
  readonly #clients: ClientNode[] = [];
  readonly #seed: number;
  readonly #supply: bigint;
  readonly #outcomes: Record<string, number> = {};
  /** Of what can go wrong, how much does in this run. */
  readonly #trouble: number;
  #jobsLeft = 0;
  #isBusy = true;

  constructor(seed: number, print: ((line: string) => void) | undefined) {
    this.#seed = seed;
    this.scheduler = new Scheduler(seed, print);
    const { scheduler } = this;
    const { random } = scheduler;
    // Details may hold hashes, which salts make different in every run.
    this.oracle = new Oracle(({ invariant }) => scheduler.note(`VIOLATED: ${invariant}`));
    this.#trouble = random.pick([0, 0.3, 1, 2]);
    const primitives = createFakePrimitives();
    const verifier = createVerifier(primitives, { payment: DOMAIN });
    const coins = new Map<Address, bigint>();
    const newSigner = () => {
      const signer = createSigner(primitives, { payment: DOMAIN }, random.bytes(32));
      coins.set(signer.address, COINS);
      return signer;
    };
    for (let i = random.whole(1, 2); i > 0; i--) {
      const lie = random.chance(0.2) ? random.pick(MODEL_LIES) : undefined;
      const offer = {
        inboundPrice: BigInt(random.pick([0, 1, 30_000, 700_001])),
        outboundPrice: BigInt(random.pick([1, 90_001, 700_000])),
        stepTokens: random.pick([4, 8, 16]),
        maxAgeMs: random.pick([60_000, 3_600_000]),
      };
      this.executors.push(new ExecutorNode(this, `E${i}`, newSigner(), verifier, offer, lie));
    }
    for (let i = random.whole(1, 3); i > 0; i--) {
      const lie = random.chance(0.2) ? random.pick(CLIENT_LIES) : undefined;
      this.#clients.push(new ClientNode(this, `C${i}`, newSigner(), verifier, lie));
    }
    this.#supply = COINS * BigInt(coins.size);
    const rules = createContractRules(primitives, DOMAIN);
    const nowS = Math.floor(scheduler.nowMs / 1000);
    this.chain = new ModelChain(DOMAIN.verifyingContract, rules, random, coins, nowS);
  }

  get result(): RunResult {
    const { violation } = this.oracle;
    return {
      seed: this.#seed,
      ...(violation && { violation }),
      traceHash: this.scheduler.traceHash,
      events: this.scheduler.events,
      outcomes: this.#outcomes,
      recent: this.scheduler.recent,
    };
  }

  async run(): Promise<void> {
    for (const node of [...this.executors, ...this.#clients]) {
      this.scheduler.note(`${node.name} ${node.lie ?? "is honest"}`);
      node.start();
    }
    this.#tick();
    for (const client of this.#clients) this.#planJobs(client);
    this.#planTrouble();
    await this.#until("every request ends", () => this.#jobsLeft === 0 && this.#areIdle());
    this.#calm();
    await this.#until("everybody comes back", () => this.#areAlive());
    for (const client of this.#clients) this.#closeAll(client);
    await this.#until("every channel is closed", () => this.#areClosed());
    this.#isBusy = false;
    if (this.oracle.violation === undefined) this.#finish();
  }

  async #until(invariant: string, isDone: () => boolean): Promise<void> {
    const isOver = () => this.oracle.violation !== undefined;
    await this.scheduler.run(() => isOver() || isDone(), MAX_EVENTS);
    this.oracle.check(isOver() || isDone(), invariant, () => `not after ${MAX_EVENTS} events`);
  }

  #areIdle(): boolean {
    return this.#clients.every(({ isIdle }) => isIdle);
  }

  #areAlive(): boolean {
    return [...this.#clients, ...this.executors].every(({ isAlive }) => isAlive);
  }

  #areClosed(): boolean {
    const { channels } = this.chain.block().state.contract;
    return !this.chain.isBusy && [...channels.values()].every(({ status }) => status === "closed");
  }

  /** Blocks come while the market is open. */
  #tick(): void {
    const { random } = this.scheduler;
    this.scheduler.after(random.whole(2_000, 14_000), undefined, "block", () => {
      if (!this.#isBusy) return;
      const nowS = Math.floor(this.scheduler.nowMs / 1000);
      if (random.chance(0.06 * this.#trouble) && !this.#isCalm) {
        const depth = random.whole(1, 2);
        this.scheduler.note(`reorganization of ${depth}`);
        this.chain.reorganize(depth, random.chance(0.5), nowS);
      } else this.chain.mine(nowS);
      for (const { channelId, change } of this.chain.block().events) {
        const { type } = change;
        const settled = "settled" in change ? ` at ${change.settled}` : "";
        this.scheduler.note(`${this.#nameOf(channelId)} ${type}${settled}`);
      }
      this.oracle.checkChain(this.chain, this.#supply);
      this.#tick();
    });
  }

  /** A channel by its two ends: what its id is depends on nothing but the seed, and says nothing. */
  #nameOf(channelId: Hash): string {
    const { client, executor } = this.chain.block().state.contract.channels.get(channelId)!;
    const nameOf = (address: Address) =>
      [...this.#clients, ...this.executors].find((one) => one.address === address)!.name;
    return `${nameOf(client)}-${nameOf(executor)}`;
  }

  #planJobs(client: ClientNode): void {
    const { scheduler, executors } = this;
    const { random } = scheduler;
    for (let i = random.whole(1, 5); i > 0; i--) {
      const job: Job = {
        executor: random.pick(executors),
        bodyBytes: random.whole(4, 60),
        maxTokens: random.pick([3, 30, 120]),
        ...(random.chance(0.15) && { cancelAfterMs: random.whole(0, 20_000) }),
      };
      this.#jobsLeft++;
      this.#planJob(client, job, random.whole(0, BUSY_MS));
    }
  }

  #planJob(client: ClientNode, job: Job, afterMs: number): void {
    this.scheduler.after(afterMs, undefined, `${client.name} asks`, () => {
      if (!client.isAlive) return this.#planJob(client, job, 10_000);
      this.#jobsLeft--;
      client.ask(job).then(
        (outcome) => this.#ended(client, outcome),
        (thrown) => this.#ended(client, `threw ${thrown}`),
      );
    });
  }

  #ended(client: ClientNode, outcome: string): void {
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
    this.scheduler.note(`${client.name}: ${outcome}`);
    const isSound = !outcome.startsWith("threw") && outcome !== "internal";
    this.oracle.check(isSound, "requests end in good order", () => outcome);
  }

  #isCalm = false;

  /** From now on, nothing goes wrong. */
  #calm(): void {
    this.#isCalm = true;
    this.scheduler.rarely = 0;
    for (const { weather } of [...this.#clients, ...this.executors]) {
      Object.assign(weather, { failures: 0, lag: 0n, deadUntilMs: 0 });
    }
  }

  #planTrouble(): void {
    const { scheduler } = this;
    const { random } = scheduler;
    const nodes = [...this.#clients, ...this.executors];
    for (const { weather } of nodes) {
      weather.failures = 0.1 * this.#trouble * random.unit();
      weather.lag = random.chance(0.5 * this.#trouble) ? 3n : 0n;
    }
    const times = (most: number) => random.whole(0, Math.round(most * this.#trouble));
    const plan = (count: number, label: string, strike: () => void) => {
      for (let i = count; i > 0; i--) {
        scheduler.after(random.whole(0, BUSY_MS), undefined, label, () => {
          if (!this.#isCalm) strike();
        });
      }
    };
    plan(times(3), "stream breaks", () => {
      const links = this.#clients.flatMap((client) => [...client.links]);
      if (links.length > 0) random.pick(links).cut();
    });
    plan(times(1), "endpoint dies", () => {
      const { weather } = random.pick(nodes);
      weather.deadUntilMs = scheduler.nowMs + random.whole(5_000, 120_000);
    });
    plan(times(1.5), "crash", () => this.#crash(random.pick(nodes)));
  }

  #crash(node: ClientNode | ExecutorNode): void {
    if (!node.isAlive) return;
    const { random } = this.scheduler;
    this.scheduler.note(`${node.name} crashes`);
    if (node instanceof ExecutorNode) node.crash(random.chance(0.5));
    else node.crash();
    this.scheduler.after(random.whole(500, 60_000), undefined, `${node.name} comes back`, () => {
      node.start();
    });
  }

  /** The end: every client wants its money back, as soon as the contract allows. */
  #closeAll(client: ClientNode): void {
    const { timestamp, state } = this.chain.block();
    for (const { channelId, terms } of client.openChannels) {
      const { status, closesAt } = state.contract.channels.get(channelId)!;
      if (status === "open") this.#try(client, client.requestClose(channelId, terms));
      else if (timestamp >= closesAt) this.#try(client, client.finalize(channelId, terms));
    }
    // One may still be opening; and of those that are closing, the time comes.
    this.scheduler.after(15_000, undefined, `${client.name} closes`, () => this.#closeAll(client));
  }

  #try(client: ClientNode, closing: Promise<void>): void {
    closing.catch((thrown) => this.scheduler.note(`${client.name} closes: ${codeOf(thrown)}`));
  }

  #finish(): void {
    const { channels } = this.chain.block().state.contract;
    for (const { lie, oracle, ledger } of this.#clients) {
      if (lie !== undefined) continue;
      oracle.finish(ledger.book);
      for (const { channelId } of ledger.book.channels()) {
        const settled = channels.get(channelId)?.settled ?? 0n;
        this.oracle.check(
          settled <= oracle.signed(channelId),
          "no more is settled than signed",
          () => `${settled} of ${oracle.signed(channelId)}`,
        );
      }
    }
    for (const { name, oracle, lie } of this.executors) {
      oracle.finish();
      if (lie !== undefined) continue;
      for (const [channelId, held] of oracle.held) {
        const deposit = this.chain.depositOf(channelId);
        const due = held < deposit ? held : deposit;
        const settled = channels.get(channelId)?.settled ?? 0n;
        this.oracle.check(
          settled >= due,
          "an executor gets all that it holds vouchers for",
          () => `${name}: ${settled} of ${due}`,
        );
      }
    }
  }
}
