import assert from "node:assert/strict";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import type { Hash } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { CHANNEL_RATE, MAX_CHANNEL_READS, STRANGE_CHANNEL_RATE } from "../protocol/limits.ts";
import { createSigner, noblePrimitives } from "../signing/mod.ts";
import type { ChannelTerms, Voucher } from "../signing/typed_data.ts";
import { toCost } from "./amounts.ts";
import { createMemorySellerStore } from "./books/mod.ts";
import { createCashier } from "./cashier.ts";
import { channelIdOf } from "./channel_id.ts";
import type { PricedRequest, VoucherMessage } from "./ports.ts";
import {
  client,
  code,
  DOMAIN,
  executor,
  FakeChain,
  PAYMENT,
  receiptOf,
  requestOn,
  termsOf,
  verifier,
} from "../../tests/support/money.ts";

function world(watchedMs?: () => number) {
  const chain = new FakeChain();
  const clock = new ManualClock();
  const store = createMemorySellerStore(noblePrimitives.keccak256);
  const cashier = createCashier(
    { terms: PAYMENT, executor: executor.address, minDeposit: 100n },
    { store, chain, verifier, clock, ...(watchedMs && { watchedMs }) },
  );
  return { chain, clock, store, cashier };
}

function voucher(channelId: Hash, cumulativeAmount: bigint): Voucher {
  return {
    channelId,
    cumulativeAmount,
    requests: 0n,
    inboundTokens: 0n,
    outboundTokens: 0n,
    receiptsRoot: `0x${"0".repeat(64)}`,
  };
}

async function message(channelId: Hash, amount: bigint, paid = amount): Promise<VoucherMessage> {
  const signed = await client.signVoucher(voucher(channelId, amount));
  return { signed, paid: toCost(paid), first: 0, receipts: [] };
}

let nonces = 0n;

/** A request of at most 200 units, 10 of them paid. */
async function priced(
  terms: ChannelTerms,
  { covered = 10n, max = 200n } = {},
): Promise<PricedRequest> {
  const channelId = channelIdOf(terms);
  const { requestHash, ...request } = await requestOn(channelId, nonces++);
  const { signed, ...rest } = await message(channelId, covered, 10n);
  return {
    request,
    requestHash,
    client: terms.signer,
    payment: { terms, voucher: signed, ...rest },
    prepay: toCost(10n),
    maxCost: toCost(max),
    step: toCost(5n),
  };
}

Deno.test("a channel is read from the chain once, and then serves requests that pay", async () => {
  const { chain, cashier, store } = world();
  const terms = termsOf(1n);
  const channelId = channelIdOf(terms);
  chain.set(channelId, { status: "open", deposit: 1000n });
  const tab = await cashier.admit(await priced(terms));
  assert.equal(tab.paid, toCost(10n));
  assert.equal(await tab.pay(await message(channelId, 30n)), toCost(30n));
  assert.equal(tab.paid, toCost(30n));
  await cashier.admit(await priced(terms, { covered: 40n }));
  assert.deepEqual(chain.done, ["view"]);
  assert.equal((await store.channel(channelId))?.voucher?.voucher.cumulativeAmount, 40n);
});

Deno.test("a client that opened no channel, or one too small or closing, is not served, nor kept", async () => {
  const { chain, cashier, store } = world();
  for (
    const view of [
      undefined,
      { status: "open", deposit: 99n },
      { status: "closing", deposit: 1000n, closesAt: 9 },
      { status: "closed", deposit: 0n },
    ] as const
  ) {
    const terms = termsOf(nonces++);
    if (view !== undefined) chain.set(channelIdOf(terms), view);
    await assert.rejects(cashier.admit(await priced(terms)), code("channel_unusable"));
    assert.equal(await store.channel(channelIdOf(terms)), undefined);
  }
});

Deno.test("one deposit is good at one executor only", async () => {
  const { chain, cashier } = world();
  const elsewhere = termsOf(1n, { executor: `0x${"dd".repeat(20)}` });
  chain.set(channelIdOf(elsewhere), { status: "open", deposit: 1000n });
  // Terms that name this executor are another channel, which the chain does not have.
  await assert.rejects(cashier.admit(await priced(termsOf(1n))), code("channel_unusable"));
  // And the deposit is in nobody else's gift.
  await assert.rejects(cashier.consent(elsewhere, client.address), code("channel_unusable"));
});

Deno.test("a deposit is promised once: requests at once reserve what each can cost", async () => {
  const { chain, clock, cashier } = world();
  const terms = termsOf(1n);
  chain.set(channelIdOf(terms), { status: "open", deposit: 500n });
  await cashier.admit(await priced(terms, { covered: 10n }));
  await cashier.admit(await priced(terms, { covered: 20n }));
  await assert.rejects(
    cashier.admit(await priced(terms, { covered: 30n })),
    code("payment_required"),
  );
  assert.deepEqual(chain.done, ["view"]);
  clock.advance(3_000);
  await assert.rejects(
    cashier.admit(await priced(terms, { covered: 30n })),
    code("payment_required"),
  );
  chain.set(channelIdOf(terms), { deposit: 700n });
  clock.advance(3_000);
  await cashier.admit(await priced(terms, { covered: 30n }));
  assert.deepEqual(chain.done, ["view", "view", "view"]);
});

Deno.test("a voucher of another channel, chain or signer, or a lower one, pays for nothing", async () => {
  const { chain, cashier } = world();
  const terms = termsOf(1n), other = termsOf(2n);
  const channelId = channelIdOf(terms);
  for (const each of [terms, other]) {
    chain.set(channelIdOf(each), { status: "open", deposit: 1000n });
  }
  const tab = await cashier.admit(await priced(terms));
  const signedBy = (key: number, payment = DOMAIN) =>
    createSigner(noblePrimitives, { payment }, new Uint8Array(32).fill(key))
      .signVoucher(voucher(channelId, 50n));
  const good = await message(channelId, 50n);
  const forged = good.signed.signature.slice();
  forged[40]! ^= 1;
  for (
    const bad of [
      await message(channelIdOf(other), 50n),
      { ...good, signed: await signedBy(0xc1, { ...DOMAIN, chainId: 1n }) },
      { ...good, signed: await signedBy(0xc1, { ...DOMAIN, verifyingContract: PAYMENT.asset }) },
      { ...good, signed: await signedBy(0xdd) },
      { ...good, signed: { ...good.signed, signature: new Uint8Array(65) } },
      { ...good, signed: { ...good.signed, signature: forged } },
      await message(channelId, 9n, 50n),
      await message(channelId, 50n, 201n),
    ]
  ) {
    await assert.rejects(tab.pay(bad), code("voucher_invalid"));
    assert.equal(tab.paid, toCost(10n));
  }
  assert.equal(await tab.pay(good), toCost(50n));
});

Deno.test("a channel that its client begins to close serves no more, but is paid what it owes", async () => {
  const { chain, cashier, store } = world();
  const terms = termsOf(1n);
  const channelId = channelIdOf(terms);
  chain.set(channelId, { status: "open", deposit: 1000n });
  const first = await priced(terms);
  const tab = await cashier.admit(first);
  // What the settler does when it sees the event.
  await store.viewChannel(channelId, chain.set(channelId, { status: "closing", closesAt: 9 }));
  await assert.rejects(cashier.admit(await priced(terms)), code("channel_unusable"));
  await tab.settle(await receiptOf(first.requestHash, channelId, toCost(60n)));
  assert.equal(await tab.pay(await message(channelId, 60n)), toCost(60n));
  assert.equal((await store.redeemable())[0]?.channel.channelId, channelId);
});

Deno.test("a withdrawal that nobody told of is seen before the deposit can be gone", async () => {
  let watchedMs = 0;
  const { chain, clock, cashier } = world(() => watchedMs);
  const terms = termsOf(1n);
  const channelId = channelIdOf(terms);
  chain.set(channelId, { status: "open", deposit: 1000n });
  await (await cashier.admit(await priced(terms))).close(0n);
  chain.set(channelId, { status: "closing", closesAt: 9 });
  clock.advance(300_000);
  await (await cashier.admit(await priced(terms))).close(0n);
  clock.advance(1);
  watchedMs = clock.now();
  await (await cashier.admit(await priced(terms))).close(0n);
  clock.advance(300_001);
  await assert.rejects(cashier.admit(await priced(terms)), code("channel_unusable"));
  assert.deepEqual(chain.done, ["view", "view"]);
});

Deno.test("made-up channels cost a client its rate, and the chain no more than so many questions at once", async () => {
  const { chain, cashier } = world();
  const refusals = [];
  for (let i = 0; i < CHANNEL_RATE.burst + 5; i++) {
    const error = await cashier.admit(await priced(termsOf(BigInt(i)))).catch((thrown) => thrown);
    refusals.push(error.code);
  }
  assert.equal(chain.done.length, CHANNEL_RATE.burst);
  assert.deepEqual(refusals.slice(-5), Array(5).fill("rate_limited"));

  const gate = Promise.withResolvers<never>();
  const silent = createCashier(
    { terms: PAYMENT, executor: executor.address, minDeposit: 100n },
    {
      store: createMemorySellerStore(noblePrimitives.keccak256),
      chain: { channel: () => gate.promise },
      verifier,
      clock: new ManualClock(),
    },
  );
  const many = await Promise.all(Array.from({ length: MAX_CHANNEL_READS + 1 }, (_, i) => {
    const signer = `0x${i.toString(16).padStart(40, "0")}` as const;
    return priced(termsOf(0n, { signer }));
  }));
  const outcomes = many.map((one) => silent.admit(one).catch(({ code }) => code));
  assert.equal(await outcomes.at(-1), "overloaded");
  gate.reject(new LloomError("chain_unavailable", "no answer"));
  assert.deepEqual(
    (await Promise.all(outcomes)).slice(0, -1),
    Array(MAX_CHANNEL_READS).fill("chain_unavailable"),
  );
});

Deno.test("one that asks again for the same channel is not read for twice at once", async () => {
  const { chain, cashier } = world();
  const terms = termsOf(1n);
  chain.set(channelIdOf(terms), { status: "open", deposit: 1000n });
  await Promise.all([
    cashier.admit(await priced(terms, { covered: 20n })),
    cashier.admit(await priced(terms, { covered: 20n })),
  ]);
  assert.deepEqual(chain.done, ["view"]);
});

Deno.test("a consent is the last act on a channel: no later voucher can make it stale", async () => {
  const { chain, cashier, store } = world();
  const terms = termsOf(1n);
  const channelId = channelIdOf(terms);
  chain.set(channelId, { status: "open", deposit: 1000n });
  const first = await priced(terms);
  const tab = await cashier.admit(first);
  await assert.rejects(cashier.consent(terms, client.address), code("overloaded"));
  await tab.settle(await receiptOf(first.requestHash, channelId, toCost(60n)));
  await tab.pay(await message(channelId, 60n));
  await assert.rejects(cashier.consent(terms, executor.address), code("channel_unusable"));
  assert.deepEqual(await cashier.consent(terms, client.address), { channelId, finalAmount: 60n });
  await assert.rejects(
    cashier.admit(await priced(terms, { covered: 80n })),
    code("channel_unusable"),
  );
  assert.equal((await store.channel(channelId))?.voucher?.voucher.cumulativeAmount, 60n);
  assert.equal((await cashier.consent(terms, client.address)).finalAmount, 60n);
});

Deno.test("keys made up by the thousand have the chain asked at one rate, which known channels do not share", async () => {
  const { chain, clock, cashier } = world();
  const known = termsOf(1n);
  chain.set(channelIdOf(known), { status: "open", deposit: 1000n });
  await (await cashier.admit(await priced(known))).close(0n);
  clock.advance(300_001);
  for (let i = 0; i < STRANGE_CHANNEL_RATE.burst + 5; i++) {
    const signer = `0x${i.toString(16).padStart(40, "0")}` as const;
    const wanted = i < STRANGE_CHANNEL_RATE.burst ? "channel_unusable" : "rate_limited";
    await assert.rejects(cashier.admit(await priced(termsOf(0n, { signer }))), code(wanted));
  }
  assert.equal(chain.done.length, 1 + STRANGE_CHANNEL_RATE.burst);
  await cashier.admit(await priced(known));
  assert.equal(chain.done.length, 2 + STRANGE_CHANNEL_RATE.burst);
});

Deno.test("a channel that is known to close is not open again for a chain that has not confirmed it", async () => {
  const { chain, clock, cashier, store } = world();
  const terms = termsOf(1n);
  const channelId = channelIdOf(terms);
  const open = chain.set(channelId, { status: "open", deposit: 1000n });
  await (await cashier.admit(await priced(terms))).close(0n);
  await store.viewChannel(channelId, { ...open, status: "closing", closesAt: 9 });
  clock.advance(300_001);
  chain.set(channelId, { settled: 5n });
  await assert.rejects(cashier.admit(await priced(terms)), code("channel_unusable"));
  const { status, closesAt, settled } = (await store.channel(channelId))!;
  assert.deepEqual([status, closesAt, settled], ["closing", 9, 5n]);
});
