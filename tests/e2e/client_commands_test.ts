/** The client's subcommands on money and memory, against a chain with the real contracts. */
import assert from "node:assert/strict";
import type { Address } from "@lloom/core/bytes";
import { generateIdentity, toChecksumAddress } from "@lloom/core/identity";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatEther, parseEther } from "viem";
import { type ChildResult, runDeno } from "../support/child_process.ts";
import { mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST, program } from "../support/network.ts";
import { PaymentChain } from "../support/payment_chain.ts";

const INBOUND_PRICE = parseEther("0.5");
const OUTBOUND_PRICE = parseEther("2");

const chain = await PaymentChain.start();
if (chain === undefined) console.log("client commands: not tested, there is no anvil here");

let network: Network;
let client: Address;
let dataDir: string;

Deno.test.beforeAll(async () => {
  if (chain === undefined) return;
  network = await Network.open();
  dataDir = await network.directory("client");
});

Deno.test.afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
  await chain?.[Symbol.asyncDispose]();
});

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, ignore: chain === undefined, fn });
}

/** `[blockchain]` of both roles. */
const toml = () =>
  `[blockchain]\nrpc_urls = ["${
    chain!.rpcUrl
  }"]\nchain_id = 31337\nconfirmations = 1\npoll_ms = 20\n`;

/** Runs a command that is not told of any network. */
function alone(...args: string[]): Promise<ChildResult> {
  return network.command(args, { bootstrap: [] }).ended;
}

/** Its result, and what it said before. */
async function done(running: Promise<ChildResult>) {
  const { code, stdout, stderr } = await running;
  assert.equal(code, 0, stderr);
  return { result: JSON.parse(stdout), said: stderr };
}

/** Runs a command that is refused, and gives its message. */
async function refused(code: number, error: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, ...ended } = await alone("--format", "json", ...args);
  assert.equal(ended.code, code, stderr);
  assert.equal(stdout, "");
  const failure = JSON.parse(stderr.trim().split("\n").at(-1)!).error;
  assert.equal(failure.code, error);
  return failure.message;
}

const json = (...args: string[]) => done(alone(...args, "--format", "json"));

test("without a chain, a command on money names the flags that are missing, and makes no key", async () => {
  const message = await refused(3, "config_invalid", "balance");
  assert.match(message, /--rpc-url.*--chain-id/);
  assert.deepEqual([...Deno.readDirSync(dataDir)], []);
  await Deno.writeTextFile(join(dataDir, "config.toml"), toml());
  client = (await json("generate-identity")).result.address;
  await chain!.rpc.setBalance({ address: client, value: parseEther("10") });
});

test("deposit moves money into the contract, and balance tells where it is", async () => {
  const { result, said } = await json("deposit", "1.5");
  assert.deepEqual([result.deposited, result.credit], ["1.5 ETH", "1.5 ETH"]);
  assert.match(JSON.parse(said).notice, /^moving 1\.5 ETH from 0x.* into the payment contract 0x/);
  const { result: balance } = await json("balance");
  assert.deepEqual([balance.account, balance.credit, balance.inChannels, balance.openChannels], [
    client,
    "1.5 ETH",
    "0 ETH",
    0,
  ]);
  assert.equal(
    balance.balance,
    `${formatEther(await chain!.rpc.getBalance({ address: client }))} ETH`,
  );
  const { stdout } = await alone("balance");
  assert.match(stdout, /^contract +1\.5 ETH; `withdraw` pays it out$/m);
});

test("withdraw pays out what is there to whom it is told, and no more", async () => {
  const to = generateIdentity().address;
  const { result, said } = await json("withdraw", "0.25", "--to", toChecksumAddress(to));
  assert.match(said, /paying 0\.25 ETH out to 0x/);
  assert.equal(result.credit, "1.25 ETH");
  assert.equal(await chain!.rpc.getBalance({ address: to }), parseEther("0.25"));
  const message = await refused(7, "insufficient_funds", "withdraw", "2");
  assert.match(message, /2 ETH was asked for, and 1\.25 ETH is in the payment contract/);
});

test("amounts and addresses that nobody can mean move nothing", async () => {
  const nonce = await chain!.rpc.getTransactionCount({ address: client });
  const mistyped = toChecksumAddress(client).replace(/[a-f]/, (digit) => digit.toUpperCase());
  assert.match(await refused(2, "usage", "withdraw", "1", "--to", mistyped), /checksum/);
  assert.match(await refused(2, "usage", "channel", "open", "0x12"), /40 hex digits/);
  for (const amount of ["0", "-1", "1e3", "0.0000000000000000001", "1 EUR", ""]) {
    await refused(2, "usage", "deposit", "--", amount);
  }
  assert.equal(await chain!.rpc.getTransactionCount({ address: client }), nonce);
});

test("channel open and topup fill one channel, and channel list shows it", async () => {
  const executor = generateIdentity();
  const open = ["channel", "open", executor.peerId, "--amount"];
  const { result: opened, said } = await json(...open, "0.5");
  assert.match(said, /opening a channel to 0x.* with 0\.5 ETH/);
  assert.equal(opened.executor, toChecksumAddress(executor.address));
  assert.deepEqual([opened.status, opened.deposit, opened.left], ["open", "0.5 ETH", "0.5 ETH"]);
  assert.equal((await json("balance")).result.credit, "0.75 ETH");
  const short = opened.channelId.slice(0, 12);
  assert.match(await refused(3, "config_invalid", ...open, "0.5"), new RegExp(`topup ${short}`));
  const { result: filled } = await json("channel", "topup", short, "--amount", "0.25");
  assert.equal(filled.deposit, "0.75 ETH");
  const { result: { channels } } = await json("channel", "list");
  assert.deepEqual(channels, [filled]);
  const { stdout } = await alone("channel", "list");
  assert.match(stdout, new RegExp(`^${short}  ${filled.executor}  open +0\\.75 ETH`, "m"));
  assert.match(await refused(2, "usage", "channel", "topup", "0xdead"), /channel list/);
});

test("a paid request is in the history, and its receipt is checked without key, chain or network", async () => {
  const executor = await network.executor({
    backends: [network.mock()],
    config: `[pricing]\ndefault_inbound_price = "${INBOUND_PRICE}"\n` +
      `default_outbound_price = "${OUTBOUND_PRICE}"\n${toml()}`,
  });
  const address = executor.ready.address as Address;
  await chain!.rpc.setBalance({ address, value: parseEther("10") });
  await json("channel", "open", address);
  const ask = ["--prompt", "hi", "--model", "mock-model", "--max-tokens", "32"];
  assert.equal((await network.run(...ask)).code, 0);

  const { result: { requests: [request] } } = await json("history");
  const { inboundTokens, outboundTokens } = request;
  const cost = BigInt(inboundTokens) * INBOUND_PRICE + BigInt(outboundTokens) * OUTBOUND_PRICE;
  const inEther = `${formatEther(cost / 1_000_000n)} ETH`;
  assert.deepEqual([request.state, request.outboundTokens, request.cost], ["done", 16, inEther]);
  const { stdout: shown } = await alone("show-request", request.id.slice(0, 6));
  assert.match(shown, /^price +0\.5 ETH in, 2 ETH out, per 1,000,000 tokens$/m);
  assert.ok(shown.endsWith(`\nuser:\nhi\n\nassistant:\n${mockText(16)}\n`), shown);

  const { stdout: receipt } = await alone("show-request", request.requestHash, "--format", "json");
  const file = join(dataDir, "receipt.json");
  await Deno.writeTextFile(file, receipt);
  const { stdout: verified } = await alone("receipt", "verify", file);
  assert.match(verified, new RegExp(`^cost +${inEther}$`, "m"));
  assert.match(verified, /^proven +the client says: it accepts this receipt/m);
  const bare = await verifyAlone(file);
  assert.equal(bare.code, 0, bare.stderr);
  assert.equal(JSON.parse(bare.stdout).payment.voucher.requests, "1");
  await Deno.writeTextFile(file, receipt.replace(mockText(16).slice(-4), "lies"));
  assert.equal((await verifyAlone(file)).code, 6);

  const chat = network.command(["chat", "--model", "mock-model", "--max-tokens", "32"], {}, {
    openStdin: true,
  });
  await chat.write("hi\n/price\n/quit\n");
  const { stderr: told } = await chat.ended;
  const tokens = `${inboundTokens} tokens in, ${outboundTokens} out`;
  assert.match(told, new RegExp(`^${inEther} for ${tokens}, by ${executor.peerId}$`, "m"));
  assert.match(told, new RegExp(`; ${inEther}; the last one at 0\\.5 ETH in, 2 ETH out, per`));
  const bothInEther = `${formatEther(2n * cost / 1_000_000n)} ETH`;

  const { result: closed, said } = await done(
    network.run("channel", "close", address, "--format", "json"),
  );
  assert.match(said, /at once: its executor agrees/);
  assert.deepEqual([closed.status, closed.executorGot], ["closed", bothInEther]);
  const { result: { channels: [listed] } } = await json("channel", "list");
  assert.deepEqual([listed.status, listed.spent, listed.left], ["closed", bothInEther, "0 ETH"]);
});

/** Checks a receipt with leave to read that file and the program, and for nothing else. */
function verifyAlone(file: string): Promise<ChildResult> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  return runDeno([
    ...["--quiet", "--no-prompt", "--ignore-env", `--allow-read=${root},${dirname(file)}`],
    ...[program("client"), "receipt", "verify", file, "--format", "json"],
    ...["--data-dir", join(dirname(file), "none")],
  ]);
}

test("channel close without the executor takes its delay, and is ended by closing again", async () => {
  const { result: { channels } } = await json("channel", "list");
  const { channelId, closeDelay } = channels.find((one: { status: string }) =>
    one.status === "open"
  );
  const { result: closing, said } = await json("channel", "close", channelId);
  assert.match(said, /--bootstrap-nodes/);
  assert.match(said, new RegExp(`that takes ${closeDelay} seconds`));
  assert.equal(closing.status, "closing");
  const { result: { checks } } = await done(network.run("diagnose", "--format", "json"));
  const found = (name: string) =>
    checks.filter((check: { name: string }) => check.name === name)
      .map(({ state, finding }: Record<string, string>) => `${state}: ${finding}`).join();
  assert.match(found("executors"), /^ok: 1 executors, 1 of which can be asked/);
  assert.match(found("chain"), /^ok: 127\.0\.0\.1:\d+: chain 31337 with contract 0x/);
  assert.match(found("account"), new RegExp(`^ok: ${client} has .* ETH`));
  assert.match(found("channels"), /^warning: 0x[0-9a-f]{10}: it is being closed$/);
  assert.match(found("ledger"), /^ok: .* can be read: last asked/);
  const { stdout } = await alone("channel", "close", channelId);
  assert.match(stdout, new RegExp(`closing until ${closing.closesAt}`));

  await chain!.rpc.increaseTime({ seconds: closeDelay });
  await chain!.rpc.mine({ blocks: 1 });
  const { result: closed } = await json("channel", "close", channelId);
  assert.deepEqual([closed.status, closed.executorGot, closed.refunded], [
    "closed",
    "0 ETH",
    "0.75 ETH",
  ]);
  const { result: { withdrawn, credit } } = await json("withdraw", "all");
  assert.match(withdrawn, /^1\.\d+ ETH$/);
  assert.equal(credit, "0 ETH");
  await refused(7, "insufficient_funds", "withdraw", "all");
});
