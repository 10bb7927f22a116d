/** The client's program against a live network: what it prints where, and how it exits. */
import assert from "node:assert/strict";
import { verifyReceiptFile } from "@lloom/core/payments";
import { noblePrimitives } from "@lloom/core/signing";
import { type MockLlmServer, mockText } from "../support/mock_llm_server.ts";
import type { ChildResult } from "../support/child_process.ts";
import { kill, Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";

let network: Network;
let mock: MockLlmServer;
let first: RunningRole;
let second: RunningRole;
/** Looks for ten seconds, and so begins with the first test. */
let lookingInVain: Promise<ChildResult>;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  lookingInVain = network.run("--prompt", "hi", "--model", "nobody-has-it", "--format", "json");
  mock = network.mock();
  first = await network.executor({ backends: [mock] });
  const other = network.mock({ models: ["mock-model", "other-model"], tokens: 4 });
  second = await network.executor({ backends: [other] });
});

Deno.test.afterAll(() => network?.[Symbol.asyncDispose]());

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, fn });
}

const ASK = ["--prompt", "hi", "--model", "mock-model"];
/** Asks the first executor alone. */
const ASK_FIRST = () => [...ASK, "--strategy", "specific", "--executor", first.peerId];

test("--prompt prints the answer on standard output, and its log on standard error alone", async () => {
  const { code, stdout, stderr } = await network.run(...ASK_FIRST(), "--log-level", "debug");
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `${mockText(16)}\n`);
  assert.match(stderr, /\[DBG\] lloom·/);
  assert.equal((await network.run(...ASK_FIRST())).stderr, "");
});

test("--prompt with --format json prints one object with answer, usage and proof", async () => {
  const { code, stdout } = await network.run(
    ...ASK_FIRST(),
    ...["--format", "json", "--max-tokens", "3", "--system-prompt", "Be brief."],
  );
  assert.equal(code, 0);
  assert.equal(stdout.trimEnd().split("\n").length, 1);
  const report = JSON.parse(stdout);
  assert.equal(report.content, mockText(3));
  const proven = verifyReceiptFile(new TextEncoder().encode(stdout), noblePrimitives);
  assert.equal(proven.answer, mockText(3));
  assert.equal(proven.asked.maxTokens, 3);
  assert.equal(report.finish, "length");
  assert.equal(report.usage.completionTokens, 3);
  assert.equal(report.executor.peerId, first.peerId);
  assert.equal(report.request.message.maxTokens, 3);
  assert.deepEqual(JSON.parse(report.request.body).messages[0], {
    role: "system",
    content: "Be brief.",
  });
});

test("--strategy specific asks the named executor, by PeerId or by address", async () => {
  for (const [name, executor] of [[first.peerId, first], [second.ready.address, second]] as const) {
    const { code, stdout, stderr } = await network.run(
      ...[...ASK, "--format", "json", "--strategy", "specific", "--executor", name],
    );
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).executor.peerId, executor.peerId);
  }
});

test("--discover-models lists every model once, with its executors", async () => {
  const { code, stdout } = await network.run("--discover-models", "--format", "json");
  assert.equal(code, 0);
  const models = JSON.parse(stdout).models.map((
    { id, executors }: { id: string; executors: number },
  ) => [id, executors]);
  assert.deepEqual(models.sort(), [["mock-model", 2], ["other-model", 1]]);
  const text = await network.run("--discover-models");
  assert.match(text.stdout, /^MODEL +EXECUTORS .*\nmock-model +2 .*\nother-model +1 .*\n$/);
});

test("--query-model lists the executors of a model", async () => {
  const { code, stdout } = await network.run("--query-model", "other-model", "--format", "json");
  assert.equal(code, 0);
  const { model, executors } = JSON.parse(stdout);
  assert.equal(model, "other-model");
  assert.equal(executors.length, 1);
  assert.equal(executors[0].peerId, second.peerId);
  assert.equal(executors[0].address, second.ready.address);
  const text = await network.run("--query-model", "mock-model");
  for (const { peerId } of [first, second]) assert.ok(text.stdout.includes(peerId));
});

test("a bootstrap address without /p2p/… will do", async () => {
  const bare = network.bootstrap[0]!.replace(/\/p2p\/.*$/, "");
  const { code, stdout, stderr } = await network.command(
    [...ASK_FIRST(), "--bootstrap-nodes", bare],
    { bootstrap: [] },
  ).ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `${mockText(16)}\n`);
});

test("without a bootstrap node it exits with 3 and says what to do", async () => {
  const { code, stdout, stderr } = await network.command(ASK, { bootstrap: [] }).ended;
  assert.equal(code, 3);
  assert.equal(stdout, "");
  assert.match(stderr, /^error: .*--bootstrap-nodes.*\(config_invalid\)\n$/);
});

test("when the executor refuses it exits with 5", async () => {
  mock.options.failure = { kind: "status", status: 401 };
  const { code, stdout, stderr } = await network.run(...ASK_FIRST());
  delete mock.options.failure;
  assert.equal(code, 5);
  assert.equal(stdout, "");
  assert.match(stderr, /\(backend_unauthorized\)\n$/);
});

test("wrong usage exits with 2", async () => {
  const wrong = [
    ["--no-such-flag"],
    ["--prompt", "a", "--discover-models"],
    ["history", "--format", "markdown"],
    ["--prompt", "a", "--format", "json", "--stream"],
    [],
  ];
  for (const args of wrong) {
    const { code, stdout } = await network.run(...args);
    assert.equal(code, 2, args.join(" "));
    assert.equal(stdout, "");
  }
});

test("SIGINT cancels the request, and exits with 130", async () => {
  mock.options.failure = { kind: "hang", afterTokens: 2 };
  const aborted = mock.nextAbort();
  const child = network.command(ASK_FIRST());
  await child.printed(mockText(2));
  kill(child, "SIGINT");
  const { code, stdout } = await child.ended;
  delete mock.options.failure;
  assert.equal(code, 130);
  assert.equal(stdout, `${mockText(2)}\n`);
  await aborted;
});

test("for a model that nobody serves it exits with 4", async () => {
  const { code, stdout, stderr } = await lookingInVain;
  assert.equal(code, 4);
  assert.equal(stdout, "");
  assert.equal(JSON.parse(stderr).error.code, "no_executor");
});
