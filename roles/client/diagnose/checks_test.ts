import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { ZERO_ADDRESS } from "@lloom/core/bytes";
import { FREE_DOMAIN } from "@lloom/core/signing";
import fc from "fast-check";
import { checkEndpoints } from "./chain_checks.ts";
import { check, failed, ok, warning } from "./check.ts";
import { checkClock } from "./clock_check.ts";
import { checkPeers, checkReach, checkRegistries } from "./network_checks.ts";

const NOW_MS = 1_700_000_000_000;
const offsets = (...ms: number[]) => ms.map((clockMs) => ({ clockMs }));
const clock = (ms: number[], blockS?: number) =>
  checkClock({ asked: offsets(...ms), nowMs: NOW_MS, ...(blockS !== undefined && { blockS }) });

Deno.test("a check that throws has failed, with the error's code and the remedy", async () => {
  const thrown = () => {
    throw new LloomError("chain_mismatch", "another chain");
  };
  assert.deepEqual(await check("chain", thrown, "name another"), [
    { name: "chain", ...failed("chain_mismatch", "another chain", "name another") },
  ]);
  assert.deepEqual(await check("two", () => [ok("a"), warning("b", "c")]), [
    { name: "two", ...ok("a") },
    { name: "two", ...warning("b", "c") },
  ]);
});

Deno.test("an interrupt is no finding", async () => {
  const interrupted = () => {
    throw new LloomError("aborted", "stopped");
  };
  await assert.rejects(check("any", interrupted), { code: "aborted" });
});

Deno.test("a clock more than 30 seconds from the middle of all peers fails, either way", () => {
  assert.deepEqual(clock([100, -200, 300]).state, "ok");
  const ahead = clock([40_000, 41_000, 0]);
  assert.equal(ahead.state, "failed");
  assert.match(ahead.finding, /40 seconds ahead of the peers; executors allow 30 seconds/);
  assert.match(clock([-200_000]).finding, /3 minutes behind the peers/);
});

Deno.test("few peers whose clocks are wrong do not make this one wrong", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: -30_000, max: 30_000 }), { minLength: 1, maxLength: 20 }),
    fc.array(fc.integer(), { maxLength: 19 }),
    (honest, liars) => {
      const { state } = clock([...honest, ...liars.slice(0, honest.length - 1)]);
      assert.notEqual(state, "failed");
    },
  ));
  const { state, finding } = clock([0, 0, 1e6]);
  assert.deepEqual([state, /1 of 3 disagree/.test(finding)], ["warning", true]);
});

Deno.test("a block dated ahead shows that the clock is behind; an old block shows nothing", () => {
  const nowS = NOW_MS / 1000;
  assert.match(clock([0], nowS + 90).finding, /90 seconds behind the chain's newest block/);
  assert.equal(clock([0], nowS - 1e6).state, "ok");
  assert.equal(clock([], nowS).state, "ok");
  assert.equal(clock([]).state, "skipped");
});

const CHAIN = {
  chainId: 31337n,
  contract: ZERO_ADDRESS,
  asset: ZERO_ADDRESS,
  domain: FREE_DOMAIN,
};
const endpoint = (host: string, ageS: number) => ({
  ...{ host, ms: 5 },
  head: { number: 12n, timestamp: NOW_MS / 1000 - ageS },
});
const dead = (host: string) => ({
  ...{ host, ms: 5 },
  error: new LloomError("chain_unavailable", "reach chain: no endpoint answers sensibly"),
});

Deno.test("an endpoint that fails is a warning beside one that works, and else a failure", () => {
  const both = checkEndpoints([endpoint("a", 12), dead("b")], CHAIN, NOW_MS);
  assert.deepEqual(both.map(({ state }) => state), ["ok", "warning"]);
  assert.match(both[0]!.finding, /^a: chain 31337 .*block 12 of 12 seconds ago, after 5 ms$/);
  const [alone] = checkEndpoints([dead("b")], CHAIN, NOW_MS);
  assert.deepEqual([alone!.state, alone!.code], ["failed", "chain_unavailable"]);
});

Deno.test("an endpoint whose newest block is old is told apart from one in time", () => {
  const [old] = checkEndpoints([endpoint("a", 7200)], CHAIN, NOW_MS);
  assert.equal(old!.state, "warning");
  assert.match(old!.finding, /block 12 of 2 hours ago/);
});

const error = new LloomError("peer_unreachable", "open stream: no route");

Deno.test("peers that do not answer fail only where none does", () => {
  const mute = { peerId: "p", ms: 9, named: [], error };
  const answering = { peerId: "q", ms: 3, named: [] };
  for (const look of [checkRegistries, checkReach]) {
    assert.equal(look([]).state, "skipped");
    assert.equal(look([mute]).code, "peer_unreachable");
    assert.match(look([mute, answering]).finding, /1 of 2 .* the fastest in 3 ms/);
  }
  assert.equal(checkPeers([]).state, "failed");
});
