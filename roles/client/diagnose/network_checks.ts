/** Checks of the network: who is reached, who answers, and what is on offer. @module */
import type { PaymentMeans } from "@lloom/core/routing";
import { candidatesOf, Observations, refusal } from "@lloom/core/routing";
import { isFree } from "@lloom/core/payments";
import { systemClock } from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import { failed, ok, type Outcome, skipped, warning } from "./check.ts";
import type { AskedPeer, ConnectedPeer, Dialled, SeenExecutor } from "./network_probe.ts";

const NAME_A_NODE =
  "name a node that runs with --bootstrap-nodes, or LLOOM_BOOTSTRAP_NODES; look whether a firewall " +
  "stands between";

/** Whether the bootstrap nodes are reached, each, and how fast. */
export function checkBootstrap(
  { network: { enableMdns } }: ClientConfig,
  dialled: readonly Dialled[],
): Outcome | readonly Outcome[] {
  if (dialled.length === 0) {
    return enableMdns
      ? skipped("none is named; mDNS looks for peers near by")
      : failed("config_invalid", "none is named, so there is no way into a network", NAME_A_NODE);
  }
  const isIn = dialled.some(({ error }) => error === undefined);
  return dialled.map(({ address, ms, error }) => {
    if (error === undefined) return ok(`${address}: reached after ${ms} ms`);
    const finding = `${address}: ${error.message}`;
    return isIn
      ? warning(finding, "others are reached; leave it out of the settings if it is gone for good")
      : failed(error.code, finding, NAME_A_NODE);
  });
}

/** Whether there is anybody. */
export function checkPeers(peers: readonly ConnectedPeer[]): Outcome {
  if (peers.length === 0) {
    return failed("peer_unreachable", "connected to nobody", "see bootstrap nodes");
  }
  const relayed = peers.filter((peer) => peer.relayed).length;
  return ok(`connected to ${peers.length}${relayed > 0 ? `, ${relayed} through relays` : ""}`);
}

/** Whether peers tell which executors there are. */
export function checkRegistries(asked: readonly AskedPeer[]): Outcome {
  if (asked.length === 0) return skipped("there is nobody to ask");
  const answers = asked.filter(({ error }) => error === undefined);
  if (answers.length === 0) {
    return failed(
      asked[0]!.error!.code,
      `none of ${asked.length} peers answers: ${asked[0]!.error!.message}`,
      "try again, or name another node with --bootstrap-nodes",
    );
  }
  const fastest = Math.min(...answers.map(({ ms }) => ms));
  const finding = `${answers.length} of ${asked.length} peers answer, the fastest in ${fastest} ms`;
  return ok(finding);
}

/** Who serves models, how many of them can be asked now, and how many be paid. */
export function checkExecutors(
  config: ClientConfig,
  executors: readonly SeenExecutor[],
  payment: PaymentMeans | undefined,
): readonly Outcome[] {
  if (executors.length === 0) {
    const remedy = "wait for one to announce itself, or run one: `deno task executor`";
    return [failed("no_executor", "no executor is known", remedy)];
  }
  const nowMs = systemClock.now();
  const observations = new Observations({}, { clock: systemClock });
  const usable = new Set<string>();
  const models = new Map<string, boolean>();
  let free = 0;
  for (const { announcement, lastSeen } of executors) {
    for (const { id } of announcement.models) {
      const [candidate] = candidatesOf([{ announcement, lastSeen }], id, observations);
      const why = refusal(candidate!, { model: id, ...(payment && { payment }) }, nowMs);
      models.set(id, models.get(id) === true || why === undefined);
      if (why !== undefined) continue;
      usable.add(announcement.peerId);
      if (isFree(candidate!.offer)) free++;
    }
  }
  const askable = [...models.values()].filter((can) => can).length;
  const finding = `${executors.length} executors, ${usable.size} of which can be asked; ` +
    `${models.size} models, of which ${askable} can be asked, ${free} offers of them for free`;
  return [
    usable.size > 0 ? ok(finding) : failed("no_executor", finding, whyNobody(payment)),
    ...checkModel(config, models),
  ];
}

function whyNobody(payment: PaymentMeans | undefined): string {
  return payment === undefined
    ? "they want to be paid, or serve nothing now: name a chain with --rpc-url and --chain-id"
    : "they are unavailable now, or want to be paid on another chain; `--query-model` tells";
}

function checkModel(
  { client: { defaults: { model } } }: ClientConfig,
  models: ReadonlyMap<string, boolean>,
): readonly Outcome[] {
  if (model === undefined) return [];
  if (models.get(model) === true) return [ok(`${model}, which is asked by default, is on offer`)];
  const remedy = "`--discover-models` lists what is on offer; choose with --model";
  const state = models.has(model) ? "cannot be asked now" : "is not on offer";
  return [warning(`${model}, which is asked by default, ${state}`, remedy)];
}

/** Whether executors can be reached from here, and answer. Nobody needs all of them. */
export function checkReach(reached: readonly AskedPeer[]): Outcome {
  if (reached.length === 0) return skipped("there is none to be dialled");
  const answers = reached.filter(({ error }) => error === undefined);
  const finding = `${answers.length} of ${reached.length} executors dialled answer`;
  if (answers.length === 0) {
    return failed(
      reached[0]!.error!.code,
      `${finding}: ${reached[0]!.error!.message}`,
      "let this machine connect to others, or let network.enable_relay be true",
    );
  }
  return ok(`${finding}, the fastest in ${Math.min(...answers.map(({ ms }) => ms))} ms`);
}
