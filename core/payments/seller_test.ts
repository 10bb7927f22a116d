/** What one channel can cost its executor at most. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { code, termsOf } from "../../tests/support/money.ts";
import { type Hash, ZERO_HASH } from "../bytes.ts";
import { noblePrimitives } from "../signing/mod.ts";
import { type Cost, toCost } from "./amounts.ts";
import type { ChannelView } from "./channel.ts";
import { channelIdOf } from "./channel_id.ts";
import * as seller from "./seller.ts";

const TERMS = termsOf(1n);
const CHANNEL = channelIdOf(TERMS);
const VIEW: ChannelView = { deposit: 10n ** 20n, settled: 0n, status: "open", closesAt: 0 };
const LOOKUP: seller.SellerLookup = {
  keccak256: noblePrimitives.keccak256,
  request: () => undefined,
};
const STEP = toCost(256n);
const NOTHING: seller.TakenVoucher = { paid: 0n, first: 0, receipts: [] };

const hashOf = (n: number): Hash => `0x${n.toString(16).padStart(64, "0")}`;

function paying(amount: bigint, paid: Cost): seller.TakenVoucher {
  const counts = { requests: 0n, inboundTokens: 0n, outboundTokens: 0n, receiptsRoot: ZERO_HASH };
  const voucher = { ...counts, channelId: CHANNEL, cumulativeAmount: amount };
  return { ...NOTHING, paid, signed: { voucher, signature: new Uint8Array(65) } };
}

/** A client that opens requests, pays for some, and leaves others unpaid. */
class Client {
  channel = seller.newSellerChannel(CHANNEL, TERMS, VIEW);
  readonly open: seller.SellerRequest[] = [];
  #requests = 0;

  ask(taken = NOTHING, maxCost = STEP): seller.SellerRequest {
    const { channel, requests: [request] } = seller.admit(
      this.channel,
      { requestHash: hashOf(this.#requests++), maxCost },
      taken,
      { prepay: 0n, step: STEP },
      LOOKUP,
    );
    this.channel = channel;
    this.open.push(request);
    return request;
  }

  /** Opens as many requests as it is let. */
  flood(): void {
    for (;;) {
      try {
        this.ask();
      } catch (thrown) {
        assert.ok(code("overloaded")(thrown) || code("payment_required")(thrown));
        return;
      }
    }
  }

  end(request: seller.SellerRequest, owed: Cost): void {
    this.open.splice(this.open.indexOf(request), 1);
    this.channel = seller.closeTab(this.channel, request, owed).channel;
  }

  /** Asks once, and pays for it. */
  buy(cost: Cost): void {
    const total = this.channel.spent + cost;
    this.end(this.ask(paying(total / toCost(1n), cost), cost), cost);
  }
}

Deno.test("however many are asked at once, what is not paid is at most sixteen steps and what was paid", () => {
  const round = fc.record({ steps: fc.bigInt(0n, 20n), leave: fc.boolean() });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 12 }), (rounds) => {
      const client = new Client();
      for (const { steps, leave } of rounds) {
        try {
          if (steps > 0n) client.buy(steps * STEP);
        } catch (thrown) {
          assert.ok(code("payment_required")(thrown) || code("overloaded")(thrown));
        }
        if (!leave) continue;
        client.flood();
        for (const request of [...client.open]) client.end(request, STEP);
      }
      const { unpaid, spent, underWay } = client.channel;
      assert.ok(unpaid <= 16n * STEP + spent, `${unpaid} unpaid, ${spent} spent`);
      assert.equal(underWay, 0);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a client that is new may ask sixteen at once, and one that has paid for them many more", () => {
  const client = new Client();
  client.flood();
  assert.equal(client.open.length, 16);
  assert.throws(() => client.ask(), code("overloaded"));
  for (const request of [...client.open]) client.end(request, 0n);
  client.buy(48n * STEP);
  client.flood();
  assert.equal(client.open.length, 64);
});

Deno.test("who offers more than the price asked leaves no more requests unpaid", () => {
  const client = new Client();
  let left = 0;
  assert.throws(() => {
    for (let price = 1n;; price = price * 5n / 4n + 1n, left++) {
      client.end(client.ask(NOTHING, price * STEP), price * STEP);
    }
  }, code("payment_required"));
  assert.ok(left <= 4, `${left} requests`);
});

Deno.test("what the chain has settled pays for nothing again, where the account was lost or is an old copy", () => {
  const terms = { prepay: 0n, step: STEP };
  const admit = (channel: seller.SellerChannel, amount: bigint, paid: bigint) =>
    seller.admit(
      channel,
      { requestHash: hashOf(1), maxCost: toCost(1000n) },
      paying(amount, toCost(paid)),
      terms,
      LOOKUP,
    );
  const settled = { ...VIEW, settled: 900n };
  const lost = seller.newSellerChannel(CHANNEL, TERMS, settled);
  const copy = new Client();
  copy.buy(toCost(300n));
  const restored = seller.viewedBySeller(copy.channel, settled);
  for (const channel of [lost, restored]) {
    assert.throws(() => admit(channel, 900n, 1n), code("voucher_invalid"));
    const { channel: after } = admit(channel, 907n, 7n);
    assert.equal(seller.redeemable(after), 7n);
    assert.equal(after.spent, toCost(900n));
  }
});

Deno.test("what was redeemed by vouchers at hand changes nothing of what is spent", () => {
  const client = new Client();
  client.end(client.ask(paying(50n, toCost(50n)), toCost(50n)), toCost(20n));
  const before = client.channel;
  assert.deepEqual(seller.viewedBySeller(before, { ...VIEW, settled: 50n }), {
    ...before,
    settled: 50n,
  });
});
