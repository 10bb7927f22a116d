/** Paying as people do it: the programs of client and executor, with a chain. */
import assert from "node:assert/strict";
import type { Address } from "@lloom/core/bytes";
import { formatEther, parseEther } from "viem/utils";
import { type ChildResult, startDeno } from "../support/child_process.ts";
import { type MockLlmServer, mockText } from "../support/mock_llm_server.ts";
import {
  kill,
  Network,
  PROCESS_TEST,
  roleArguments,
  type RunningRole,
} from "../support/network.ts";
import { PaymentChain } from "../support/payment_chain.ts";

/** Wei for 1,000,000 tokens. */
const INBOUND_PRICE = parseEther("0.5");
const OUTBOUND_PRICE = parseEther("2");

const chain = await PaymentChain.start();
if (chain === undefined) console.log("payment commands: not tested, there is no anvil here");

let network: Network;
let mock: MockLlmServer;
let executor: RunningRole;
let client: Address;

Deno.test.beforeAll(async () => {
  if (chain === undefined) return;
  network = await Network.open();
  mock = network.mock();
  executor = await startExecutor();
  // Anvil makes no block without a transaction.
  const settings = "[blockchain]\nconfirmations = 1\npoll_ms = 50\n";
  await Deno.writeTextFile(`${await network.directory("client")}/config.toml`, settings);
  const { stdout } = await network.run("generate-identity", "--format", "json");
  client = JSON.parse(stdout).address;
  for (const address of [client, executor.ready.address as Address]) {
    await chain.rpc.setBalance({ address, value: parseEther("10") });
  }
});

Deno.test.afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
  await chain?.[Symbol.asyncDispose]();
});

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, ignore: chain === undefined, fn });
}

function startExecutor(): Promise<RunningRole> {
  return network.executor({
    backends: [mock],
    name: "paid",
    config: [
      "[pricing]",
      `default_inbound_price = "${INBOUND_PRICE}"`,
      `default_outbound_price = "${OUTBOUND_PRICE}"`,
      "[blockchain]",
      `rpc_urls = ["${chain!.rpcUrl}"]`,
      "chain_id = 31337",
      "confirmations = 1",
      "poll_ms = 50",
    ].join("\n"),
  });
}

/** Runs one of the executor's commands on its data. */
async function executorCommand(...args: readonly string[]): Promise<ChildResult> {
  const { dataDir } = executor;
  return await network.track(startDeno([
    ...roleArguments("executor", dataDir),
    ...["--data-dir", dataDir, "--format", "json", ...args],
  ])).ended;
}

/** Flags that name the chain. */
const ON_CHAIN = () => ["--rpc-url", chain!.rpcUrl, "--chain-id", "31337"];
const ASK = ["--prompt", "hi", "--model", "mock-model", "--max-tokens", "64"];

async function succeeded(running: Promise<ChildResult>): Promise<ChildResult> {
  const result = await running;
  assert.equal(result.code, 0, result.stderr);
  return result;
}

async function refused(code: number, error: string, ...args: string[]): Promise<string> {
  const result = await network.run(...args, "--format", "json");
  assert.equal(result.code, code, result.stderr);
  const failure = JSON.parse(result.stderr.trim().split("\n").at(-1)!).error;
  assert.equal(failure.code, error);
  return failure.message;
}

test("without a chain, a client is told that the model has a price", async () => {
  assert.match(await refused(4, "no_executor", ...ASK), /1 not free.*--rpc-url/);
});

test("--dry-run says whom it would ask and what that can cost, and sends nothing", async () => {
  const { stdout } = await succeeded(
    network.run(...ASK, ...ON_CHAIN(), "--dry-run", "--format", "json"),
  );
  const { executor: asked, commitment, money } = JSON.parse(stdout);
  assert.equal(asked.peerId, executor.peerId);
  assert.equal(commitment.maxTokens, 64);
  assert.equal(commitment.outboundPrice, `${OUTBOUND_PRICE}`);
  assert.equal(money.outboundPrice, "2 ETH");
  assert.ok(
    BigInt(parseEther(money.atMost.replace(" ETH", ""))) >= 64n * OUTBOUND_PRICE / 1_000_000n,
  );
  assert.match(money.channel, /^none with room/);
  const text = await succeeded(network.run(...ASK, ...ON_CHAIN(), "--dry-run"));
  assert.match(text.stdout, /^would ask .*\n.*\nmodel +mock-model\nprice +0.5 ETH in, 2 ETH out/);
  assert.equal(mock.requests.length, 0);
  assert.equal(await chain!.rpc.getTransactionCount({ address: client }), 0);
});

test("a request that may cost more than allowed is not asked: budget_exceeded", async () => {
  for (const flag of ["--max-price", "--budget-hour", "--budget-day"]) {
    await refused(7, "budget_exceeded", ...ASK, ...ON_CHAIN(), flag, "0.000001");
  }
  assert.equal(mock.requests.length, 0);
  assert.equal(await chain!.rpc.getTransactionCount({ address: client }), 0);
});

test("a paid prompt opens a channel, pays, and says what it cost and what is left", async () => {
  const { stdout, stderr } = await succeeded(network.run(...ASK, ...ON_CHAIN()));
  assert.match(stderr, /opening a channel to 0x\w{40} with 0.01 ETH/);
  assert.equal(stdout, `${mockText(16)}\n`);
  assert.match(stderr, /cost +0\.\d+ ETH, at 0.5 ETH in and 2 ETH out per 1,000,000 tokens\n/);
  assert.match(stderr, /left +0\.\d+ ETH on the channel\n/);
  const json = await succeeded(network.run(...ASK, ...ON_CHAIN(), "--format", "json"));
  const report = JSON.parse(json.stdout);
  const { promptTokens, completionTokens } = report.usage;
  const cost = BigInt(promptTokens) * INBOUND_PRICE + BigInt(completionTokens) * OUTBOUND_PRICE;
  assert.equal(report.spending.cost, `${formatEther(cost / 1_000_000n)} ETH`);
  assert.equal(report.payment.acknowledged.index, 1, "the second receipt on this channel");
  assert.equal(
    await chain!.rpc.getTransactionCount({ address: client }),
    1,
    "one channel for both",
  );
});

test("an executor at work tells what it earned, and by whom, and redeems by itself alone", async () => {
  const earned = JSON.parse((await succeeded(executorCommand("earnings"))).stdout);
  const [model] = earned.models;
  assert.deepEqual([model.model, model.requests, model.outboundTokens], ["mock-model", 2, 32]);
  assert.equal(model.unpaid, "0 ETH");
  assert.equal(earned.redeemed, "0 ETH");
  const [channel] = JSON.parse((await succeeded(executorCommand("channels"))).stdout).channels;
  assert.equal(channel.client, client);
  assert.equal(channel.status, "open");
  assert.equal(channel.redeemable, earned.redeemable);
  const none = JSON.parse((await succeeded(executorCommand("earnings", "--since", "0m"))).stdout);
  assert.deepEqual(none.models, []);
  const { code, stderr } = await executorCommand("settle");
  assert.equal(code, 3);
  assert.match(JSON.parse(stderr).error.message, /the executor runs; it redeems by itself/);
});

test("an executor that is stopped redeems, and settle pays out what it has", async () => {
  const { redeemable } = JSON.parse((await succeeded(executorCommand("earnings"))).stdout);
  kill(executor.child, "SIGTERM");
  assert.equal((await executor.child.ended).code, 0);
  const { stdout } = await succeeded(executorCommand("settle", "--withdraw"));
  const settled = JSON.parse(stdout);
  assert.equal(settled.withdrawn, redeemable);
  assert.equal(settled.credit, "0 ETH");
  const after = JSON.parse((await succeeded(executorCommand("earnings"))).stdout);
  assert.equal(after.redeemed, redeemable);
  assert.equal(after.redeemable, "0 ETH");
});
