/** What the network survives: nodes that are killed, hidden, or gone. */
import assert from "node:assert/strict";
import type { LloomClient } from "@lloom/client";
import { Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";
import { type MockLlmServer, mockText } from "../support/mock_llm_server.ts";
import { ask, chat } from "../support/asking.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, fn });
}

test("with one of two validators killed, clients and executors join, and answers go on", async () => {
  await using network = await Network.open(2);
  const [first, second] = network.validators as [RunningRole, RunningRole];
  const mock = network.mock();
  await network.executor({ backends: [mock] });
  const before = await network.client();
  assert.equal((await ask(before)).text, mockText(16));

  await first.destroy();

  assert.equal((await ask(before)).text, mockText(16));
  const late = await network.executor({
    backends: [network.mock({ models: ["late-model"] })],
    listedBy: [second],
  });
  const client = await network.client();
  assert.equal((await ask(client)).text, mockText(16));
  const { receipt } = await ask(client, { model: "late-model" });
  assert.equal(receipt.executor.peerId, late.peerId);
});

/** Two executors of the same model, and a client that asks the first of them first. */
async function twoExecutors(network: Network): Promise<{
  readonly mocks: readonly [MockLlmServer, MockLlmServer];
  readonly executors: readonly [RunningRole, RunningRole];
  readonly client: LloomClient;
}> {
  const mocks = [network.mock(), network.mock()] as const;
  const start = (mock: MockLlmServer) => network.executor({ backends: [mock] });
  const executors = await Promise.all([start(mocks[0]), start(mocks[1])]);
  return { mocks, executors, client: await network.client() };
}

test("an executor killed before the first delta is replaced by the next one", async () => {
  await using network = await Network.open();
  const { mocks, executors, client } = await twoExecutors(network);
  mocks[0].options.failure = { kind: "hang", afterTokens: "headers" };
  const asked = mocks[0].nextRequest();
  const answer = ask(client, {}, {
    strategy: { type: "specific", names: executors.map(({ peerId }) => peerId) },
  });
  await asked;
  await executors[0].destroy();
  const { text, receipt } = await answer;
  assert.equal(text, mockText(16));
  assert.equal(receipt.executor.peerId, executors[1].peerId);
});

test("an executor killed in mid-stream ends the answer with stream_broken, and no other one is asked", async () => {
  await using network = await Network.open();
  const { mocks, executors, client } = await twoExecutors(network);
  mocks[0].options.failure = { kind: "hang", afterTokens: 5 };
  const completion = client.complete(chat(), {
    strategy: { type: "specific", names: executors.map(({ peerId }) => peerId) },
  });
  let pieces = 0;
  await assert.rejects(async () => {
    for await (const _ of completion) if (pieces++ === 0) await executors[0].destroy();
  }, { code: "stream_broken" });
  assert.ok(pieces > 0);
  await assert.rejects(completion.receipt, { code: "stream_broken" });
  assert.equal(mocks[1].requests.length, 0);
});

test("the client's program exits with 6 when its executor is killed in mid-stream", async () => {
  await using network = await Network.open();
  const mock = network.mock({ failure: { kind: "hang", afterTokens: 5 } });
  const executor = await network.executor({ backends: [mock] });
  const client = network.command(["--prompt", "hi", "--model", "mock-model"]);
  await client.printed(mockText(5));
  await executor.destroy();
  const { code, stdout, stderr } = await client.ended;
  assert.equal(code, 6);
  assert.equal(stdout, `${mockText(5)}\n`);
  assert.match(stderr, /^error: .* \(stream_broken\)\n$/);
});

test("an executor that listens only through a relay is found and answers", async () => {
  await using network = await Network.open();
  const executor = await network.executor({
    backends: [network.mock()],
    listen: "/p2p-circuit",
  });
  const { code, stdout, stderr } = await network.run(
    ...["--prompt", "hi", "--model", "mock-model", "--format", "json"],
  );
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).content, mockText(16));
  const listing = await network.run("--query-model", "mock-model", "--format", "json");
  const [{ peerId, multiaddrs }] = JSON.parse(listing.stdout).executors;
  assert.equal(peerId, executor.peerId);
  assert.ok(multiaddrs.length > 0);
  for (const address of multiaddrs) assert.match(address, /\/p2p-circuit\//);
});

test("with no validator left, a client finds another executor's model from one executor", async () => {
  await using network = await Network.open();
  const far = await network.executor({ backends: [network.mock({ models: ["far"] })] });
  await far.child.logged(/provider record lloom\/model\/far taken by 1 peers/);
  // Who comes later is given the record too.
  const near = await network.executor({
    backends: [network.mock({ models: ["near"] })],
    bootstrap: [...network.bootstrap, ...far.ready.multiaddrs],
  });
  await far.child.logged(/provider record lloom\/model\/far taken by 2 peers/);
  for (const validator of network.validators) await validator.destroy();
  const client = await network.client({
    bootstrapNodes: near.ready.multiaddrs,
    searchTimeoutMs: 30_000,
  });
  const { text, receipt } = await ask(client, { model: "far" });
  assert.equal(text, mockText(16));
  assert.equal(receipt.executor.peerId, far.peerId);
});
