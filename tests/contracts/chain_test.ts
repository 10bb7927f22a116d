import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { minedReceipt } from "@lloom/contracts/mined_receipt";
import { type Address, fromHex, type Hex, ZERO_ADDRESS } from "@lloom/core/bytes";
import {
  Chain,
  ChannelActions,
  ChannelCalls,
  type ChannelEvent,
  createTransactionSigner,
  MemoryOutboxStore,
  openOutbox,
  type Outbox,
  type OutboxStore,
  type Redeemable,
} from "@lloom/core/payments/chain";
import { systemClock } from "@lloom/host";

import assert from "node:assert/strict";
import { join } from "node:path";
import { type Abi, encodeFunctionData, parseAbi, parseEther, parseGwei } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { compile, readArtifact } from "../../scripts/contracts/build.ts";
import { findTool, missing } from "../../scripts/contracts/toolchain.ts";
import { SqliteOutboxStore } from "../../roles/host/stores/sqlite_outbox_store.ts";
import { type Party, PaymentChain } from "../support/payment_chain.ts";
import { RpcProxy } from "../support/rpc_proxy.ts";

const anvil = await findTool("anvil") !== undefined;
const CHAIN_ID = 31337n;
const CALLS = new ChannelCalls(LLOOM_CHANNELS_ADDRESS);

/** What a node does with a chain, for one party. */
class Node implements AsyncDisposable {
  private constructor(
    readonly chain: Chain,
    readonly outbox: Outbox,
    readonly actions: ChannelActions,
  ) {}

  static async open(
    party: Party,
    rpcUrls: readonly string[],
    { confirmations = 1, store = new MemoryOutboxStore() as OutboxStore } = {},
  ): Promise<Node> {
    const clock = systemClock;
    const contract = LLOOM_CHANNELS_ADDRESS;
    const options = { rpcUrls, chainId: CHAIN_ID, contract, confirmations, pollMs: 20 };
    const chain = new Chain(options, { clock });
    const signer = createTransactionSigner(fromHex(party.key), CHAIN_ID);
    const quick = { replaceAfterMs: 50, rebroadcastMs: 50, maxFeePerGas: parseGwei("100") };
    const outbox = await openOutbox(quick, { chain, store, signer, clock });
    return new Node(chain, outbox, new ChannelActions(contract, { chain, outbox }));
  }

  async done(key: Promise<string>): Promise<void> {
    await this.outbox.confirmed(await key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.outbox.stop();
    this.chain.close();
  }
}

function test(name: string, run: (world: PaymentChain) => Promise<void>): void {
  Deno.test({
    name: anvil ? name : `${name}: ${missing("anvil")}`,
    ignore: !anvil,
    fn: async () => {
      await using world = await PaymentChain.start();
      assert.ok(world !== undefined);
      await run(world);
    },
  });
}

function voucherOf(world: PaymentChain, salt: bigint, amount: bigint): Redeemable {
  const terms = world.terms(salt);
  const { voucher: rest } = world.redemption(terms, amount, 1n);
  const voucher = { ...rest, channelId: world.channelId(terms) };
  return { terms, signed: { voucher, signature: world.sign(world.signer, "Voucher", voucher) } };
}

/** Follows the channels until there are so many events. */
async function collect(chain: Chain, from: bigint, count: number): Promise<ChannelEvent[]> {
  const found: ChannelEvent[] = [];
  const stop = new AbortController();
  await chain.watch(from, (events) => {
    found.push(...events);
    if (found.length >= count) stop.abort();
    return Promise.resolve();
  }, stop.signal);
  return found;
}

/** How many transactions an account has had executed. */
function nonceOf(world: PaymentChain, { address }: Party): Promise<number> {
  return world.rpc.getTransactionCount({ address });
}

test("channels live and end by the actions of both sides, in coin", async (world) => {
  await using payer = await Node.open(world.payer, [world.rpcUrl]);
  await using executor = await Node.open(world.executor, [world.rpcUrl.replace("http", "ws")]);
  const { chain, actions } = payer;
  const idOf = (salt: bigint) => world.channelId(world.terms(salt));
  const { number } = await chain.head();

  await payer.done(actions.open(idOf(1n), world.terms(1n), 1000n));
  await payer.done(actions.topUp(idOf(1n), world.terms(1n), 1000n, 500n));
  await payer.done(actions.topUp(idOf(1n), world.terms(1n), 1000n, 500n)); // the same wish
  assert.deepEqual(await chain.channel(idOf(1n)), {
    deposit: 1500n,
    settled: 0n,
    status: "open",
    closesAt: 0,
  });
  await payer.done(actions.deposit("some", ZERO_ADDRESS, 800n));
  await payer.done(actions.open(idOf(2n), world.terms(2n), 600n)); // out of the credit
  await payer.done(actions.topUp(idOf(2n), world.terms(2n), 600n, 50n));
  assert.equal(await chain.credit(ZERO_ADDRESS, world.payer.address), 150n);
  await payer.done(actions.withdraw("rest", ZERO_ADDRESS, 150n));
  await payer.done(actions.open(idOf(3n), world.terms(3n), 70n));

  await executor.done(
    executor.actions.redeem([voucherOf(world, 1n, 700n), voucherOf(world, 2n, 1n)]),
  );
  await executor.done(executor.actions.redeemAndClose(voucherOf(world, 2n, 20n)));
  await executor.done(executor.actions.redeemAndClose(voucherOf(world, 3n, 5n)));
  assert.equal(await chain.credit(ZERO_ADDRESS, world.executor.address), 725n);

  await payer.done(actions.requestClose(idOf(1n), world.terms(1n)));
  const { closesAt, status } = await chain.channel(idOf(1n));
  assert.equal(status, "closing");
  const early = actions.finalize(idOf(1n), world.terms(1n));
  await assert.rejects(payer.done(early), {
    code: "transaction_failed",
    message: new RegExp(`TooEarly\\(${closesAt}\\)`),
  });
  await world.rpc.setNextBlockTimestamp({ timestamp: BigInt(closesAt) });
  await world.rpc.mine({ blocks: 1 });
  await payer.done(actions.finalize(idOf(1n), world.terms(1n)));
  assert.equal((await chain.channel(idOf(1n))).status, "closed");

  const terms = world.terms(4n);
  await payer.done(actions.open(idOf(4n), terms, 90n));
  const deadline = (await world.rpc.getBlock()).timestamp + 60n;
  const consent = { channelId: idOf(4n), finalAmount: 30n, deadline };
  const signature = world.sign(world.executor, "CloseConsent", consent);
  await payer.done(actions.closeWithConsent(terms, consent, signature));
  assert.equal((await chain.channel(idOf(4n))).settled, 30n);

  const events = await collect(chain, number + 1n, 15);
  const told = events.map(({ channelId, change }) =>
    `${[1n, 2n, 3n, 4n].find((salt) => idOf(salt) === channelId)} ${change.type}`
  );
  assert.deepEqual(told, [
    "1 opened",
    "1 topped_up",
    "2 opened",
    "2 topped_up",
    "3 opened",
    "1 redeemed",
    "2 redeemed",
    "2 redeemed",
    "2 closed",
    "3 redeemed",
    "3 closed",
    "1 close_requested",
    "1 closed",
    "4 opened",
    "4 closed",
  ]);
  const [opened] = events;
  assert.ok(opened?.change.type === "opened");
  assert.deepEqual(opened.change.terms, world.terms(1n));

  const cost = await chain.gasCost(
    CALLS.withdraw(ZERO_ADDRESS, world.payer.address, 1n),
    world.payer.address,
  );
  assert.ok(cost > 0n && cost < parseEther("0.01"));
});

test("channels are opened and topped up with tokens, allowed as far as needed", async (world) => {
  await compile("test/Tokens.sol");
  const { abi, bytecode } = await readArtifact("test/Tokens.sol", "Token");
  const account = privateKeyToAccount(world.payer.key);
  const hash = await world.rpc.deployContract({
    abi: abi as Abi,
    bytecode: bytecode.object,
    account,
  });
  const { contractAddress } = await minedReceipt(world.rpc, hash);
  const token = contractAddress as Address;
  const mint = (amount: bigint) =>
    encodeFunctionData({
      abi: parseAbi(["function mint(address to, uint256 amount)"]),
      args: [world.payer.address, amount],
    });
  await using payer = await Node.open(world.payer, [world.rpcUrl]);
  const { chain, actions, outbox } = payer;
  assert.deepEqual(await chain.asset(token), { address: token, symbol: "TKN", decimals: 18 });
  await assert.rejects(chain.asset(world.payer.address), { code: "config_invalid" });

  const terms = { ...world.terms(1n), asset: token };
  const id = world.channelId(terms);
  await assert.rejects(actions.open(id, terms, 100n), { code: "insufficient_funds" });
  await outbox.submit({ key: "mint", to: token, data: mint(250n), value: 0n });
  await outbox.confirmed("mint");
  await payer.done(actions.open(id, terms, 100n));
  await payer.done(actions.topUp(id, terms, 100n, 50n));
  assert.equal((await chain.channel(id)).deposit, 150n);
  await outbox.submit({ key: "allow", ...CALLS.approve(token, 5n) });
  await outbox.confirmed("allow");
  await payer.done(actions.deposit("rest", token, 100n));
  assert.equal(await chain.credit(token, world.payer.address), 100n);
  assert.equal(await chain.balance(token, world.payer.address), 0n);
  assert.equal(await chain.allowance(token, world.payer.address), 0n);
});

test("an account without coin is told so, before a nonce is used", async (world) => {
  await using payer = await Node.open(world.payer, [world.rpcUrl]);
  await world.rpc.setBalance({ address: world.payer.address, value: 1000n });
  const { actions } = payer;
  const key = actions.open(world.channelId(world.terms(1n)), world.terms(1n), 500n);
  await assert.rejects(payer.done(key), { code: "insufficient_funds" });
  await world.rpc.setBalance({ address: world.payer.address, value: parseEther("1") });
  await payer.done(actions.open(world.channelId(world.terms(1n)), world.terms(1n), 500n));
  assert.equal(await nonceOf(world, world.payer), 1);
});

test("a transaction that a spike of gas outbids is replaced, and happens once", async (world) => {
  await using payer = await Node.open(world.payer, [world.rpcUrl]);
  await world.rpc.setAutomine(false);
  const key = await payer.actions.deposit("a", ZERO_ADDRESS, 5n);
  await pooled(world, 1);
  for (
    let fee = 4n;
    await payer.outbox.status(key) === "pending";
    fee = fee < 40n ? 2n * fee : fee
  ) {
    await world.rpc.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei(`${fee}`) });
    await world.rpc.mine({ blocks: 1 });
  }
  await payer.outbox.confirmed(key);
  assert.equal(await payer.chain.credit(ZERO_ADDRESS, world.payer.address), 5n);
  assert.equal(await nonceOf(world, world.payer), 1);
});

test("a transaction that a reorganization removes is sent again, and happens once", async (world) => {
  await using payer = await Node.open(world.payer, [world.rpcUrl], { confirmations: 3 });
  const snapshot = await world.rpc.snapshot();
  const key = await payer.actions.deposit("a", ZERO_ADDRESS, 5n);
  await mined(world, world.payer, 1);
  await world.rpc.mine({ blocks: 1 });
  await world.rpc.revert({ id: snapshot });
  assert.equal(await nonceOf(world, world.payer), 0);
  await mined(world, world.payer, 1);
  assert.equal(await payer.outbox.status(key), "pending");
  await world.rpc.mine({ blocks: 2 });
  await payer.outbox.confirmed(key);
  assert.equal(await payer.chain.credit(ZERO_ADDRESS, world.payer.address), 5n);
  assert.equal(await nonceOf(world, world.payer), 1);
});

test("what was submitted is done after a restart, and not done again after another", async (world) => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "outbox.db");
    const session = async (run: (payer: Node) => Promise<void>) => {
      const store = new SqliteOutboxStore(path);
      await using payer = await Node.open(world.payer, [world.rpcUrl], { store });
      await run(payer);
      await payer.outbox.stop();
      store.close();
    };
    await world.rpc.setAutomine(false);
    await session(async ({ actions }) => {
      await actions.deposit("a", ZERO_ADDRESS, 5n);
      await pooled(world, 1);
    });
    await world.rpc.dropTransaction({ hash: await onlyPooled(world) });
    await world.rpc.setAutomine(true);
    await session(async ({ outbox }) => {
      assert.equal(await outbox.status("deposit:a"), "pending");
      await outbox.confirmed("deposit:a");
    });
    await session(async (payer) => {
      await payer.done(payer.actions.deposit("a", ZERO_ADDRESS, 5n));
      assert.equal(await payer.chain.credit(ZERO_ADDRESS, world.payer.address), 5n);
      const call = CALLS.deposit(ZERO_ADDRESS, world.payer.address, 5n, 5n);
      await payer.outbox.submit({ key: "deposit:a", ...call });
      await payer.outbox.confirmed("deposit:a");
    });
    assert.equal(await nonceOf(world, world.payer), 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("transactions and reading go on through the next endpoint when one dies, and when all were dead", async (world) => {
  await using first = new RpcProxy(world.rpcUrl);
  await using second = new RpcProxy(world.rpcUrl);
  await using payer = await Node.open(world.payer, [first.rpcUrl, second.rpcUrl]);
  const { actions, chain } = payer;
  await payer.done(actions.deposit("a", ZERO_ADDRESS, 1n));
  // It dies as soon as it is asked to broadcast.
  first.interfere = (method) => {
    if (method === "eth_sendRawTransaction") first.interfere = dead;
    return first.interfere === dead ? dead() : undefined;
  };
  await payer.done(actions.deposit("b", ZERO_ADDRESS, 2n));
  assert.ok(first.interfere === dead);
  const key = await actions.deposit("c", ZERO_ADDRESS, 4n);
  second.interfere = dead;
  await assert.rejects(chain.head(), { code: "chain_unavailable" });
  second.interfere = first.interfere = () => undefined;
  await payer.outbox.confirmed(key);
  assert.equal(await nonceOf(world, world.payer), 3);
});

test("an endpoint that keeps telling of the past makes nothing happen twice", async (world) => {
  await using proxy = new RpcProxy(world.rpcUrl);
  await using payer = await Node.open(world.payer, [proxy.rpcUrl]);
  const past = await proxy.ask("eth_getBlockByNumber", "latest", false);
  let looks = 0;
  proxy.interfere = (method, [block]) => {
    if (method === "eth_getBlockByNumber" && block === "latest" && looks++ < 10) return past;
    if (method === "eth_getTransactionReceipt" && looks < 15) return null;
  };
  await payer.done(payer.actions.deposit("a", ZERO_ADDRESS, 5n));
  assert.ok(looks >= 10);
  assert.equal(await payer.chain.credit(ZERO_ADDRESS, world.payer.address), 5n);
  assert.equal(await nonceOf(world, world.payer), 1);
});

test("an event that a reorganization undoes is told to be undone", async (world) => {
  await using payer = await Node.open(world.payer, [world.rpcUrl], { confirmations: 3 });
  const { number } = await payer.chain.head();
  const snapshot = await world.rpc.snapshot();
  await world.send(world.payer, "open", [world.terms(1n), 10n], 10n);
  const found: ChannelEvent[] = [];
  const stop = new AbortController();
  await payer.chain.watch(number + 1n, async (events) => {
    found.push(...events);
    if (found.length === 1 && events.length === 1) {
      await world.rpc.revert({ id: snapshot });
      await world.send(world.payer, "open", [world.terms(2n), 10n], 10n);
    }
    if (found.length === 3) stop.abort();
  }, stop.signal);
  const told = found.map(({ channelId, removed }) => [channelId, removed]);
  const [one, two] = [1n, 2n].map((salt) => world.channelId(world.terms(salt)));
  assert.deepEqual(told, [[one, false], [one, true], [two, false]]);
});

function dead(): never {
  throw new Error("dead");
}

/** Until so many transactions of an account are in blocks. */
async function mined(world: PaymentChain, party: Party, count: number): Promise<void> {
  while (await nonceOf(world, party) < count) await turn();
}

/** Until so many transactions wait for a block. */
async function pooled(world: PaymentChain, count: number): Promise<void> {
  while ((await world.rpc.getTxpoolStatus()).pending < count) await turn();
}

async function onlyPooled(world: PaymentChain): Promise<Hex> {
  const { pending } = await world.rpc.getTxpoolContent();
  return Object.values(Object.values(pending)[0]!)[0]!.hash;
}

/** Lets others go on between two questions. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}
