/** What all nodes of a run share. @module */
import type { SigningDomain } from "@lloom/core/signing";
import type { ExecutorNode } from "./executor_node.ts";
import type { ModelChain } from "./model_chain.ts";
import type { Oracle } from "./oracle.ts";
import type { Scheduler } from "./scheduler.ts";

/** The world that nodes live in. */
export interface World {
  readonly scheduler: Scheduler;
  readonly oracle: Oracle;
  readonly chain: ModelChain;
  readonly payment: SigningDomain;
  readonly executors: readonly ExecutorNode[];
}
