/** All checks of a client, those of different things at the same time. @module */
import { generateIdentity } from "@lloom/core/identity";
import { type CommandContext, paymentChain, systemClock } from "@lloom/host";
import type { ClientConfig } from "@lloom/host/config";
import { Wallet } from "../wallet.ts";
import { check, type CheckResult, ok, skipped } from "./check.ts";
import { checkClock } from "./clock_check.ts";
import {
  checkConfiguration,
  checkDataDirectory,
  checkIdentity,
  checkLedger,
  checkProgram,
  findIdentity,
} from "./local_checks.ts";
import { checkGateway, checkModelServers } from "./machine_checks.ts";
import {
  checkBootstrap,
  checkExecutors,
  checkPeers,
  checkReach,
  checkRegistries,
} from "./network_checks.ts";
import { type AskedPeer, NetworkProbe } from "./network_probe.ts";

/** Executors that are asked themselves. */
const REACHED = 8;

/** Where a check looks, and what it found. */
interface Findings<T> {
  readonly results: readonly CheckResult[];
  readonly evidence: T;
}

/**
 * Looks at everything that a client needs. Makes no key, pays nothing, and asks no model.
 * @throws {LloomError} `aborted`
 */
export async function diagnose(
  context: CommandContext<ClientConfig>,
  signal: AbortSignal,
): Promise<readonly CheckResult[]> {
  const { config, sandboxWorkers } = context;
  const local = (await Promise.all([
    check("program", () => checkProgram(sandboxWorkers)),
    check("configuration", () => checkConfiguration(context)),
    check("data directory", () => checkDataDirectory(config), "choose another with --data-dir"),
    check("identity", () => checkIdentity(config)),
  ])).flat();
  const wallet = await openWallet(context, local);
  try {
    const [ledger, network, chain, machine] = await Promise.all([
      check("ledger", () => checkLedger(config, wallet)),
      lookAtNetwork(context, wallet, signal),
      lookAtChain(config, wallet),
      Promise.all([
        check("model servers", () => checkModelServers(signal)),
        check("gateway", () => checkGateway(config.gateway, signal)),
      ]),
    ]);
    const evidence = { ...network.evidence, ...chain.evidence, nowMs: systemClock.now() };
    const clock = await check("clock", () => checkClock(evidence));
    return [local, ledger, network.results, clock, chain.results, ...machine].flat();
  } finally {
    await wallet?.close();
  }
}

/** The wallet; undefined without a key, or where it cannot be opened, which is then a result. */
async function openWallet(
  { config, sandboxWorkers }: CommandContext<ClientConfig>,
  results: CheckResult[],
): Promise<Wallet | undefined> {
  if (results.some(({ name, state }) => name === "identity" && state === "failed")) {
    return undefined;
  }
  const identity = findIdentity(config);
  if (identity === undefined) return undefined;
  const { blockchain, payments, storage: { dataDir } } = config;
  let wallet: Wallet | undefined;
  const opening = await check("wallet", async () => {
    wallet = await Wallet.open({ identity, blockchain, payments, dataDir, sandboxWorkers });
    return ok("it opens");
  }, "look at the settings of [blockchain] and [payments]");
  results.push(...opening);
  return wallet;
}

async function lookAtNetwork(
  { config, sandboxWorkers }: CommandContext<ClientConfig>,
  wallet: Wallet | undefined,
  signal: AbortSignal,
): Promise<Findings<{ readonly asked: readonly AskedPeer[] }>> {
  const identity = wallet?.identity ?? generateIdentity();
  const probe = await NetworkProbe.open(identity, config.network, sandboxWorkers);
  try {
    const dialled = await probe.join(signal);
    const asked = await probe.askAll(signal);
    const known = probe.executors();
    const strangers = known.map(({ announcement }) => announcement)
      .filter(({ peerId }) => !asked.some((peer) => peer.peerId === peerId)).slice(0, REACHED);
    const reached = await Promise.all(strangers.map((executor) => probe.ask(executor, signal)));
    const results = await Promise.all([
      check("bootstrap nodes", () => checkBootstrap(config, dialled)),
      check("peers", () => checkPeers(probe.peers())),
      check("registries", () => checkRegistries(asked)),
      check(
        "executors",
        () =>
          asked.length === 0
            ? skipped("there is nobody to ask")
            : checkExecutors(config, probe.executors(), wallet?.means),
      ),
      check("reach", () => checkReach(reached)),
    ]);
    return { results: results.flat(), evidence: { asked: [...asked, ...reached] } };
  } finally {
    await probe.close();
  }
}

async function lookAtChain(
  { blockchain }: ClientConfig,
  wallet: Wallet | undefined,
): Promise<Findings<{ readonly blockS?: number }>> {
  const chain = paymentChain(blockchain);
  if (chain === undefined) {
    const none = skipped("none is named with --rpc-url and --chain-id: only free models are asked");
    return { results: await check("chain", () => none), evidence: {} };
  }
  const checks = await import("./chain_checks.ts");
  const endpoints = await checks.probeEndpoints(blockchain, chain);
  const newest = Math.max(...endpoints.map(({ head }) => head?.timestamp ?? -Infinity));
  const results = [
    check("chain", () => checks.checkEndpoints(endpoints, chain, systemClock.now())),
    check("account", () => {
      const funds = wallet?.funds;
      return funds === undefined
        ? skipped("there is no key yet")
        : newest === -Infinity
        ? skipped("the chain cannot be asked")
        : checks.checkAccount(wallet!, funds);
    }),
    check("channels", () => {
      const funds = wallet?.funds;
      return funds === undefined
        ? skipped("there is no key yet")
        : checks.checkChannels(wallet!, funds);
    }),
  ];
  return {
    results: (await Promise.all(results)).flat(),
    evidence: newest === -Infinity ? {} : { blockS: newest },
  };
}
