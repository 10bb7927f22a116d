/** The devnet as its user runs it: up, used, ended, and up again where it was. */
import assert from "node:assert/strict";
import { ZERO_ADDRESS } from "@lloom/core/bytes";
import { generateIdentity } from "@lloom/core/identity";
import { Chain } from "@lloom/core/payments/chain";
import { systemClock } from "@lloom/host";
import { findTool } from "@lloom/host/foundry";
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CompletionReport } from "../../roles/client/prompt/report.ts";
import { ANVIL_CHAIN_ID } from "../support/anvil.ts";
import { type Child, runDeno, startDeno } from "../support/child_process.ts";
import { kill, program } from "../support/network.ts";
import { awaitExit, descendants } from "../support/processes.ts";

const SCRIPT = fileURLToPath(new URL("../../scripts/devnet.ts", import.meta.url));
const TARGET = 5n * 10n ** 16n;

/** A devnet under way, and the processes that belong to it. */
interface RunningDevnet {
  readonly child: Child;
  readonly pids: readonly number[];
  readonly rpcUrl: string;
  readonly faucetUrl: string;
}

async function startDevnet(dataDir: string): Promise<RunningDevnet> {
  const flags = ["--quiet", "--allow-all", "--unstable-worker-options"];
  const child = startDeno([...flags, SCRIPT, "--data-dir", dataDir]);
  await child.line("The devnet is up").catch(async (cause) => {
    throw new Error((await child.ended).stderr, { cause });
  });
  const after = async (name: string) => {
    const line = await child.line(name);
    return /https?:\/\/127\.0\.0\.1:\d+/.exec(line)![0];
  };
  const rpcUrl = await after("LLOOM_RPC_URL=");
  const faucetUrl = await after("faucet: ");
  const pids = await descendants(child.pid);
  return { child, pids, rpcUrl, faucetUrl };
}

async function end({ child, pids }: RunningDevnet): Promise<void> {
  kill(child, "SIGINT");
  const { code, stderr } = await child.ended;
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /ended by itself/);
  await Promise.all(pids.map(awaitExit));
}

async function ask(dataDir: string): Promise<CompletionReport> {
  const { code, stdout, stderr } = await runDeno([
    ...["--quiet", "--allow-all", program("client"), "--data-dir", join(dataDir, "client")],
    ...["--model", "lloom-demo", "--prompt", "Who are you?", "--format", "json"],
  ]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

async function balance(rpcUrl: string, account: `0x${string}`): Promise<bigint> {
  const contract = LLOOM_CHANNELS_ADDRESS.toLowerCase() as `0x${string}`;
  const chain = new Chain(
    { rpcUrls: [rpcUrl], chainId: ANVIL_CHAIN_ID, contract },
    { clock: systemClock },
  );
  try {
    return await chain.balance(ZERO_ADDRESS, account);
  } finally {
    chain.close();
  }
}

function post(url: string, body: Readonly<Record<string, string>>): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body),
  });
}

Deno.test({
  name: "a devnet serves a paid prompt and funds an account, ends whole, and goes on where it was",
  // Its processes are read from /proc.
  ignore: Deno.build.os !== "linux" || await findTool("anvil") === undefined,
  fn: async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "lloom-devnet-" });
    try {
      const devnet = await startDevnet(dataDir);
      const first = await ask(dataDir);
      assert.ok(BigInt(first.payment!.cost) > 0n);

      const { address } = generateIdentity();
      const { faucetUrl } = devnet;
      const request = { email: "ann@example.org", ethereum_address: address };
      const asked = await post(`${faucetUrl}/request`, request);
      assert.equal(asked.status, 202, await asked.text());
      const mail = await devnet.child.line("mail to ann@example.org: ");
      const token = /\/redeem\/([A-Za-z0-9_-]{43})$/.exec(mail)![1]!;
      const redeemed = await post(`${faucetUrl}/redeem`, { token });
      assert.ok(redeemed.ok, await redeemed.text());
      // Promised: on its way at the latest when the faucet has stopped, or at its next start.
      await end(devnet);

      const again = await startDevnet(dataDir);
      assert.equal(await balance(again.rpcUrl, address), TARGET);
      const second = await ask(dataDir);
      assert.equal(second.request.message.channelId, first.request.message.channelId);
      assert.equal(second.executor.peerId, first.executor.peerId);
      await end(again);
    } finally {
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});
