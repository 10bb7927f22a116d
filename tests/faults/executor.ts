/** An executor's process in a market of faults: the program itself, with its own permissions. @module */
import type { Identity } from "@lloom/core/identity";
import type { Prices } from "@lloom/core/payments";
import type { ReadyInfo } from "@lloom/host";
import type { ExecutorPaymentsConfig } from "@lloom/host/config";
import { join } from "node:path";
import { Till } from "../../roles/executor/till.ts";
import type { MockLlmServer } from "../support/mock_llm_server.ts";
import { backendsToml, LOOPBACK, roleArguments } from "../support/network.ts";
import { blockchainOf } from "./client_program.ts";
import { Member } from "./member.ts";

/** How an executor is set up. */
export interface ExecutorTask {
  readonly dataDir: string;
  readonly backend: MockLlmServer;
  readonly rpcUrl: string;
  readonly confirmations: number;
  readonly prices: Prices;
  readonly stepTokens: number;
}

/** See the module. */
export class FaultyExecutor extends Member {
  readonly identity: Identity;
  readonly #task: ExecutorTask;
  #ready = Promise.withResolvers<ReadyInfo>();
  #listen = LOOPBACK;
  #multiaddrs: readonly string[] = [];

  constructor(identity: Identity, task: ExecutorTask) {
    super();
    this.identity = identity;
    this.#task = task;
  }

  get dataDir(): string {
    return this.#task.dataDir;
  }

  /** Where it listens, after every start. */
  get multiaddrs(): readonly string[] {
    return this.#multiaddrs;
  }

  /** Resolves once the process that was started last is ready. */
  get ready(): Promise<unknown> {
    return Promise.race([this.#ready.promise, this.failed]);
  }

  /** Writes its settings, and starts it for the first time. */
  async begin(): Promise<void> {
    const { dataDir, backend, prices } = this.#task;
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
    const { rpcUrl, confirmations } = this.#task;
    const { chainId, pollMs } = blockchainOf(rpcUrl, confirmations);
    const toml = [
      backendsToml([backend], "max_concurrent = 64"),
      "[pricing]",
      `default_inbound_price = "${prices.inboundPrice}"`,
      `default_outbound_price = "${prices.outboundPrice}"`,
      "[blockchain]",
      `rpc_urls = ["${rpcUrl}"]`,
      `chain_id = ${chainId}`,
      `confirmations = ${confirmations}`,
      `poll_ms = ${pollMs}`,
      "[payments]",
      `step_tokens = ${this.#payments.stepTokens}`,
      `min_deposit = "${this.#payments.minDeposit}"`,
      `redeem_threshold = "${this.#payments.redeemThreshold}"`,
    ];
    const settings = { mode: 0o600 } as const;
    await Deno.writeTextFile(join(dataDir, "config.toml"), toml.join("\n"), settings);
    const key = this.identity.exportPrivateKey().toHex();
    await Deno.writeTextFile(join(dataDir, "identity.key"), key, settings);
    this.start();
    const { multiaddrs } = await Promise.race([this.#ready.promise, this.failed]);
    this.#multiaddrs = multiaddrs;
    // So that clients find it where it was.
    this.#listen = multiaddrs[0]!.replace(/\/p2p\/.*/, "");
  }

  start(): void {
    const { dataDir } = this.#task;
    const ready = this.#ready = Promise.withResolvers();
    const args = ["--data-dir", dataDir, "--format", "json", "--listen", this.#listen];
    this.run([...roleArguments("executor", dataDir), "--stop-with-stdin", ...args], (line) => {
      if (line.includes('"event":"ready"')) ready.resolve(JSON.parse(line));
    });
  }

  /** Has it end as its operator would. */
  async stop(): Promise<void> {
    await this.endWith((process) => process.kill("SIGTERM"));
  }

  /** Redeems what is left, with its process stopped, and waits until that is final. */
  async settle(): Promise<void> {
    const { dataDir, rpcUrl, confirmations } = this.#task;
    const config = {
      blockchain: blockchainOf(rpcUrl, confirmations),
      payments: this.#payments,
      storage: { dataDir },
    };
    const till = await Till.open({ identity: this.identity, config, sandboxWorkers: false });
    try {
      await till!.settler.settle();
    } finally {
      await till!.close(10_000);
    }
  }

  get #payments(): ExecutorPaymentsConfig {
    return {
      stepTokens: this.#task.stepTokens,
      minCloseDelay: 3600,
      minDeposit: "0.0000000000001",
      redeemThreshold: "0.00000000000002",
      redeemMinimum: "0",
      redeemMaxAge: 60,
    };
  }
}
