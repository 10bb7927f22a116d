import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import type { Address } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { noblePrimitives } from "../signing/mod.ts";
import { toAmount, toCost } from "./amounts.ts";
import { createMemoryBuyerStore } from "./books/mod.ts";
import { createPayer, type PayerOptions } from "./payer.ts";
import type { OpenPayment, PaymentRequest } from "./ports.ts";
import {
  client,
  code,
  DOMAIN,
  executor,
  FakeChain,
  PAYMENT,
  receiptOf,
  requestOn,
  verifier,
} from "../../tests/support/money.ts";

const OPTIONS: PayerOptions = {
  chainId: DOMAIN.chainId,
  contract: DOMAIN.verifyingContract,
  asset: PAYMENT.asset,
  channelDeposit: 1000n,
  autoOpen: true,
  closeDelay: 1800,
  maxCloseDelay: 86_400,
  budgets: {},
};

function world(options: Partial<PayerOptions> = {}) {
  const chain = new FakeChain();
  const store = createMemoryBuyerStore(noblePrimitives.keccak256);
  const clock = new ManualClock();
  const payer = () =>
    createPayer({ ...OPTIONS, ...options }, { store, signer: client, chain, clock });
  return { chain, store, clock, payer: payer(), restarted: payer };
}

function request(max: bigint, fields: Partial<PaymentRequest> = {}): PaymentRequest {
  return {
    executor: executor.address,
    payment: PAYMENT,
    maxCost: toCost(max),
    prepay: toCost(max / 10n),
    model: "m",
    deadlineMs: () => 1_700_000_600_000,
    ...fields,
  };
}

/** Lets a request run through: sent, answered and paid. */
async function complete(payment: OpenPayment, cost: bigint, nonce: bigint) {
  const { channelId } = payment;
  const { requestHash, ...sent } = await requestOn(channelId, nonce);
  payment.sent(sent, requestHash, new Uint8Array(32));
  payment.accepted(0);
  return await payment.settle(await receiptOf(requestHash, channelId, toCost(cost)));
}

Deno.test("the first request opens a channel that the ledger knew before, and the next ones use it", async () => {
  const { chain, store, payer } = world();
  const gate = Promise.withResolvers<void>();
  chain.gate = gate.promise;
  const first = payer.begin(request(100n));
  while (chain.done.length === 0) await Promise.resolve();
  const [begun] = await store.channels();
  assert.equal(begun?.status, "none");
  assert.equal(begun.terms.closeDelay, PAYMENT.closeDelay);
  gate.resolve();
  const { channelId, opening } = await first;
  assert.equal(channelId, begun.channelId);
  assert.equal(opening.paid, toCost(10n));
  assert.equal(opening.voucher?.cumulativeAmount, 10n);
  assert.equal((await payer.begin(request(100n))).channelId, channelId);
  assert.deepEqual(chain.done, ["open 1000"]);
});

Deno.test("how long a request may take is asked once there is a channel, however long that took to open", async () => {
  const { chain, clock, store, payer } = world();
  const gate = Promise.withResolvers<void>();
  chain.gate = gate.promise;
  const begun = payer.begin(request(100n, { deadlineMs: () => clock.now() + 60_000 }));
  while (chain.done.length === 0) await Promise.resolve();
  clock.advance(600_000);
  gate.resolve();
  await begun;
  assert.equal((await store.history({ limit: 1 }))[0]!.deadlineMs, clock.now() + 60_000);
});

Deno.test("all who wait for one executor share one channel, with room for them all", async () => {
  const { chain, payer } = world();
  const payments = await Promise.all(Array.from({ length: 20 }, () => payer.begin(request(100n))));
  assert.equal(new Set(payments.map(({ channelId }) => channelId)).size, 1);
  assert.deepEqual(chain.done, ["open 2000"]);
});

Deno.test("a channel without room is topped up, by what is needed at least", async () => {
  const { chain, payer } = world({ budgets: { request: 5000n } });
  const first = await payer.begin(request(900n));
  const second = await payer.begin(request(5000n));
  assert.equal(second.channelId, first.channelId);
  assert.deepEqual(chain.done, ["open 1000", "view", "top up 4900"]);
});

Deno.test("an opening that a crash interrupts is gone on with: one deposit, under the name it had", async () => {
  const { chain, store, payer, restarted } = world();
  chain.gate = new Promise(() => {});
  payer.begin(request(100n)).catch(() => {});
  while (chain.done.length === 0) await Promise.resolve();
  const [begun] = await store.channels();
  chain.gate = Promise.resolve();
  const payment = await restarted().begin(request(100n));
  assert.equal(payment.channelId, begun!.channelId);
  assert.equal(chain.channels.size, 1);
});

Deno.test("a deposit that was said to have failed, and was made, is found and not made again", async () => {
  for (const look of ["refresh", "begin"] as const) {
    const { chain, store, payer, restarted } = world();
    chain.fails = new LloomError("transaction_failed", "lied to");
    await assert.rejects(payer.begin(request(100n)), code("transaction_failed"));
    const [begun] = await store.channels();
    chain.set(begun!.channelId, { status: "open", deposit: 1000n });
    if (look === "refresh") {
      await restarted().refresh();
      assert.equal((await store.channels())[0]!.deposit, 1000n);
    }
    assert.equal((await restarted().begin(request(100n))).channelId, begun!.channelId);
    assert.deepEqual(chain.done.filter((one) => one !== "view"), ["open 1000"]);
  }
});

Deno.test("an opening that failed is tried again, for the same channel", async () => {
  for (
    const failure of ["transaction_failed", "insufficient_funds", "chain_unavailable"] as const
  ) {
    const { chain, payer } = world();
    chain.fails = new LloomError(failure, "no");
    await assert.rejects(payer.begin(request(100n)), code(failure));
    await payer.begin(request(100n));
    assert.equal(chain.channels.size, 1);
    assert.deepEqual(chain.done, ["open 1000", "view", "open 1000"]);
  }
});

Deno.test("what no budget allows opens nothing", async () => {
  for (const budgets of [{ request: 99n }, { hour: 99n }, { day: 99n }]) {
    const { chain, payer } = world({ budgets });
    await assert.rejects(payer.begin(request(100n)), code("budget_exceeded"));
    assert.deepEqual(chain.done, []);
  }
  const { payer } = world({ budgets: { hour: 150n } });
  await payer.begin(request(100n));
  await assert.rejects(payer.begin(request(100n)), code("budget_exceeded"));
});

Deno.test("where nothing says what one request may cost, it is what is put into a channel at once", async () => {
  const { chain, payer } = world();
  const dear = payer.begin(request(1001n));
  await assert.rejects(dear, /--max-price.*channel_deposit/);
  await assert.rejects(dear, code("budget_exceeded"));
  assert.deepEqual(chain.done, []);
  await Promise.all([payer.begin(request(1000n)), payer.begin(request(1000n))]);
  assert.deepEqual(chain.done, ["open 2000"]);
});

Deno.test("an executor that wants to be paid otherwise gets nothing", async () => {
  const { chain, payer } = world();
  const other: Address = `0x${"dd".repeat(20)}`;
  for (
    const wrong of [
      { chainId: 1n },
      { contract: other },
      { asset: other },
      { closeDelay: OPTIONS.maxCloseDelay + 1 },
    ]
  ) {
    await assert.rejects(
      payer.begin(request(100n, { payment: { ...PAYMENT, ...wrong } })),
      code("payment_required"),
    );
  }
  await assert.rejects(
    world({ budgets: { request: 1n << 97n } }).payer.begin(request(1n << 96n)),
    code("insufficient_funds"),
  );
  assert.deepEqual(chain.done, []);
});

Deno.test("without leave to open channels, only those that are there are used", async () => {
  const { store, chain, payer, restarted } = world({ autoOpen: false });
  await assert.rejects(payer.begin(request(100n)), code("payment_required"));
  const opened = createPayer(OPTIONS, { store, signer: client, chain, clock: new ManualClock() });
  await (await opened.begin(request(100n))).abandon(false);
  await restarted().begin(request(100n));
  await assert.rejects(restarted().begin(request(950n)), code("insufficient_funds"));
});

Deno.test("who gives up waiting does not stop the opening", async () => {
  const { chain, payer } = world();
  const gate = Promise.withResolvers<void>();
  chain.gate = gate.promise;
  const caller = new AbortController();
  const first = payer.begin(request(100n), caller.signal);
  while (chain.done.length === 0) await Promise.resolve();
  caller.abort();
  await assert.rejects(first, code("aborted"));
  gate.resolve();
  await payer.begin(request(100n));
  assert.deepEqual(chain.done, ["open 1000"]);
});

Deno.test("a channel that its executor refuses is looked at, and no longer used once it closes", async () => {
  const { chain, payer } = world();
  const refused = await payer.begin(request(100n));
  chain.set(refused.channelId, { status: "closing", closesAt: 9 });
  await refused.abandon(false);
  const next = await payer.begin(request(100n));
  assert.notEqual(next.channelId, refused.channelId);
});

Deno.test("a channel that is to be closed, or whose payments are refused again and again, is paid from no more", async () => {
  const { store, payer } = world();
  const retired = await payer.begin(request(100n));
  await retired.abandon(false);
  await store.retire(retired.channelId);
  const disowned = await payer.begin(request(100n));
  assert.notEqual(disowned.channelId, retired.channelId);
  await disowned.disown();
  const heard = await payer.begin(request(100n));
  heard.accepted(0);
  await heard.disown();
  for (let refused = 0; refused < 3; refused++) {
    const next = await payer.begin(request(100n));
    assert.equal(next.channelId, disowned.channelId);
    await next.disown();
  }
  const [latest] = await store.channels();
  assert.equal(latest!.spent, toCost(50n));
  const fresh = await payer.begin(request(100n));
  assert.notEqual(fresh.channelId, disowned.channelId);
});

Deno.test("every voucher is the channel's, signed, and never for less than one before", async () => {
  const { payer } = world();
  const payment = await payer.begin(request(100n));
  const paid = await payment.pay(toCost(30n));
  assert.equal(paid.signed.voucher.cumulativeAmount, 30n);
  assert.equal((await verifier.verifyVoucher(paid.signed)).signer, client.address);
  assert.equal((await payment.pay(toCost(20n))).signed.voucher.cumulativeAmount, 30n);
  await assert.rejects(payment.pay(toCost(101n)), code("overcharged"));
  const last = await complete(payment, 40n, 1n);
  assert.equal(last?.signed.voucher.cumulativeAmount, 40n);
  assert.deepEqual(last?.receipts.length, 1);
});

Deno.test("whatever is asked at once, channels hold what was promised, and all that was paid is covered", async () => {
  const asked = fc.array(
    fc.record({ max: fc.bigInt(1n, 3000n), share: fc.integer({ min: 0, max: 100 }) }),
    { minLength: 1, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(asked, async (wanted) => {
      const { store, payer, chain } = world({ budgets: { request: 3000n } });
      let spent = 0n;
      await Promise.all(wanted.map(async ({ max, share }, i) => {
        const payment = await payer.begin(request(max));
        const cost = max * BigInt(share) / 100n;
        if (i % 3 === 2) return await payment.abandon(false);
        spent += cost;
        await complete(payment, cost, BigInt(i));
      }));
      const channels = await store.channels();
      assert.equal(channels.length, 1);
      assert.equal(channels[0]!.deposit, chain.channels.get(channels[0]!.channelId)!.deposit);
      assert.equal(channels[0]!.spent, toCost(spent));
      assert.equal(channels[0]!.reserved, 0n);
      assert.ok(channels[0]!.signed >= toAmount(channels[0]!.spent));
      assert.ok(channels[0]!.signed <= channels[0]!.deposit);
    }),
    { numRuns: 30 },
  );
});
