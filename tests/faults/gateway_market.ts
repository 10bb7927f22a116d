/** A gateway under load, whose executors are killed at random. @module */
import { Identity } from "@lloom/core/identity";
import assert from "node:assert/strict";
import { join } from "node:path";
import { Random } from "../sim/random.ts";
import { type MockLlmServer, startMockLlmServer } from "../support/mock_llm_server.ts";
import { backendsToml } from "../support/network.ts";
import { ExecutorProcess } from "./executor_process.ts";
import { ask, type AskedApi, askedApis, type Outcome } from "./gateway_apis.ts";
import { GatewayProcess } from "./gateway_process.ts";

const EXECUTORS = 3;
/** Requests under way at once. */
const CONCURRENCY = 8;
const MODEL = "mock-model";
/** Every answer. All of its tokens differ: what is missing, or comes twice, shows. */
const TEXT = Array.from({ length: 60 }, (_, i) => ` ${String(i).padStart(3, "0")}`).join("");
/** How long a busy machine may take until somebody is answered again. */
const PATIENCE_MS = 60_000;

/** What became of all requests. */
export interface GatewayTally {
  rounds: number;
  /** Executors killed. */
  kills: number;
  requests: number;
  /** Whole, by one executor. */
  whole: number;
  /** Whole, by several. */
  continued: number;
  /** Broken off after some of the text, with an error that says so. */
  broken: number;
  /** Errors before any text. */
  failed: number;
  /** All errors, by code. */
  readonly errors: Record<string, number>;
}

/** See the module. */
export class GatewayMarket implements AsyncDisposable {
  readonly tally: GatewayTally = {
    ...{ rounds: 0, kills: 0, requests: 0, whole: 0, continued: 0, broken: 0, failed: 0 },
    errors: {},
  };
  readonly #random: Random;
  readonly #mock: MockLlmServer;
  readonly #executors: readonly ExecutorProcess[];
  readonly #apis: readonly AskedApi[] = Object.values(askedApis(MODEL));
  #gateway: GatewayProcess | undefined;
  #load: Promise<unknown> = Promise.resolve();
  #isStopping = false;
  #onText = (): void => {};

  private constructor(seed: number, directory: string) {
    this.#random = new Random(seed);
    this.#mock = startMockLlmServer({ dialect: "vllm", models: [MODEL], text: TEXT });
    this.#executors = Array.from({ length: EXECUTORS }, (_, i) => {
      const identity = new Identity(new Uint8Array(32).fill(0xe0 + i));
      return new ExecutorProcess(identity, join(directory, `executor${i}`));
    });
  }

  /** Starts a market, and the load on it. @param directory empty */
  static async start(seed: number, directory: string): Promise<GatewayMarket> {
    const market = new GatewayMarket(seed, directory);
    try {
      await market.#start(directory);
      return market;
    } catch (error) {
      await market[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Lets answers come for a random while, and kills one executor, now and then all of them. */
  async round(): Promise<void> {
    const random = this.#random;
    this.#mock.options.delayMs = random.whole(0, 4);
    await this.#events(random.whole(1, 400));
    const up = await this.#up();
    const victims = random.chance(0.1) ? up : [random.pick(up)];
    for (const victim of victims) {
      await victim.kill();
      victim.start();
    }
    this.tally.kills += victims.length;
    this.tally.rounds++;
  }

  /** Has the requests under way come to their end. @throws if any answer was cut in silence */
  async finish(): Promise<void> {
    this.#isStopping = true;
    await this.#guarded(this.#load);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    await this.#gateway?.kill();
    await Promise.all(this.#executors.map((executor) => executor.kill()));
    await Promise.allSettled([this.#load]);
    await this.#mock.stop();
  }

  async #start(directory: string): Promise<void> {
    const settings = [backendsToml([this.#mock], "max_concurrent = 64")];
    await Promise.all(this.#executors.map((executor) => executor.begin(settings)));
    const bootstrapNodes = this.#executors.flatMap(({ multiaddrs }) => multiaddrs);
    this.#gateway = new GatewayProcess(join(directory, "gateway"), bootstrapNodes);
    await this.#gateway.begin(["[client.retry]", "initial_delay_ms = 50"]);
    const url = await this.#gateway.url;
    this.#load = Promise.all(Array.from({ length: CONCURRENCY }, () => this.#ask(url)));
    // Looked at in every round.
    this.#load.catch(() => {});
  }

  /** Asks, one request after the other. */
  async #ask(url: string): Promise<void> {
    const random = this.#random;
    while (!this.#isStopping) {
      const api = random.pick(this.#apis);
      const stream = random.chance(0.7);
      const continues = random.chance(0.5);
      const headers = continues ? { "x-lloom-continue": "true" } : {};
      const what = `${api.path}, ${stream ? "streamed" : "whole"}, continue ${continues}`;
      this.#count(what, await ask(url, api, stream, headers, () => this.#onText()));
    }
  }

  /** @throws {assert.AssertionError} for an answer that is neither whole nor said to be broken */
  #count(what: string, { text, isWhole, code, seams, requests }: Outcome): void {
    const { tally } = this;
    tally.requests++;
    if (!isWhole) {
      assert.ok(
        code,
        `${what}: an answer ended with neither its end nor an error, after "${text}"`,
      );
      assert.ok(TEXT.startsWith(text), `${what}: a broken answer is not what was said: "${text}"`);
      tally.errors[code] = (tally.errors[code] ?? 0) + 1;
      return void (text === "" ? tally.failed++ : tally.broken++);
    }
    assert.equal(code, undefined, `${what}: an answer has both an end and an error`);
    assert.equal(text, TEXT, `${what}: an answer that is said to be whole`);
    requests.slice(1).forEach(({ continues }, i) =>
      assert.equal(continues, requests[i]!.requestHash, `${what}: requests are linked`)
    );
    if (seams > 0 || requests.length > 1) tally.continued++;
    else tally.whole++;
  }

  /** Executors at work, as soon as there is one that others can fail over to. */
  async #up(): Promise<readonly ExecutorProcess[]> {
    for (;;) {
      const up = this.#executors.filter(({ isUp }) => isUp);
      if (up.length > 1) return up;
      const starting = this.#executors.filter(({ isUp }) => !isUp);
      await this.#guarded(Promise.race(starting.map(({ ready }) => ready)));
    }
  }

  /** Resolves after so many events, of any answers. */
  async #events(count: number): Promise<void> {
    const came = Promise.withResolvers<void>();
    this.#onText = () => --count <= 0 && came.resolve();
    await this.#guarded(came.promise);
  }

  /** @throws what went wrong meanwhile, and if it takes too long */
  async #guarded(promise: Promise<unknown>): Promise<void> {
    const late = Promise.withResolvers<never>();
    const members = [this.#gateway!, ...this.#executors];
    const timer = setTimeout(() => {
      const logs = members.map(({ log }) => log).join("\n---\n");
      late.reject(new Error(`faults of executors: nothing came\n${logs}`));
    }, PATIENCE_MS);
    // The load only ends by itself when it is told to, or when it finds a fault.
    const fault = this.#load.then(() => promise);
    try {
      await Promise.race([promise, fault, late.promise, ...members.map(({ failed }) => failed)]);
    } finally {
      clearTimeout(timer);
    }
  }
}
