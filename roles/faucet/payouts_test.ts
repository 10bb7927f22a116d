import assert from "node:assert/strict";
import { type Address, type Hash, ZERO_ADDRESS } from "@lloom/core/bytes";
import { LloomError } from "@lloom/core/errors";
import type { Intent } from "@lloom/core/payments/chain";
import { SqliteFaucetStore } from "@lloom/host/stores";
import { type MailedToken, sentTokens } from "../../tests/support/faucet.ts";
import { Payouts } from "./payouts.ts";
import { hashOfToken, TOKEN_LIFE_MS } from "./requests.ts";

const ACCOUNT: Address = `0x${"fa".repeat(20)}`;
const ANN: Address = `0x${"a1".repeat(20)}`;
const ETH = { address: ZERO_ADDRESS, symbol: "ETH", decimals: 18 };

/** A chain with an outbox that pays when it is told to. */
class FakeChain {
  readonly account = ACCOUNT;
  readonly balances = new Map<Address, bigint>([[ACCOUNT, 10_000n]]);
  readonly submitted = new Map<string, Intent>();
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();
  down = false;

  balance(_asset: Address, account: Address): Promise<bigint> {
    if (this.down) return Promise.reject(new LloomError("chain_unavailable", "read: no endpoint"));
    return Promise.resolve(this.balances.get(account) ?? 0n);
  }

  gasCost(): Promise<bigint> {
    return Promise.resolve(21n);
  }

  submit(intent: Intent): Promise<void> {
    const known = this.submitted.get(intent.key);
    if (known !== undefined) assert.deepEqual(intent, known);
    this.submitted.set(intent.key, intent);
    return Promise.resolve();
  }

  async confirmed(key: string, signal?: AbortSignal) {
    const stopped = new Promise<never>((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason))
    );
    await Promise.race([this.#end(key).promise, stopped]);
    return { transactionHash: `0x${"77".repeat(32)}` as Hash, blockNumber: 7n };
  }

  /** What the outbox has under way is executed, or refused. */
  async settle(how: "executed" | "refused" = "executed"): Promise<void> {
    for (const { key, to, value } of this.submitted.values()) {
      if (how === "refused") {
        this.#end(key).reject(new LloomError("transaction_failed", "execute: reverted"));
      } else {
        this.balances.set(to, (this.balances.get(to) ?? 0n) + value);
        this.#end(key).resolve();
      }
    }
    await new Promise((resolve) => setTimeout(resolve)); // whoever waits hears of it
  }

  #end(key: string): PromiseWithResolvers<void> {
    const end = this.#ends.get(key) ?? Promise.withResolvers<void>();
    this.#ends.set(key, end);
    return end;
  }
}

interface Bench {
  readonly chain: FakeChain;
  readonly store: SqliteFaucetStore;
  readonly payouts: Payouts;
  readonly clock: { ms: number; now(): number };
  readonly token: (recipient?: Address) => Promise<string>;
}

async function bench(use: (bench: Bench) => Promise<void>): Promise<void> {
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const chain = new FakeChain();
  const store = new SqliteFaucetStore(":memory:");
  const payouts = new Payouts({ asset: ETH, target: 1000n }, {
    ...{ store, clock },
    reader: chain,
    outbox: chain,
  });
  let made = 0;
  const token = async (recipient = ANN): Promise<string> => {
    const [mailed] = await sentTokens({ store, clock }, [{
      email: `person${made++}@example.org`,
      ethereumAddress: recipient,
      source: `source${made}`,
    }]);
    return (mailed as MailedToken).token;
  };
  try {
    await use({ chain, store, payouts, clock, token });
  } finally {
    await payouts.stop();
    store.close();
  }
}

Deno.test("a token fills its account up, then tells of its payment", () =>
  bench(async ({ chain, payouts, token }) => {
    chain.balances.set(ANN, 300n);
    const text = await token();
    assert.equal(payouts.look(text).state, "open");
    assert.deepEqual(await payouts.redeem(text), {
      state: "pending",
      recipient: ANN,
      amount: 700n,
    });
    assert.equal(payouts.look(text).state, "pending");
    await chain.settle();
    const paid = await payouts.redeem(text);
    assert.equal(paid.state, "paid");
    assert.equal(chain.balances.get(ANN), 1000n);
    assert.equal(chain.submitted.size, 1);
  }));

Deno.test("a token redeemed many times at the same moment pays once", () =>
  bench(async ({ chain, payouts, token }) => {
    const text = await token();
    const payoutsSeen = await Promise.all(Array.from({ length: 20 }, () => payouts.redeem(text)));
    for (const { state } of payoutsSeen) assert.equal(state, "pending");
    assert.equal(chain.submitted.size, 1);
  }));

Deno.test("two tokens of one account at the same moment fill it up once", () =>
  bench(async ({ chain, payouts, token }) => {
    const [first, second] = [await token(), await token()];
    const states = await Promise.all([payouts.redeem(first), payouts.redeem(second)]);
    assert.deepEqual(states.map(({ state }) => state), ["pending", "enough"]);
    await chain.settle();
    assert.equal(chain.balances.get(ANN), 1000n);
    assert.equal((await payouts.redeem(second)).state, "enough");
  }));

Deno.test("an account that has enough is not paid, and its token is as it was", () =>
  bench(async ({ chain, payouts, token }) => {
    chain.balances.set(ANN, 1000n);
    const text = await token();
    assert.equal((await payouts.redeem(text)).state, "enough");
    chain.balances.set(ANN, 999n);
    assert.deepEqual(await payouts.redeem(text), { state: "pending", recipient: ANN, amount: 1n });
  }));

Deno.test("a token expires, unless it was redeemed", () =>
  bench(async ({ payouts, clock, token }) => {
    const [used, unused] = [await token(), await token(`0x${"b0".repeat(20)}`)];
    await payouts.redeem(used);
    clock.ms += TOKEN_LIFE_MS;
    assert.equal((await payouts.redeem(used)).state, "pending");
    assert.throws(() => payouts.look(unused), { code: "token_expired" });
    assert.throws(() => payouts.redeem(unused), { code: "token_expired" });
  }));

Deno.test("what is no token, or nobody's, is unknown", () =>
  bench(async ({ payouts, token }) => {
    const text = await token();
    const other = text.slice(0, -1) + (text.endsWith("A") ? "B" : "A");
    for (const bad of ["", "x", text.slice(1), `${text}A`, other, "A".repeat(43), "é".repeat(43)]) {
      assert.throws(() => payouts.look(bad), { code: "token_unknown" }, bad);
    }
  }));

Deno.test("while the chain is away or the faucet empty, a token stays good", () =>
  bench(async ({ chain, payouts, token }) => {
    const text = await token();
    chain.down = true;
    await assert.rejects(payouts.redeem(text), { code: "unavailable" });
    chain.down = false;
    chain.balances.set(ACCOUNT, 1000n);
    await assert.rejects(payouts.redeem(text), { code: "unavailable", message: /empty/ });
    assert.equal(chain.submitted.size, 0);
    chain.balances.set(ACCOUNT, 1021n);
    assert.equal((await payouts.redeem(text)).state, "pending");
  }));

Deno.test("what was promised and not submitted before a crash is submitted after it, once", () =>
  bench(async ({ chain, store, payouts, clock, token }) => {
    const text = await token();
    const lost = new Payouts({ asset: ETH, target: 1000n }, {
      ...{ store, clock },
      reader: chain,
      outbox: {
        ...chain,
        account: ACCOUNT,
        submit: () => new Promise(() => {}),
        confirmed: () => new Promise(() => {}),
      },
    });
    void lost.redeem(text); // never returns: the process ends in the middle of it
    while (store.promised().length === 0) await Promise.resolve();
    assert.equal(chain.submitted.size, 0);
    chain.balances.set(ANN, 500n); // must not change what was promised
    await payouts.resume();
    await payouts.resume();
    assert.equal(chain.submitted.size, 1);
    await chain.settle();
    assert.equal(payouts.look(text).state, "paid");
    assert.equal(chain.balances.get(ANN), 1500n);
  }));

Deno.test("a payment that the chain refuses is told, and its person may ask again", () =>
  bench(async ({ chain, payouts, store, clock, token }) => {
    const text = await token();
    await payouts.redeem(text);
    await chain.settle("refused");
    assert.deepEqual(await payouts.redeem(text), { state: "failed", recipient: ANN });
    const again = { email: "person0@example.org", ethereumAddress: ANN, source: "elsewhere" };
    assert.equal((await sentTokens({ store, clock }, [again])).length, 1);
  }));

Deno.test("a promise so old that the outbox may have forgotten it is not paid again", () =>
  bench(async ({ chain, store, payouts, clock, token }) => {
    const text = await token();
    store.promise(hashOfToken(text)!, 1000n);
    clock.ms += 30 * 86_400_000;
    await payouts.resume();
    assert.equal(payouts.look(text).state, "failed");
    assert.equal(chain.submitted.size, 0);
  }));
