import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { RpcProxy } from "../../../tests/support/rpc_proxy.ts";
import { Endpoints } from "./endpoints.ts";
import type { Rpc } from "./rpc.ts";

const CONTRACT = `0x${"c0".repeat(20)}` as const;
/** Nobody answers there: the proxies of these tests answer everything themselves. */
const NOWHERE = "http://127.0.0.1:1";

/** When these tests begin, in Unix seconds. */
const BEGIN_S = 1_700_000_000;

/** An endpoint that knows a chain of number 5. */
class FakeEndpoint extends RpcProxy {
  chainId = "0x5";
  code = "0x60";
  head = 100;
  /** Unix seconds of its newest block. */
  timestamp = BEGIN_S;
  isDead = false;

  constructor(readonly name: string) {
    super(NOWHERE);
    this.interfere = (method) => {
      if (this.isDead) throw new Error("dead");
      if (method === "eth_chainId") return this.chainId;
      if (method === "eth_getCode") return this.code;
      if (method === "eth_getBlockByNumber") {
        return {
          number: `0x${this.head.toString(16)}`,
          timestamp: `0x${this.timestamp.toString(16)}`,
        };
      }
      return this.name;
    };
  }
}

async function withEndpoints(
  run: (
    a: FakeEndpoint,
    b: FakeEndpoint,
    ask: () => Promise<unknown>,
    clock: ManualClock,
    endpoints: Endpoints,
  ) => Promise<void>,
): Promise<void> {
  await using a = new FakeEndpoint("a");
  await using b = new FakeEndpoint("b");
  const clock = new ManualClock(1000 * BEGIN_S);
  const rpcUrls = [a.rpcUrl, b.rpcUrl];
  const endpoints = new Endpoints({ rpcUrls, chainId: 5n, contract: CONTRACT }, { clock });
  const ask = () => endpoints.use((rpc: Rpc) => rpc("who", []));
  await run(a, b, ask, clock, endpoints);
  endpoints.close();
}

Deno.test("the first endpoint is asked while it answers, then the next, and the first again when it is back", () =>
  withEndpoints(async (a, _b, ask, clock) => {
    assert.equal(await ask(), "a");
    a.isDead = true;
    assert.equal(await ask(), "b");
    const asked = a.asked.length;
    assert.equal(await ask(), "b");
    assert.equal(a.asked.length, asked, "asked while it rests");
    a.isDead = false;
    clock.advance(60_000);
    await ask(); // looks at it in passing
    await ask();
    assert.equal(await ask(), "a");
  }));

Deno.test("while no other is left, an endpoint is tried again every second, however long it rests", () =>
  withEndpoints(async (a, b, ask, clock) => {
    a.isDead = b.isDead = true;
    for (let tries = 0; tries < 8; tries++) {
      await assert.rejects(ask(), { code: "chain_unavailable", retryAfterMs: 1000 });
      const asked = a.asked.length;
      await assert.rejects(ask(), { code: "chain_unavailable" });
      assert.equal(a.asked.length, asked, "asked twice in a second");
      clock.advance(1000);
    }
    a.isDead = false;
    assert.equal(await ask(), "a");
  }));

Deno.test("an endpoint of another chain, or without the contract, is never asked", () =>
  withEndpoints(async (a, b, ask, clock) => {
    a.chainId = "0x6";
    assert.equal(await ask(), "b");
    assert.ok(!a.asked.includes("who"));
    b.code = "0x";
    b.isDead = true;
    await assert.rejects(ask, { code: "chain_unavailable" });
    b.isDead = false;
    clock.advance(60_000);
    assert.equal(await ask(), "b"); // its contract was seen before
  }));

Deno.test("endpoints that are all of another chain are named so", () =>
  withEndpoints(async (a, b, ask) => {
    a.chainId = "0x6";
    b.code = "0x";
    await assert.rejects(ask, { code: "chain_mismatch" });
  }));

Deno.test("an endpoint that became one of another chain is passed over at the next look", () =>
  withEndpoints(async (a, _b, ask, clock) => {
    assert.equal(await ask(), "a");
    a.chainId = "0x6";
    clock.advance(20_000);
    assert.equal(await ask(), "b");
  }));

Deno.test("an endpoint far behind those before it is passed over until it has caught up", () =>
  withEndpoints(async (a, b, ask, clock) => {
    b.head = 50;
    assert.equal(await ask(), "a");
    a.isDead = true;
    await assert.rejects(ask, { code: "chain_unavailable" });
    b.head = 99;
    clock.advance(20_000);
    assert.equal(await ask(), "b");
  }));

Deno.test("an endpoint that stands still by the time of its own blocks yields to those after it", () =>
  withEndpoints(async (a, b, ask, clock) => {
    a.timestamp = BEGIN_S - 3600;
    b.head = 200;
    assert.equal(await ask(), "b");
    a.head = 199;
    clock.advance(20_000);
    assert.equal(await ask(), "a");
  }));

Deno.test("an endpoint that names a block far ahead does not become the only one asked", () =>
  withEndpoints(async (_a, b, ask, clock) => {
    assert.equal(await ask(), "a");
    b.head = 2 ** 50;
    for (let i = 0; i < 3; i++) {
      clock.advance(60_000);
      assert.equal(await ask(), "a");
    }
  }));

Deno.test("an endpoint whose newest block is of the future, or further on than a chain can be, is passed over", async (test) => {
  await test.step("of the future", () =>
    withEndpoints(async (a, _b, ask) => {
      a.timestamp = BEGIN_S + 3600;
      assert.equal(await ask(), "b");
    }));
  await test.step("further on than it can be", () =>
    withEndpoints(async (a, _b, ask, clock) => {
      assert.equal(await ask(), "a");
      a.head = 2 ** 50;
      clock.advance(20_000);
      assert.equal(await ask(), "b");
      a.head = 102;
      clock.advance(20_000);
      assert.equal(await ask(), "a");
    }));
});

Deno.test("an endpoint that answers nonsense is passed over; an answer about the question is not", () =>
  withEndpoints(async (_a, _b, _ask, _clock, endpoints) => {
    const strict = (rpc: Rpc) =>
      rpc("who", []).then((who) => {
        if (who === "a") throw new TypeError("nonsense");
        return who;
      });
    assert.equal(await endpoints.use(strict), "b");
    const refuse = () => Promise.reject(new LloomError("transaction_failed", "reverted"));
    await assert.rejects(endpoints.use(refuse), { code: "transaction_failed" });
  }));

Deno.test("neither errors nor their causes show what is in an endpoint's URL", async () => {
  const rpcUrls = ["http://127.0.0.1:1/key-of-its-owner", "ws://127.0.0.1:1/key-of-its-owner"];
  const clock = new ManualClock();
  const endpoints = new Endpoints({ rpcUrls, chainId: 5n, contract: CONTRACT }, { clock });
  await assert.rejects(endpoints.use((rpc) => rpc("who", [])), (error: unknown) => {
    assert.ok(!Deno.inspect(error).includes("key-of-its-owner"));
    return true;
  });
  endpoints.close();
});
