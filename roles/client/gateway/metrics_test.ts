import { LloomError } from "@lloom/core/errors";
import assert from "node:assert/strict";
import {
  endOf,
  FakeEngine,
  type FakeScript,
  sayingSteps,
} from "../../../tests/support/fake_engine.ts";
import type { Ask } from "./answer.ts";
import { GatewayMetrics } from "./metrics.ts";

const FACTS = { executorsAvailable: 2, peersConnected: 3 };

/** Metrics, after questions with these scripts were each read to the end. */
async function after(...scripts: readonly FakeScript[]): Promise<GatewayMetrics> {
  const metrics = new GatewayMetrics();
  for (const script of scripts) {
    const answer = await metrics.metered(new FakeEngine(script)).ask(askOf());
    await Array.fromAsync(answer.pieces()).catch((error) => assert.ok(error instanceof LloomError));
  }
  return metrics;
}

function askOf(signal = new AbortController().signal): Ask {
  return { api: "chat", request: { model: "m" }, wishes: { cache: "use" }, signal };
}

/** The value of a metric. */
async function value(metrics: GatewayMetrics, name: string): Promise<string | undefined> {
  const lines = (await metrics.text(FACTS)).split("\n");
  return lines.find((line) => line.startsWith(`lloom_client_${name} `))?.split(" ").at(-1);
}

Deno.test("requests are counted by outcome, tokens and cost by what answers came to", async () => {
  const metrics = await after(
    { steps: sayingSteps("x") },
    { steps: [endOf({ cost: "0.5", asset: "USDC" })] },
    { steps: [endOf({ cached: true })], answering: { cached: true } },
    { before: [new LloomError("no_executor", "select executor: none")] },
  );
  assert.equal(await value(metrics, 'requests_total{api="chat",outcome="ok"}'), "3");
  assert.equal(await value(metrics, 'requests_total{api="chat",outcome="no_executor"}'), "1");
  assert.equal(await value(metrics, 'tokens_used_total{direction="out"}'), "6");
  assert.equal(await value(metrics, 'cost_total{asset="USDC"}'), "0.5");
  assert.equal(await value(metrics, 'cache_total{result="hit"}'), "1");
  assert.equal(await value(metrics, "active_requests"), "0");
  assert.equal(await value(metrics, "executors_available"), "2");
  assert.equal(await value(metrics, "peers_connected"), "3");
});

Deno.test("a client that leaves before it reads is no longer active", async () => {
  const metrics = new GatewayMetrics();
  const client = new AbortController();
  const engine = metrics.metered(new FakeEngine({ before: [new Promise(() => {})] }));
  await engine.ask(askOf(client.signal));
  assert.equal(await value(metrics, "active_requests"), "1");
  client.abort();
  assert.equal(await value(metrics, "active_requests"), "0");
  assert.equal(await value(metrics, 'requests_total{api="chat",outcome="aborted"}'), "1");
});

Deno.test("what is refused at once is counted, and not active", async () => {
  const metrics = new GatewayMetrics();
  const refusal = new LloomError("request_invalid", "parse request: no");
  await assert.rejects(metrics.metered(new FakeEngine({ refusal })).ask(askOf()), refusal);
  assert.equal(await value(metrics, 'requests_total{api="chat",outcome="request_invalid"}'), "1");
  assert.equal(await value(metrics, "active_requests"), "0");
});
