/** A market of real processes that are killed at random, and go on. @module */
import { fromHex, type Hex, toHex } from "@lloom/core/bytes";
import { Identity } from "@lloom/core/identity";
import { type Cost, costOf } from "@lloom/core/payments";
import { Chain } from "@lloom/core/payments/chain";
import { ledgerPath, paymentChain, systemClock } from "@lloom/host";
import { openBuyerStore, openSellerStore } from "@lloom/host/stores";
import { join } from "node:path";
import {
  type MockLlmServer,
  type MockRequest,
  startMockLlmServer,
} from "../support/mock_llm_server.ts";
import { Random } from "../sim/random.ts";
import { audit, type Findings, type Terms } from "./audit.ts";
import { CONFIRMATIONS, FaultyChain } from "./chain.ts";
import { blockchainOf, MAX_BODY_BYTES, PAYMENTS } from "./client_program.ts";
import { FaultyClient } from "./client.ts";
import { FaultyExecutor } from "./executor.ts";

/**
 * Prices of which hardly any sum is a whole base unit. Prompts are dear, so that the steps that killed
 * clients leave unpaid stay below a fiftieth of what they pay, above which executors refuse them.
 */
const PRICES = { inboundPrice: 23_456_789n, outboundPrice: 2_345_679n };
const STEP_TOKENS = 8;
/** What every account has in the beginning: 100 coins, for gas mostly. */
const FUNDS = 100n * 10n ** 18n;
/** How long a busy machine may take until somebody is answered again. */
const PATIENCE_MS = 60_000;
const CONCURRENCY = 3;
const CLIENTS = 2;
const EXECUTORS = 2;

/** What was done so far. */
export interface Tally {
  rounds: number;
  /** Kills by victim. */
  readonly kills: { client: number; executor: number; chain: number };
  /** Blocks that the chain lost. */
  lostBlocks: number;
  /** What the last audit found; undefined before the first. */
  findings?: Findings;
}

/** See the module. */
export class FaultMarket implements AsyncDisposable {
  readonly tally: Tally = {
    rounds: 0,
    kills: { client: 0, executor: 0, chain: 0 },
    lostBlocks: 0,
  };
  readonly #random: Random;
  readonly #chain: FaultyChain;
  readonly #mock: MockLlmServer;
  readonly #reader: Chain;
  readonly #clients: FaultyClient[] = [];
  readonly #executors: FaultyExecutor[] = [];
  readonly #directory: string;

  private constructor(seed: number, chain: FaultyChain, directory: string) {
    this.#random = new Random(seed);
    this.#chain = chain;
    this.#directory = directory;
    this.#mock = startMockLlmServer();
    const { chainId, contract } = paymentChain(blockchainOf(chain.rpcUrl, 1))!;
    const rpcUrls = [chain.rpcUrl];
    this.#reader = new Chain({ rpcUrls, chainId, contract, pollMs: 50 }, { clock: systemClock });
  }

  /** Starts a market; undefined on a machine without anvil. @param directory empty */
  static async start(seed: number, directory: string): Promise<FaultMarket | undefined> {
    const chain = await FaultyChain.start(directory);
    if (chain === undefined) return undefined;
    const market = new FaultMarket(seed, chain, directory);
    try {
      await market.#start();
      return market;
    } catch (error) {
      await market[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Lets the traffic go on for a random while, kills somebody, and has it start again. */
  async round(): Promise<void> {
    const random = this.#random;
    this.#mock.options.tokens = random.whole(1, 60);
    this.#mock.options.delayMs = random.whole(0, 3);
    await this.#traffic(random.whole(1, 60));
    this.tally.rounds++;
    const victim = random.pick([
      this.#chain,
      random.pick(this.#clients),
      random.pick(this.#executors),
    ]);
    if (victim instanceof FaultyChain) {
      const lost = random.whole(0, CONFIRMATIONS - 1);
      this.tally.kills.chain++;
      this.tally.lostBlocks += lost;
      return await victim.crash(lost);
    }
    this.tally.kills[victim instanceof FaultyClient ? "client" : "executor"]++;
    await victim.kill();
    victim.start();
  }

  /**
   * Has everything redeemed and closed, and checks that every unit is where it belongs.
   * @param forGood also ends the channels that wait for their delay: no others can be opened then
   */
  async settle(forGood: boolean): Promise<void> {
    await Promise.all(this.#executors.map((executor) => executor.ready));
    await Promise.all(this.#clients.map((client) => client.stop()));
    // Some do not ask their executors, which see it on the chain.
    await Promise.all(
      this.#clients.map((client) => client.closeChannels(this.#random.chance(0.5))),
    );
    await Promise.all(this.#executors.map((executor) => executor.stop()));
    await Promise.all(this.#executors.map((executor) => executor.settle()));
    if (forGood) {
      await this.#chain.wait(2 * PAYMENTS.closeDelay);
      await Promise.all(this.#clients.map((client) => client.finalize()));
    }
    this.tally.findings = await this.#audit(forGood);
  }

  /** Goes on after {@linkcode FaultMarket.settle}. */
  resume(): void {
    for (const member of [...this.#executors, ...this.#clients]) member.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#clients, ...this.#executors].map((member) => member.kill()));
    await this.#mock.stop();
    this.#reader.close();
    await this.#chain[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    const executors = Array.from({ length: EXECUTORS }, (_, i) => this.#newExecutor(i));
    this.#executors.push(...executors);
    for (const { identity } of executors) await this.#chain.fund(identity.address, FUNDS);
    await Promise.all(executors.map((executor) => executor.begin(executor.settings)));
    const bootstrapNodes = executors.flatMap(({ multiaddrs }) => multiaddrs);
    for (let i = 0; i < CLIENTS; i++) {
      const client = new FaultyClient({
        key: keyOf(0xc0 + i),
        dataDir: join(this.#directory, `client${i}`),
        bootstrapNodes,
        rpcUrl: this.#chain.rpcUrl,
        confirmations: CONFIRMATIONS,
        concurrency: CONCURRENCY,
        outboundPrice: String(PRICES.outboundPrice),
      }, () => this.#random.whole(0, 2 ** 31));
      this.#clients.push(client);
      await this.#chain.fund(client.identity.address, FUNDS);
      client.start();
    }
  }

  #newExecutor(i: number): FaultyExecutor {
    return new FaultyExecutor(new Identity(fromHex(keyOf(0xe0 + i))), {
      dataDir: join(this.#directory, `executor${i}`),
      backend: this.#mock,
      rpcUrl: this.#chain.rpcUrl,
      confirmations: CONFIRMATIONS,
      prices: PRICES,
      stepTokens: STEP_TOKENS,
    });
  }

  /** Resolves after so many pieces of text, at any client. */
  async #traffic(pieces: number): Promise<void> {
    let left = pieces;
    const came = Promise.withResolvers<void>();
    for (const client of this.#clients) {
      client.onText = () => --left <= 0 && came.resolve();
    }
    const failed = [...this.#clients, ...this.#executors].map((member) => member.failed);
    const late = setTimeout(
      () => came.reject(new Error(`no traffic: ${this.#state()}`)),
      PATIENCE_MS,
    );
    try {
      await Promise.race([came.promise, ...failed]);
    } finally {
      clearTimeout(late);
    }
  }

  #state(): string {
    return [...this.#clients, ...this.#executors].map((member) => member.log).join("\n---\n");
  }

  #said(tag: number): Cost {
    const isIt = ({ body }: MockRequest) => body.max_tokens === tag;
    const tokens = this.#mock.requests.filter(isIt)
      .reduce((sum, { sent }) => sum + sent, 0);
    // Each has between four and eight bytes, and counts as so many fourths.
    return costOf(PRICES, 0, 2 * tokens);
  }

  async #audit(forGood: boolean): Promise<Findings> {
    const chain = paymentChain(blockchainOf(this.#chain.rpcUrl, 1));
    const open = <S>(
      opening: (options: { path: string; sandbox: boolean }) => Promise<S>,
      { dataDir }: { readonly dataDir: string },
    ) => opening({ path: ledgerPath(dataDir, chain), sandbox: false });
    const buyers = await Promise.all(this.#clients.map((one) => open(openBuyerStore, one)));
    const sellers = await Promise.all(this.#executors.map((one) => open(openSellerStore, one)));
    try {
      return await audit(
        this.#chain,
        this.#reader,
        this.#clients.map(({ identity: { address }, notes }, i) => ({
          ...{ address, notes, store: buyers[i]!.store },
        })),
        this.#executors.map(({ identity: { address } }, i) => ({
          ...{ address, store: sellers[i]!.store },
        })),
        { ...TERMS, forGood, said: (tag) => this.#said(tag) },
      );
    } finally {
      await Promise.all([...buyers, ...sellers].map((ledger) => ledger.close()));
    }
  }
}

const STEP: Cost = costOf(PRICES, 0, STEP_TOKENS);

const TERMS: Omit<Terms, "forGood" | "said"> = {
  ...PRICES,
  step: STEP,
  concurrency: CONCURRENCY,
  maxBodyBytes: MAX_BODY_BYTES,
  funded: BigInt(CLIENTS + EXECUTORS) * FUNDS,
};

function keyOf(byte: number): Hex {
  return toHex(new Uint8Array(32).fill(byte));
}
