/** Executors that cheat a client with a wallet, on a live chain: the client loses its prompts at most. */
import assert from "node:assert/strict";
import { type LloomClient, Wallet } from "@lloom/client";
import { toHex } from "@lloom/core/bytes";
import type { ErrorCode } from "@lloom/core/errors";
import { generateIdentity } from "@lloom/core/identity";
import {
  type Amount,
  estimate,
  type PaymentTerms,
  type Purchase,
  toAmount,
} from "@lloom/core/payments";
import { encodeAccept, encodeDelta, encodeDue } from "@lloom/core/protocol";
import { type LlmResponseCommitment, toCompactSignature } from "@lloom/core/signing";
import { paymentChain } from "@lloom/host";
import { findTool, missing } from "@lloom/host/foundry";
import { parseEther } from "viem";
import { blockchainOf, PAYMENTS } from "../faults/client_program.ts";
import { chat } from "../support/asking.ts";
import { ANSWER, type Asked, HostileExecutor, trailerOf } from "../support/hostile_executor.ts";
import { Network, PROCESS_TEST } from "../support/network.ts";
import { Party, PaymentChain } from "../support/payment_chain.ts";

/** 1,000 wei for a token of prompt, 2,000 for one of answer. */
const PRICES = { inboundPrice: 10n ** 9n, outboundPrice: 2n * 10n ** 9n };
const STEP_TOKENS = 2;
const REQUEST = chat({ max_tokens: 100 });
const BODY = new TextEncoder().encode(JSON.stringify(REQUEST));
const PREPAY: Amount = toAmount(estimate({ ...PRICES, maxTokens: 100 }, BODY.length).prepay);
/** Characters of the answer: no text has more tokens. */
const TEXT = "yes".length;

const anvil = await findTool("anvil") !== undefined;

let chain: PaymentChain;
let network: Network;
let hostile: HostileExecutor;
let wallet: Wallet;
let client: LloomClient;
/** The best voucher that the executor was given, with its channel. */
let best: NonNullable<Asked["open"]["payment"]>;

Deno.test.beforeAll(async () => {
  if (!anvil) return;
  chain = (await PaymentChain.start())!;
  network = await Network.open(0);
  const blockchain = blockchainOf(chain.rpcUrl, 1);
  const { chainId, contract, asset, domain } = paymentChain(blockchain)!;
  const payment: PaymentTerms = {
    ...{ chainId, contract, asset, stepTokens: STEP_TOKENS, closeDelay: 3600 },
  };
  hostile = await HostileExecutor.start({ ...PRICES, payment, domains: { payment: domain } });
  const identity = generateIdentity();
  for (const { address } of [identity, hostile.identity]) {
    await chain.rpc.setBalance({ address, value: parseEther("10") });
  }
  wallet = await Wallet.open({
    ...{ identity, blockchain },
    payments: { ...PAYMENTS, channelDeposit: "0.00000000005" },
    dataDir: await network.directory(),
  });
  client = await network.client({ bootstrapNodes: hostile.node.multiaddrs(), wallet });
});

Deno.test.afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
  await wallet?.close();
  await hostile?.[Symbol.asyncDispose]();
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

/** Asks, and is refused the money that is asked for too much. @returns what the client's account has of it */
async function cheated(
  code: ErrorCode,
  cheat: (asked: Asked) => Promise<void> | void,
): Promise<Purchase> {
  hostile.answers(async (asked) => {
    best = asked.open.payment!;
    asked.stream.send(encodeAccept({ requestHash: asked.requestHash, acknowledged: 0 }));
    asked.stream.send(encodeDelta({ lines: ANSWER }));
    await cheat(asked);
  });
  const completion = client.complete(REQUEST, { timeoutMs: 20_000 });
  await assert.rejects(completion.drain(), { code });
  const [purchase] = await (await wallet.ledger()).history({ limit: 1 });
  assert.ok(purchase !== undefined);
  assert.equal(toAmount(purchase.paid), PREPAY);
  return purchase;
}

/** A receipt but for `change`, with the end of an answer that agrees with it. */
const receipt = (change: Partial<LlmResponseCommitment>) => async (asked: Asked) => {
  asked.stream.send(await asked.receipt(change, trailerOf(change.outboundTokens ?? 1)));
};

test("more tokens than the text can have are not paid on demand: overcharged", async () => {
  const { state } = await cheated("overcharged", ({ stream }) => {
    const deliveredBytes = ANSWER.length;
    stream.send(encodeDue({ outboundTokens: TEXT + 1, deliveredBytes }));
  });
  assert.equal(state, "abandoned");
});

test("a receipt for more tokens than the text can have is not paid, and kept: overcharged", async () => {
  const claimed = TEXT + 16 + 1;
  const { state, response } = await cheated("overcharged", receipt({ outboundTokens: claimed }));
  assert.equal(state, "disputed");
  assert.equal(response!.commitment.outboundTokens, claimed);
});

test("a receipt for more tokens than were asked for is not paid, and kept: overcharged", async () => {
  const { state, response } = await cheated("overcharged", receipt({ outboundTokens: 101 }));
  assert.equal(state, "disputed");
  assert.equal(response!.commitment.outboundTokens, 101);
});

test("a receipt for another text than came is not paid: receipt_invalid", async () => {
  const contentHash = toHex(new Uint8Array(32).fill(0x55));
  const { state, response } = await cheated("receipt_invalid", receipt({ contentHash }));
  assert.equal(state, "abandoned");
  assert.equal(response, undefined);
});

test("in the end the chain pays the executor for the prompts, and for nothing else", async () => {
  const party = new Party(toHex(hostile.identity.exportPrivateKey()));
  const { terms, voucher: signed } = best;
  const { channelId: _, ...voucher } = signed!.voucher;
  const redemption = { terms, voucher, ...toCompactSignature(signed!.signature) };
  await chain.send(party, "redeem", [redemption]);
  assert.equal(await chain.credit(party), 4n * PREPAY);
  const [channel] = await (await wallet.ledger()).channels();
  assert.equal(channel!.signed, 4n * PREPAY);
});
