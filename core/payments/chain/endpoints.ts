/** The endpoints of one chain: the first that is sound is asked, and after it the next. @module */
import { getLogger } from "@logtape/logtape";
import { LloomError } from "../../errors.ts";
import type { Clock } from "../../ports.ts";
import type { ChainHead, ChainOptions } from "./ports.ts";
import { openTransport, type Rpc, type RpcTransport } from "./rpc.ts";
import { readCount, readHex, readQuantity, readRecord } from "./rpc_values.ts";

const log = getLogger(["lloom", "chain"]);

/** How long what is known of an endpoint counts. */
const CHECK_EVERY_MS = 15_000;
/** How long an endpoint rests after it failed: at first, and at most. */
const REST_MS = { first: 1000, longest: 60_000 } as const;
/** How far clocks, ours and those of proposers, may be apart: a block of a later time is none. */
const MAX_SKEW_S = 600;
/** An endpoint whose newest block is older may stand still. */
const STALE_S = 600;
/** More than any chain makes. */
const MAX_BLOCKS_PER_S = 20;

/** What is known of one endpoint. */
interface Endpoint {
  /** Its host: the rest of a URL may hold a key. */
  readonly host: string;
  readonly transport: RpcTransport;
  /** Whether its chain and contract are the right ones; undefined before it was asked. */
  right: boolean | undefined;
  /** Its newest block, the last one that could be true; undefined before there was one. */
  head: ChainHead | undefined;
  /** When it told of that block. */
  headMs: number;
  /** Whether what it told last could be true. */
  plausible: boolean;
  checkedMs: number;
  restMs: number;
  restsUntilMs: number;
  checking: Promise<void> | undefined;
}

/** Thrown by a task of {@linkcode Endpoints.use} to have the next endpoint asked. */
export class Unanswered extends Error {}

/**
 * Keeps a question from being answered by an endpoint of another chain, or one that fails, or lags
 * behind the others. Such ones rest, and are tried again later.
 */
export class Endpoints {
  readonly #options: Required<Pick<ChainOptions, "chainId" | "contract" | "maxLagBlocks">>;
  readonly #clock: Clock;
  readonly #endpoints: readonly Endpoint[];

  /** @throws {TypeError} if a URL is none, or there is none */
  constructor(options: ChainOptions, components: { readonly clock: Clock }) {
    const { rpcUrls, chainId, contract, maxLagBlocks = 20, timeoutMs = 10_000 } = options;
    if (rpcUrls.length === 0) throw new TypeError("reach chain: no RPC URL");
    this.#options = { chainId, contract, maxLagBlocks };
    this.#clock = components.clock;
    this.#endpoints = rpcUrls.map((url) => ({
      host: new URL(url).host,
      transport: openTransport(url, timeoutMs),
      right: undefined,
      head: undefined,
      headMs: -Infinity,
      plausible: true,
      checkedMs: -Infinity,
      restMs: 0,
      restsUntilMs: -Infinity,
      checking: undefined,
    }));
  }

  /**
   * Runs a task against one endpoint; one that throws anything but a {@linkcode LloomError} is run
   * again, from its beginning, against the next.
   * @param turn how many of the preferred ones are asked last, counted round
   * @throws {LloomError} `chain_unavailable`, `chain_mismatch`, or what the task throws
   */
  async use<T>(task: (rpc: Rpc) => Promise<T>, turn = 0): Promise<T> {
    await this.#refresh();
    const usable = this.#usable();
    const first = turn % Math.max(1, usable.length);
    let fault: unknown;
    for (const endpoint of [...usable.slice(first), ...usable.slice(0, first)]) {
      try {
        const result = await task(endpoint.transport.request);
        endpoint.restMs = 0;
        return result;
      } catch (error) {
        if (error instanceof LloomError) throw error;
        fault = error;
        this.#rest(endpoint, error);
      }
    }
    const wrong = this.#endpoints.every(({ right }) => right === false);
    if (wrong) {
      const { chainId, contract } = this.#options;
      throw new LloomError(
        "chain_mismatch",
        `reach chain: no endpoint is of chain ${chainId} and has the contract ${contract}`,
      );
    }
    throw new LloomError("chain_unavailable", "reach chain: no endpoint answers sensibly", {
      cause: fault,
      retryAfterMs: REST_MS.first,
    });
  }

  /** Tells all sound endpoints at once, that a transaction reaches the chain though one is dumb. */
  async useAll<T>(task: (rpc: Rpc) => Promise<T>): Promise<PromiseSettledResult<T>[]> {
    await this.#refresh();
    return await Promise.allSettled(
      this.#usable().map(({ transport }) => task(transport.request)),
    );
  }

  /** Notes an endpoint's newest block; false if it lags behind others, or names a block that cannot be. */
  saw(rpc: Rpc, head: ChainHead): boolean {
    const endpoint = this.#of(rpc);
    this.#note(endpoint, head);
    return this.#usable().includes(endpoint);
  }

  /** Whether no endpoint that is preferred to this one knows a newer block. */
  isNewest(rpc: Rpc): boolean {
    const endpoint = this.#of(rpc);
    const usable = this.#usable();
    return this.#isNear(endpoint, usable.slice(0, usable.indexOf(endpoint)), 0);
  }

  /** Closes all connections. */
  close(): void {
    for (const { transport } of this.#endpoints) transport.close();
  }

  #sound(): Endpoint[] {
    const now = this.#clock.now();
    return this.#endpoints.filter(({ right, restsUntilMs }) =>
      right === true && restsUntilMs <= now
    );
  }

  /**
   * Those that are fit to be asked, in order of preference. One yields to those before it
   * that are far ahead, and not to those after it: else whoever names a block far ahead would be the
   * only one left. One that stands still by its own clock yields to all.
   */
  #usable(): Endpoint[] {
    // One alone has nobody to be measured by, and a chain of tests may live in another time.
    const plausible = this.#sound().filter((one) => one.plausible || this.#endpoints.length === 1);
    const staleS = this.#clock.now() / 1000 - STALE_S;
    return plausible.filter((one, i) => {
      const isStale = one.head !== undefined && one.head.timestamp < staleS;
      return this.#isNear(
        one,
        isStale ? plausible : plausible.slice(0, i),
        this.#options.maxLagBlocks,
      );
    });
  }

  /** Whether an endpoint is at most so many blocks behind each of some others. */
  #isNear(endpoint: Endpoint, others: readonly Endpoint[], blocks: number): boolean {
    const number = endpoint.head?.number ?? 0n;
    return others.every(({ head }) => (head?.number ?? 0n) <= number + BigInt(blocks));
  }

  #of(rpc: Rpc): Endpoint {
    const endpoint = this.#endpoints.find(({ transport }) => transport.request === rpc);
    if (endpoint === undefined) throw new TypeError("find endpoint: not one of these");
    return endpoint;
  }

  #note(endpoint: Endpoint, head: ChainHead): void {
    const now = this.#clock.now();
    const { head: before, headMs } = endpoint;
    const possible = before === undefined ? undefined : before.number +
      BigInt(this.#options.maxLagBlocks + Math.ceil((now - headMs) / 1000) * MAX_BLOCKS_PER_S);
    const isFuture = head.timestamp > now / 1000 + MAX_SKEW_S;
    endpoint.plausible = !isFuture && (possible === undefined || head.number <= possible);
    if (!endpoint.plausible && this.#endpoints.length > 1) {
      const { host } = endpoint;
      log.warn("{host} names a newest block that cannot be", { host });
      return;
    }
    endpoint.head = head;
    endpoint.headMs = now;
  }

  /** Looks at all endpoints that were not looked at for a while, and waits for those known as sound. */
  async #refresh(): Promise<void> {
    const now = this.#clock.now();
    const sound = new Set(this.#sound());
    const checks = new Map<Endpoint, Promise<void>>();
    for (const endpoint of this.#endpoints) {
      const isDue = endpoint.checkedMs + CHECK_EVERY_MS <= now || !sound.has(endpoint);
      if (!isDue || this.#restsUntilMs(endpoint, sound.size > 0) > now) continue;
      endpoint.checking ??= this.#check(endpoint).finally(() => endpoint.checking = undefined);
      checks.set(endpoint, endpoint.checking);
    }
    const needed = [...checks.keys()].filter((endpoint) => sound.size === 0 || sound.has(endpoint));
    await Promise.all(needed.map((endpoint) => checks.get(endpoint)));
  }

  /** When an endpoint is looked at again: soon, while there is no other to ask. */
  #restsUntilMs({ restsUntilMs, restMs }: Endpoint, hasOther: boolean): number {
    return hasOther ? restsUntilMs : restsUntilMs - restMs + Math.min(restMs, REST_MS.first);
  }

  async #check(endpoint: Endpoint): Promise<void> {
    const { chainId, contract } = this.#options;
    const rpc = endpoint.transport.request;
    try {
      const [chain, code, head] = await Promise.all([
        rpc("eth_chainId", []).then(readQuantity),
        endpoint.right === true ? "0x00" : rpc("eth_getCode", [contract, "latest"]).then(readHex),
        rpc("eth_getBlockByNumber", ["latest", false]).then(readHead),
      ]);
      endpoint.right = chain === chainId && code !== "0x";
      if (!endpoint.right) throw new Unanswered("another chain, or no contract on it");
      this.#note(endpoint, head);
      endpoint.checkedMs = this.#clock.now();
      endpoint.restsUntilMs = -Infinity;
    } catch (error) {
      this.#rest(endpoint, error);
    }
  }

  #rest(endpoint: Endpoint, error: unknown): void {
    const { first, longest } = REST_MS;
    endpoint.restMs = Math.min(longest, endpoint.restMs === 0 ? first : endpoint.restMs * 2);
    endpoint.restsUntilMs = this.#clock.now() + endpoint.restMs;
    endpoint.checkedMs = -Infinity;
    const { host, restMs } = endpoint;
    log.warn("{host} is passed over for {restMs} ms", { host, restMs });
    const reason = error instanceof Error ? error.message : String(error);
    log.debug("{host}: {reason}", { host, reason });
  }
}

/** Number and time of a block. @throws {TypeError} if it is none */
export function readHead(value: unknown): ChainHead {
  const block = readRecord(value);
  return { number: readQuantity(block["number"]), timestamp: readCount(block["timestamp"]) };
}
