/** Both accounts of one channel, against each other. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Hash, toHex, ZERO_ADDRESS, ZERO_HASH } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { noblePrimitives } from "../signing/mod.ts";
import type { ChannelTerms, LlmResponseCommitment, Voucher } from "../signing/typed_data.ts";
import { toAmount, toCost } from "./amounts.ts";
import * as buyer from "./buyer.ts";
import type { ChannelView } from "./channel.ts";
import * as seller from "./seller.ts";

const { keccak256 } = noblePrimitives;
const CHANNEL: Hash = `0x${"c1".repeat(32)}`;
const TERMS: ChannelTerms = {
  client: `0x${"c1".repeat(20)}`,
  executor: `0x${"e1".repeat(20)}`,
  asset: ZERO_ADDRESS,
  signer: `0x${"c1".repeat(20)}`,
  closeDelay: 3600,
  salt: 1n,
};
const OPEN: ChannelView = { deposit: 1000n, settled: 0n, status: "open", closesAt: 0 };
const STEP = toCost(10n);
const signature = new Uint8Array(65);
const hashOf = (text: string): Hash => toHex(keccak256(new TextEncoder().encode(text)));

/** What is on its way from the client to the executor about one request. */
interface Message {
  readonly id: string;
  readonly taken: seller.TakenVoucher;
}

/** Takes one out of a list that may be empty. */
function take<T>(list: T[], at: number): T | undefined {
  return list.splice(at % Math.max(1, list.length), 1)[0];
}

/** One honest client and one honest executor, whose messages may be lost or overtake each other. */
class Pair {
  buyer = buyer.newBuyerChannel(CHANNEL, TERMS, OPEN);
  seller = seller.newSellerChannel(CHANNEL, TERMS, OPEN);
  readonly bought = new Map<string, buyer.BuyerRequest>();
  readonly sold = new Map<Hash, seller.SellerRequest>();
  readonly leaves: Hash[] = [];
  /** Opening messages, and receipts, that are on their way. */
  readonly openings: (Message & { readonly maxCost: bigint; readonly prepay: bigint })[] = [];
  readonly vouchers: Message[] = [];
  readonly receipts: { readonly id: string; readonly cost: bigint }[] = [];
  signedBefore = 0n;
  knownAcknowledged = 0;
  #n = 0;

  lookup: seller.SellerLookup = { keccak256, request: (hash) => this.sold.get(hash) };

  reserve(prepay: bigint, maxCost: bigint): void {
    const id = `r${this.#n++}`;
    const change = this.#try(
      "insufficient_funds",
      () => buyer.reserve(this.buyer, { id, maxCost, prepay, deadlineMs: 0 }),
    );
    if (change === undefined) return;
    this.#bought(change);
    this.openings.push({ id, maxCost, prepay, taken: this.#taken(prepay) });
  }

  admit(at: number): void {
    const opening = take(this.openings, at);
    if (opening === undefined) return;
    const { id, maxCost, prepay, taken } = opening;
    // An honest executor admits whatever an honest client sends, in whatever order it comes.
    this.#sold(
      seller.admit(
        this.seller,
        { requestHash: hashOf(id), maxCost },
        taken,
        // What is given up here is not meant to end the channel.
        { prepay, step: toCost(OPEN.deposit) },
        this.lookup,
      ),
    );
  }

  pay(at: number, more: bigint): void {
    const request = this.#pick(
      this.bought.values(),
      at,
      ({ state, id }) => state === "open" && this.sold.has(hashOf(id)),
    );
    if (request === undefined) return;
    const total = request.paid + more < request.maxCost ? request.paid + more : request.maxCost;
    this.#bought(buyer.pay(this.buyer, request, total));
    this.vouchers.push({ id: request.id, taken: this.#taken(total) });
  }

  take(at: number): void {
    const message = take(this.vouchers, at);
    if (message === undefined) return;
    const request = this.sold.get(hashOf(message.id))!;
    this.#sold(seller.takeVoucher(this.seller, request, message.taken, this.lookup));
  }

  finish(at: number, share: number): void {
    const request = this.#pick(this.sold.values(), at, ({ state }) => state === "open");
    if (request === undefined) return;
    const cost = request.maxCost * BigInt(share) / 100n;
    const responseHash = hashOf(`response ${request.requestHash}`);
    const change = seller.settleTab(this.seller, request, { responseHash, cost });
    this.#sold({ channel: change.channel, requests: [change.request] });
    const id = [...this.bought.keys()].find((one) => hashOf(one) === request.requestHash)!;
    this.receipts.push({ id, cost });
  }

  settle(at: number): void {
    const receipt = take(this.receipts, at);
    const request = receipt && this.bought.get(receipt.id);
    if (request?.state !== "open") return;
    const requestHash = hashOf(request.id);
    const response = { requestHash, inboundTokens: 3, outboundTokens: 4 } as LlmResponseCommitment;
    const responseHash = hashOf(`response ${requestHash}`);
    const { cost } = receipt!;
    const missing = cost > request.paid;
    this.#bought(buyer.settle(keccak256, this.buyer, request, { response, responseHash, cost }));
    this.leaves.push(requestHash);
    if (missing) this.vouchers.push({ id: request.id, taken: this.#taken(cost) });
  }

  /** The stream of a request breaks: what is on its way on it is lost. */
  cut(at: number): void {
    const request = this.#pick(this.bought.values(), at, ({ state }) => state === "open");
    if (request === undefined) return;
    for (const list of [this.openings, this.vouchers, this.receipts]) {
      for (let i = list.length; i-- > 0;) if (list[i]!.id === request.id) list.splice(i, 1);
    }
    this.#bought(buyer.abandon(this.buyer, request, true));
    this.closeTab(request.id);
  }

  /** The executor waits no longer for what is still to be paid, which may yet come. */
  closeTab(id: string): void {
    const sold = this.sold.get(hashOf(id));
    if (sold === undefined) return;
    const change = seller.closeTab(this.seller, sold, sold.paid + 1n);
    this.#sold({ channel: change.channel, requests: [change.request] });
  }

  giveUp(at: number): void {
    const request = this.#pick(this.sold.values(), at, ({ state }) => state === "settling");
    if (request === undefined) return;
    const change = seller.closeTab(this.seller, request, request.cost);
    this.#sold({ channel: change.channel, requests: [change.request] });
  }

  check(): void {
    const { buyer: b, seller: s } = this;
    assert(b.signed >= this.signedBefore, "a client never signs less than it has signed");
    this.signedBefore = b.signed;
    assert(b.signed <= b.deposit && b.signed >= toAmount(b.spent + b.inFlight));
    assert(b.spent + b.reserved <= toCost(b.deposit));
    assert(seller.coveredBy(s) >= toAmount(s.spent + s.inFlight), "what is served is covered");
    assert(seller.coveredBy(s) <= b.signed, "an executor holds no more than was signed");
    for (const account of [b, s]) {
      assert(account.spent >= 0n && account.inFlight >= 0n && account.reserved >= account.inFlight);
    }
    assert(s.unpaid >= 0n);
    assert(s.acknowledged <= b.requests);
  }

  #taken(paid: bigint): seller.TakenVoucher {
    const voucher: Voucher | undefined = buyer.voucherOf(this.buyer);
    if (voucher === undefined) return { paid, first: 0, receipts: [] };
    const first = this.seller.acknowledged;
    return { paid, signed: { voucher, signature }, first, receipts: this.leaves.slice(first) };
  }

  #try<T>(code: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      assert(error instanceof LloomError && error.code === code, String(error));
      return undefined;
    }
  }

  #pick<T>(all: Iterable<T>, at: number, wanted: (one: T) => boolean): T | undefined {
    const list = [...all].filter(wanted);
    return list[at % Math.max(1, list.length)];
  }

  #bought({ channel, request }: buyer.BuyerChange): void {
    this.buyer = channel;
    this.bought.set(request.id, request);
  }

  #sold({ channel, requests }: seller.SellerChange): void {
    this.seller = channel;
    for (const request of requests) this.sold.set(request.requestHash, request);
  }
}

const at = fc.nat(7);
const money = fc.bigInt(0n, 40_000_000n);
type Step = (pair: Pair) => void;
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(money, money).map(([a, b]): Step => (p) => p.reserve(a < b ? a : b, a < b ? b : a)),
  at.map((n): Step => (p) => p.admit(n)),
  at.map((n): Step => (p) => p.admit(n)),
  fc.tuple(at, money).map(([n, more]): Step => (p) => p.pay(n, more)),
  at.map((n): Step => (p) => p.take(n)),
  fc.tuple(at, fc.nat(100)).map(([n, share]): Step => (p) => p.finish(n, share)),
  at.map((n): Step => (p) => p.settle(n)),
  at.map((n): Step => (p) => p.cut(n)),
  at.map((n): Step => (p) => p.giveUp(n)),
);

Deno.test("an honest client and an honest executor agree, whatever is lost or overtaken", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 120, size: "max" }), (steps) => {
      const pair = new Pair();
      for (const one of steps) {
        one(pair);
        pair.check();
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("once all is delivered, both have spent the same, and the root covers every receipt", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(money, money, fc.nat(100)), { maxLength: 12 }), (wanted) => {
      const pair = new Pair();
      for (const [a, b, share] of wanted) {
        pair.reserve(a < b ? a : b, a < b ? b : a);
        pair.admit(0);
        pair.finish(0, share);
        pair.settle(0);
        pair.take(0);
        pair.check();
      }
      assert.equal(pair.buyer.spent, pair.seller.spent);
      assert.equal(pair.seller.unpaid, 0n);
      pair.reserve(0n, 0n);
      pair.admit(0);
      assert.equal(pair.seller.acknowledged, pair.buyer.requests);
      assert.deepEqual(pair.seller.peaks, pair.buyer.peaks);
    }),
    { numRuns: 100 },
  );
});

/** A channel with one request admitted, of at most 100 units, 10 of them paid. */
function served(): { channel: seller.SellerChannel; request: seller.SellerRequest } {
  const channel = seller.newSellerChannel(CHANNEL, TERMS, OPEN);
  const { channel: after, requests: [request] } = seller.admit(
    channel,
    { requestHash: hashOf("a"), maxCost: toCost(100n) },
    { paid: toCost(10n), signed: voucher({ cumulativeAmount: 10n }), first: 0, receipts: [] },
    { prepay: toCost(10n), step: STEP },
    NOTHING,
  );
  return { channel: after, request };
}

function voucher(fields: Partial<Voucher>): { voucher: Voucher; signature: Uint8Array } {
  return {
    signature,
    voucher: {
      channelId: CHANNEL,
      cumulativeAmount: 0n,
      requests: 0n,
      inboundTokens: 0n,
      outboundTokens: 0n,
      receiptsRoot: ZERO_HASH,
      ...fields,
    },
  };
}

const NOTHING: seller.SellerLookup = { keccak256, request: () => undefined };
const code = (wanted: string) => (error: unknown) =>
  error instanceof LloomError && error.code === wanted;

Deno.test("a voucher that covers less than is claimed, or is for another channel, is refused", () => {
  const { channel, request } = served();
  const take = (paid: bigint, fields: Partial<Voucher>, receipts: readonly Hash[] = []) =>
    seller.takeVoucher(
      channel,
      request,
      { paid: toCost(paid), signed: voucher(fields), first: 0, receipts },
      NOTHING,
    );
  assert.throws(() => take(20n, { cumulativeAmount: 19n }), code("voucher_invalid"));
  assert.throws(() => take(20n, { cumulativeAmount: 5n }), code("voucher_invalid"));
  assert.throws(
    () => take(20n, { cumulativeAmount: 20n, channelId: ZERO_HASH }),
    code("voucher_invalid"),
  );
  assert.throws(() => take(101n, { cumulativeAmount: 200n }), code("voucher_invalid"));
  assert.throws(() => take(20n, { cumulativeAmount: 20n, requests: 1n }), code("voucher_invalid"));
  assert.throws(
    () => take(20n, { cumulativeAmount: 20n, requests: 1n }, [hashOf("never served")]),
    code("voucher_invalid"),
  );
  assert.equal(take(20n, { cumulativeAmount: 20n }).requests[0].paid, toCost(20n));
});

Deno.test("a voucher above the deposit counts up to the deposit", () => {
  const { channel, request } = served();
  const taken = { paid: toCost(50n), signed: voucher({ cumulativeAmount: 5000n }) };
  const after = seller.takeVoucher(channel, request, { ...taken, first: 0, receipts: [] }, NOTHING);
  assert.equal(seller.redeemable(after.channel), OPEN.deposit);
});

Deno.test("one that does not pay is not served again, until it acknowledges what it owes", () => {
  let { channel, request } = served();
  const cost = toCost(100n);
  const responseHash = hashOf("response");
  ({ channel, request } = seller.settleTab(channel, request, { responseHash, cost }));
  ({ channel, request } = seller.closeTab(channel, request, cost));
  assert.equal(request.state, "unpaid");
  assert.equal(channel.unpaid, toCost(90n));
  const again = (taken: seller.TakenVoucher, lookup = NOTHING) =>
    seller.admit(
      channel,
      { requestHash: hashOf("b"), maxCost: 0n },
      taken,
      { prepay: 0n, step: STEP },
      lookup,
    );
  assert.throws(() => again({ paid: 0n, first: 0, receipts: [] }), code("payment_required"));
});

Deno.test("a channel that closes, or whose executor agreed to close, serves no more", () => {
  const { channel, request } = served();
  assert.throws(() => seller.consentToClose(channel), code("overloaded"));
  const idle = seller.closeTab(channel, request, toCost(10n)).channel;
  const { channel: consented, finalAmount } = seller.consentToClose(idle);
  assert.equal(finalAmount, 10n);
  const closing = seller.viewedBySeller(idle, { ...OPEN, status: "closing", closesAt: 9 });
  for (const one of [consented, closing]) {
    assert.throws(
      () =>
        seller.admit(
          one,
          { requestHash: hashOf("b"), maxCost: 0n },
          { paid: 0n, first: 0, receipts: [] },
          { prepay: 0n, step: STEP },
          NOTHING,
        ),
      code("channel_unusable"),
    );
  }
  assert.equal(seller.redeemable(closing), 10n);
});

Deno.test("a request gets one receipt, and a client pays no more than it set aside", () => {
  const { channel, request } = served();
  const receipt = { responseHash: hashOf("response"), cost: toCost(5n) };
  const done = seller.settleTab(channel, request, receipt);
  assert.equal(done.request.state, "done");
  assert.throws(() => seller.settleTab(done.channel, done.request, receipt), TypeError);
  const bought = buyer.reserve(buyer.newBuyerChannel(CHANNEL, TERMS, OPEN), {
    id: "a",
    maxCost: toCost(100n),
    prepay: 0n,
    deadlineMs: 0,
  });
  assert.throws(() => buyer.pay(bought.channel, bought.request, toCost(101n)), code("overcharged"));
});

const SMALL = { id: "a", maxCost: toCost(100n), prepay: toCost(10n), deadlineMs: 0 };

Deno.test("whatever is said to be settled, a client signs no more than it counted, and pays no more from there", () => {
  for (const deposit of [OPEN.deposit, 10n ** 20n]) {
    const lie = { ...OPEN, deposit, settled: 300n };
    const fresh = buyer.newBuyerChannel(CHANNEL, TERMS, OPEN);
    for (
      const seen of [buyer.viewedByBuyer(fresh, lie), buyer.newBuyerChannel(CHANNEL, TERMS, lie)]
    ) {
      assert.equal(seen.signed, 0n);
      assert.throws(() => buyer.reserve(seen, SMALL), code("channel_unusable"));
      // The next endpoint says how it is.
      const corrected = buyer.viewedByBuyer(seen, OPEN);
      assert.equal(buyer.reserve(corrected, SMALL).channel.signed, 10n);
    }
  }
});

/** One request that is offered to an executor with these lost or left payments. */
function offered(bought: buyer.BuyerChannel, sold: seller.SellerChannel, n: number) {
  const { channel, request } = buyer.reserve(bought, { ...SMALL, id: `${n}` });
  const voucher = buyer.voucherOf(channel)!;
  const taken = {
    signed: { voucher, signature: new Uint8Array(65) },
    ...{ paid: SMALL.prepay, first: channel.requests, receipts: [] },
  };
  const wanted = { requestHash: hashOf(`offered ${n}`), maxCost: SMALL.maxCost };
  const terms = { prepay: SMALL.prepay, step: toCost(1000n) };
  const lookup = { keccak256, request: () => undefined };
  const admit = () => seller.admit(sold, wanted, taken, terms, lookup);
  return { channel, request, admit };
}

Deno.test("an executor that charged what its client counts as refused agrees again after one refusal", () => {
  // The executor charged the prepayment: it crashed between its refusal and the end of its account.
  const first = offered(
    buyer.newBuyerChannel(CHANNEL, TERMS, OPEN),
    seller.newSellerChannel(CHANNEL, TERMS, OPEN),
    1,
  );
  const admitted = first.admit();
  const sold = seller.closeTab(admitted.channel, admitted.requests[0], SMALL.prepay).channel;
  const bought = buyer.abandon(first.channel, first.request, false).channel;
  const second = offered(bought, sold, 2);
  assert.throws(second.admit, code("voucher_invalid"));
  const agreed = buyer.disown(second.channel, second.request, bought.refusals).channel;
  const third = offered(agreed, sold, 3);
  third.admit();
  assert.equal(buyer.heard(third.channel).refusals, 0);
});

Deno.test("a channel whose payments are refused three times in a row is out of use, however many began at once", () => {
  let channel = buyer.newBuyerChannel(CHANNEL, TERMS, OPEN);
  for (let round = 0; round < 3; round++) {
    assert.equal(buyer.unusableReason(channel), undefined);
    const { refusals } = channel;
    const requests = [0, 1, 2, 3].map((n) => {
      const change = buyer.reserve(channel, { ...SMALL, id: `${round} ${n}` });
      channel = change.channel;
      return change.request;
    });
    for (const request of requests) channel = buyer.disown(channel, request, refusals).channel;
  }
  assert.equal(channel.reserved, 0n);
  assert.throws(() => buyer.reserve(channel, SMALL), code("channel_unusable"));
});
