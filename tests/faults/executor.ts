/** An executor in a market of faults, with its till. @module */
import type { Identity } from "@lloom/core/identity";
import type { Prices } from "@lloom/core/payments";
import type { ExecutorPaymentsConfig } from "@lloom/host/config";
import { Till } from "../../roles/executor/till.ts";
import type { MockLlmServer } from "../support/mock_llm_server.ts";
import { backendsToml } from "../support/network.ts";
import { blockchainOf } from "./client_program.ts";
import { ExecutorProcess } from "./executor_process.ts";

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
export class FaultyExecutor extends ExecutorProcess {
  readonly #task: ExecutorTask;

  constructor(identity: Identity, task: ExecutorTask) {
    super(identity, task.dataDir);
    this.#task = task;
  }

  /** The lines of its `config.toml`. */
  get settings(): readonly string[] {
    const { backend, prices, rpcUrl, confirmations } = this.#task;
    const { chainId, pollMs } = blockchainOf(rpcUrl, confirmations);
    return [
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
