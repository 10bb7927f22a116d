/**
 * Clients that cheat a live executor on a live chain: what each is answered, and in the end what the
 * chain has paid for it. The last test settles for all of them: the executor lost a step to each at
 * most.
 */
import assert from "node:assert/strict";
import { LLOOM_CHANNELS_ABI, LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { type Address, type Hash, toHex, ZERO_ADDRESS, ZERO_HASH } from "@lloom/core/bytes";
import type { ErrorCode } from "@lloom/core/errors";
import { Identity, parsePrivateKey } from "@lloom/core/identity";
import { type Amount, channelIdOf, type Cost, estimate, toAmount } from "@lloom/core/payments";
import type { SignedVoucher, Signer } from "@lloom/core/ports";
import {
  CHANNEL_PROTOCOL,
  decodeCloseAnswer,
  encodeClose,
  encodeOpen,
  encodeVoucher,
  type ExecutorFrame,
  LLM_PROTOCOL,
  parseModelRequest,
} from "@lloom/core/protocol";
import { draftRequest, randomNonce } from "@lloom/core/session";
import {
  type ChannelTerms,
  createSigner,
  noblePrimitives,
  type SigningDomain,
  toEthereumSignature,
  type Voucher,
} from "@lloom/core/signing";
import { paymentChain } from "@lloom/host";
import { findTool, missing } from "@lloom/host/foundry";
import { join } from "node:path";
import { parseEther } from "viem";
import { Till } from "../../roles/executor/till.ts";
import { blockchainOf } from "../faults/client_program.ts";
import { offer } from "../support/executor.ts";
import type { MockLlmServer } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";
import { Party, PaymentChain } from "../support/payment_chain.ts";
import { RawPeer, type RawStream } from "../support/raw_peer.ts";
import { BODY, nextFrame, SALT } from "../support/raw_request.ts";

/** 1,000 wei for a token of prompt, 2,000 for one of answer. */
const OFFER = offer({ id: "mock-model", inboundPrice: 10n ** 9n, outboundPrice: 2n * 10n ** 9n });
const STEP_TOKENS = 8;
const STEP: Amount = BigInt(STEP_TOKENS) * 2_000n;
const DEPOSIT: Amount = 20_000_000n;
/** Of every answer; each is longer than a step. */
const TOKENS = 64;

const anvil = await findTool("anvil") !== undefined;

let chain: PaymentChain;
let domain: SigningDomain;
let network: Network;
let mock: MockLlmServer;
let victim: RunningRole;
let executor: Address;
let peer: RawPeer;
let signer: Signer;
let cheat: Party;
let salt = 0n;
/** What the chain must have paid in the end, by channel. */
const owed = new Map<Hash, Amount>();

Deno.test.beforeAll(async () => {
  if (!anvil) return;
  chain = (await PaymentChain.start())!;
  domain = paymentChain(blockchainOf(chain.rpcUrl, 1))!.domain;
  network = await Network.open(0);
  // Slow enough for its tokens to come one by one.
  mock = network.mock({ tokens: TOKENS, delayMs: 10 });
  victim = await network.executor({
    backends: [mock],
    config: [
      "[pricing]",
      `default_inbound_price = "${OFFER.inboundPrice}"`,
      `default_outbound_price = "${OFFER.outboundPrice}"`,
      "[blockchain]",
      `rpc_urls = ["${chain.rpcUrl}"]`,
      "chain_id = 31337",
      "confirmations = 1",
      "poll_ms = 50",
      "[payments]",
      `step_tokens = ${STEP_TOKENS}`,
      'min_deposit = "0.00000000001"',
      'redeem_minimum = "0"',
    ].join("\n"),
  });
  executor = victim.ready.address.toLowerCase() as Address;
  peer = await RawPeer.start();
  const key = peer.identity.exportPrivateKey();
  signer = createSigner(noblePrimitives, { payment: domain }, key);
  cheat = new Party(toHex(key));
  for (const address of [executor, cheat.address]) {
    await chain.rpc.setBalance({ address, value: parseEther("10") });
  }
});

Deno.test.afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
  await chain?.[Symbol.asyncDispose]();
});

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: anvil ? name : `${name}: ${missing("anvil")}`,
    ignore: !anvil,
    ...PROCESS_TEST,
    fn,
  });
}

/** Terms of a channel to the executor, opened with {@linkcode DEPOSIT} unless that is all that is wanted. */
async function channel(change: Partial<ChannelTerms> = {}, opened = true): Promise<ChannelTerms> {
  const { address } = signer;
  const asset = ZERO_ADDRESS;
  const parties = { client: address, executor, asset, signer: address };
  const terms = { ...parties, closeDelay: 3600, salt: ++salt, ...change };
  if (opened) await chain.send(cheat, "open", [terms, DEPOSIT], DEPOSIT);
  return terms;
}

/** A voucher for so much, before any receipt. */
function voucherOf(terms: ChannelTerms, cost: Cost): Voucher {
  return {
    channelId: channelIdOf(terms),
    cumulativeAmount: toAmount(cost),
    requests: 0n,
    inboundTokens: 0n,
    outboundTokens: 0n,
    receiptsRoot: ZERO_HASH,
  };
}

/** What pays for the prompt of every request here. */
const PREPAY: Cost = estimate({ ...OFFER, maxTokens: 1 }, BODY.length).prepay;

/** Asks, with the prompt paid in advance from a channel. @param voucher in place of the right one */
async function ask(
  terms: ChannelTerms,
  voucher: Voucher | SignedVoucher = voucherOf(terms, PREPAY),
): Promise<RawStream> {
  const draft = draftRequest(parseModelRequest(BODY), {
    ...{ executor, offer: OFFER, nowMs: Date.now(), timeoutMs: 10_000, nonce: randomNonce() },
  });
  const channelId = channelIdOf(terms);
  const { commitment, signature } = await signer.signRequest(
    { ...draft, channelId },
    BODY,
    SALT,
    "",
  );
  const signed = "signature" in voucher ? voucher : await signer.signVoucher(voucher);
  const payment = { terms, voucher: signed, paid: PREPAY, first: 0, receipts: [] };
  const stream = await peer.open(victim.ready.multiaddrs[0]!, LLM_PROTOCOL);
  stream.sendFrame(
    encodeOpen({ body: BODY, salt: SALT, request: { commitment, signature }, payment }),
  );
  return stream;
}

/** The code of a refusal, before which no model was asked. */
async function refusal(stream: RawStream): Promise<ErrorCode> {
  const asked = mock.requests.length;
  const frame = await nextFrame(stream);
  assert.ok(frame?.type === "reject", `expected a reject, got ${frame?.type}`);
  assert.equal(mock.requests.length, asked);
  return frame.error.code;
}

/** Reads until the executor asks to be paid. */
async function demand(stream: RawStream): Promise<ExecutorFrame & { readonly type: "due" }> {
  for (;;) {
    const frame = await nextFrame(stream);
    assert.ok(frame !== undefined && frame.type !== "receipt", "no demand came");
    if (frame.type === "due") return frame;
  }
}

/** What a demand comes to, with the prompt. */
function accrued({ outboundTokens }: { readonly outboundTokens: number }): Cost {
  return PREPAY + BigInt(outboundTokens) * OFFER.outboundPrice;
}

/** Answers a demand. @param signed what the voucher is for, if not what is said to be paid */
async function pay(
  stream: RawStream,
  terms: ChannelTerms,
  paid: Cost,
  signed: Cost = paid,
): Promise<void> {
  const voucher = await signer.signVoucher(voucherOf(terms, signed));
  stream.sendFrame(encodeVoucher({ signed: voucher, paid, first: 0, receipts: [] }));
}

/** Lines of answer that come until the stream ends, which it must without a receipt. */
async function restOf(stream: RawStream): Promise<number> {
  let lines = 0;
  try {
    for (let frame; (frame = await nextFrame(stream)) !== undefined;) {
      assert.notEqual(frame.type, "receipt");
      if (frame.type === "delta") lines += frame.lines.filter((byte) => byte === 0x0a).length;
    }
  } catch (error) {
    assert.equal((error as { readonly code?: string }).code, "stream_broken");
  }
  return lines;
}

test("who opens no channel is refused as channel_unusable, and no model runs for it", async () => {
  assert.equal(await refusal(await ask(await channel({}, false))), "channel_unusable");
});

test("a deposit is for one executor: another one refuses it as channel_unusable", async () => {
  const elsewhere = await channel({ executor: chain.executor.address });
  assert.equal(await refusal(await ask(elsewhere)), "channel_unusable");
  // Nor is there a second deposit behind the same terms with this executor's name.
  assert.equal(
    await refusal(await ask({ ...elsewhere, executor })),
    "channel_unusable",
  );
});

test("a voucher of another channel, or another chain, is refused as voucher_invalid", async () => {
  const [terms, other] = [await channel(), await channel()];
  assert.equal(await refusal(await ask(terms, voucherOf(other, PREPAY))), "voucher_invalid");
  const payment = { ...domain, chainId: 1n };
  const abroad = createSigner(noblePrimitives, { payment }, peer.identity.exportPrivateKey());
  const signed = await abroad.signVoucher(voucherOf(terms, PREPAY));
  assert.equal(await refusal(await ask(terms, signed)), "voucher_invalid");
  owed.set(channelIdOf(terms), 0n);
});

test("who stops paying in mid-stream gets a step of text, and no receipt", async () => {
  const terms = await channel();
  const stream = await ask(terms);
  const first = await demand(stream);
  await pay(stream, terms, accrued(first));
  const second = await demand(stream);
  assert.ok(second.outboundTokens > first.outboundTokens);
  const asked = mock.requests.at(-1)!;
  const rest = restOf(stream);
  // The model says everything, and its executor keeps it.
  while (asked.finishedAt === undefined) await pause();
  await stream.end();
  assert.ok(await rest <= STEP_TOKENS, "more than a step came unpaid");
  owed.set(channelIdOf(terms), toAmount(accrued(first)));
});

for (const [name, less] of Object.entries({ "a lower voucher": 1_000_000n, "nothing more": 0n })) {
  test(`who signs ${name} for what it says to pay is cut off, without a receipt`, async () => {
    const terms = await channel();
    const stream = await ask(terms);
    const due = accrued(await demand(stream));
    await pay(stream, terms, due, less === 0n ? PREPAY : due - less);
    assert.ok(await restOf(stream) <= STEP_TOKENS);
    owed.set(channelIdOf(terms), toAmount(PREPAY));
  });
}

test("who withdraws during service is paid up to its last voucher, and closed, before it can", async () => {
  const terms = await channel();
  const channelId = channelIdOf(terms);
  const stream = await ask(terms);
  const due = accrued(await demand(stream));
  await chain.send(cheat, "requestClose", [terms]);
  await pay(stream, terms, due);
  const closed = await chain.rpc.getBlockNumber();
  await stream.end();
  await restOf(stream);
  const paid = await closing(channelId, closed);
  assert.equal(paid, toAmount(due));
  assert.equal(await refusal(await ask(terms)), "channel_unusable");
  owed.set(channelId, toAmount(due));
});

/** Between two looks at what says by itself that it has happened only when asked. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

/** What a channel had paid when it was closed. */
async function closing(channelId: Hash, fromBlock: bigint): Promise<Amount> {
  for (;;) {
    const [closed] = await chain.rpc.getContractEvents({
      address: LLOOM_CHANNELS_ADDRESS,
      abi: LLOOM_CHANNELS_ABI,
      eventName: "ChannelClosed",
      args: { channelId },
      fromBlock,
      strict: true,
    });
    if (closed !== undefined) return closed.args.settled;
    await pause();
  }
}

test("a consent is an executor's last act on a channel: there is no later voucher to cheat it of", async () => {
  const terms = await channel();
  const paying = await ask(terms);
  const due = accrued(await demand(paying));
  await pay(paying, terms, due);
  await demand(paying);
  const closer = await peer.open(victim.ready.multiaddrs[0]!, CHANNEL_PROTOCOL);
  const wish = async () => {
    closer.sendFrame(encodeClose({ terms }));
    return decodeCloseAnswer((await closer.frames.next())!);
  };
  const early = await wish();
  assert.ok(early.type === "error" && early.error.code === "overloaded", "while one is served");
  await paying.end();
  await restOf(paying);
  let answer = await wish();
  while (answer.type === "error") {
    await pause();
    answer = await wish();
  }
  assert.equal(answer.finalAmount, toAmount(due));
  assert.equal(await refusal(await ask(terms, voucherOf(terms, due))), "channel_unusable");
  // The client may still use it, for no less than all that was ever promised.
  const { finalAmount, deadline, signature } = answer;
  const consent = toEthereumSignature(signature);
  const wrong = chain.send(cheat, "closeWithConsent", [terms, PREPAY, deadline, consent]);
  await assert.rejects(wrong, /reverted/);
  await chain.send(cheat, "closeWithConsent", [terms, finalAmount, deadline, consent]);
  owed.set(channelIdOf(terms), finalAmount);
});

test("in the end the chain has paid for all but a step of what each cheat was given", async () => {
  victim.child.kill("SIGTERM");
  assert.equal((await victim.child.ended).code, 0);
  const { dataDir } = victim;
  const key = await Deno.readTextFile(join(dataDir, "identity.key"));
  const till = await Till.open({
    identity: new Identity(parsePrivateKey(key.trim())),
    config: {
      blockchain: blockchainOf(chain.rpcUrl, 1),
      payments: {
        stepTokens: STEP_TOKENS,
        minCloseDelay: 3600,
        minDeposit: "0",
        redeemThreshold: "1",
        redeemMinimum: "0",
        redeemMaxAge: 60,
      },
      storage: { dataDir },
    },
    sandboxWorkers: false,
  });
  assert.ok(till !== undefined);
  try {
    await till.settler.settle();
    let earned = 0n;
    for (const { channelId, unpaid, settled } of await till.store.channels()) {
      assert.equal(settled, owed.get(channelId), channelId);
      assert.ok(unpaid <= STEP * 1_000_000n, `${unpaid} unpaid`);
      earned += settled;
    }
    assert.ok(earned > 0n);
    assert.equal(await chain.credit({ address: executor } as Party), earned);
  } finally {
    await till.close(1000);
  }
});
