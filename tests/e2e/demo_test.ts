/** The demo as its user runs it: what it proves, what it listens on, and what it leaves behind. */
import assert from "node:assert/strict";
import { findTool } from "@lloom/host/foundry";
import type { CompletionReport } from "../../roles/client/prompt/report.ts";
import { fileURLToPath } from "node:url";
import {
  concat,
  hashStruct,
  hashTypedData,
  type Hex,
  keccak256,
  recoverTypedDataAddress,
  stringToBytes,
  toBytes,
  type TypedDataDefinition,
} from "viem";
import { type Child, startDeno } from "../support/child_process.ts";
import { type MockLlmServer, startMockLlmServer } from "../support/mock_llm_server.ts";
import { kill, program } from "../support/network.ts";
import { awaitExit, descendants, listeners } from "../support/processes.ts";

const HAS_ANVIL = await findTool("anvil") !== undefined;
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** As `deno task demo` does, but for the extra arguments. */
function demo(...args: readonly string[]): Child {
  return demoWith({}, args);
}

function demoWith(env: Readonly<Record<string, string>>, args: readonly string[]): Child {
  return startDeno([
    ...["--quiet", "--allow-all", "--unstable-worker-options", program("client")],
    ...["--sandbox-workers", "--demo", ...args],
  ], { env });
}

interface Signed {
  readonly domain: object;
  readonly types: object;
  readonly primaryType: string;
  readonly message: object;
}

/** The typed data as viem takes it. */
function typedData({ domain, types, primaryType, message }: Signed): TypedDataDefinition {
  return { domain, types, primaryType, message } as TypedDataDefinition;
}

async function assertProven(report: CompletionReport): Promise<void> {
  const { content, model, executor, client, usage, request, receipt } = report;
  const asked = typedData(request);
  const answered = typedData(receipt);
  const signer = (data: TypedDataDefinition, signature: string) =>
    recoverTypedDataAddress({ ...data, signature: signature as Hex });
  assert.equal(await signer(asked, request.signature), client.address);
  assert.equal(await signer(answered, receipt.signature), executor.address);
  const { message } = request;
  const said = receipt.message;
  const salted = (text: string) => keccak256(concat([toBytes(request.salt as Hex), toBytes(text)]));
  assert.equal(message.promptHash, salted(request.body!));
  assert.equal(message.systemPromptHash, `0x${"00".repeat(32)}`);
  assert.equal((message.executor as string).toLowerCase(), executor.address.toLowerCase());
  assert.equal(said.contentHash, keccak256(stringToBytes(receipt.delivered!)));
  const { types } = request;
  const structHash = hashStruct(
    {
      data: request.message,
      types,
      primaryType: "LlmRequestCommitment",
    } as unknown as Parameters<typeof hashStruct>[0],
  );
  assert.equal(said.requestHash, structHash);
  assert.notEqual(hashTypedData(asked), structHash);
  assert.equal((said.client as string).toLowerCase(), client.address.toLowerCase());
  assert.deepEqual([message.model, said.model], [model, model]);
  assert.equal(said.success, true);
  assert.deepEqual(
    [said.inboundTokens, said.outboundTokens],
    [usage.promptTokens, usage.completionTokens],
  );
  // The text shown is the text delivered.
  const lines = receipt.delivered!.trimEnd().split("\n").map((line) => JSON.parse(line));
  const trailer = lines.pop();
  assert.equal(trailer.usage.completion_tokens, usage.completionTokens);
  assert.equal(lines.map(({ choices }) => choices[0].delta.content ?? "").join(""), content);
}

Deno.test("the demo answers, and viem alone proves request and receipt from its JSON", async () => {
  const { code, stdout, stderr } = await demo("--format", "json").ended;
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  const report: CompletionReport = JSON.parse(stdout);
  assert.ok(report.content.length > 20);
  assert.ok(report.timings.ttftMs > 0 && report.timings.totalMs >= report.timings.ttftMs);
  assert.notEqual(report.executor.peerId, report.client.peerId);
  await assertProven(report);
});

interface AccountJson {
  readonly before: string;
  readonly account: string;
  readonly credit: string;
  readonly gas: string;
}

interface DemoReport extends CompletionReport {
  readonly settlement?: {
    readonly channelId: string;
    readonly deposit: string;
    readonly cost: string;
    readonly settled: string;
    readonly refunded: string;
    readonly client: AccountJson;
    readonly executor: AccountJson;
  };
}

Deno.test({
  name: "the demo pays while the answer streams, redeems, closes, and accounts for every unit",
  ignore: !HAS_ANVIL,
  fn: async () => {
    const { code, stdout, stderr } = await demo("--format", "json").ended;
    assert.equal(code, 0, stderr);
    const { settlement, request, receipt, payment }: DemoReport = JSON.parse(stdout);
    assert.ok(settlement !== undefined && payment !== undefined);
    assert.equal(request.message.channelId, settlement.channelId);
    const { inboundTokens, outboundTokens, inboundPrice, outboundPrice } = receipt.message;
    const cost = BigInt(inboundTokens as number) * BigInt(inboundPrice as string) +
      BigInt(outboundTokens as number) * BigInt(outboundPrice as string);
    assert.equal(BigInt(payment.cost), cost);
    const [deposit, owed, settled, refunded] = [
      settlement.deposit,
      settlement.cost,
      settlement.settled,
      settlement.refunded,
    ].map(BigInt) as [bigint, bigint, bigint, bigint];
    assert.equal(owed, (cost + 999_999n) / 1_000_000n);
    assert.ok(settled >= owed && settled < deposit);
    assert.equal(settled + refunded, deposit);
    const moved = ({ before, account, credit, gas }: AccountJson) => {
      assert.ok(BigInt(gas) > 0n);
      return BigInt(account) + BigInt(credit) + BigInt(gas) - BigInt(before);
    };
    assert.equal(moved(settlement.client), -settled);
    assert.equal(moved(settlement.executor), settled);
    assert.equal(BigInt(settlement.client.credit), refunded);
  },
});

Deno.test("without anvil the demo says so, and is free", async () => {
  const { code, stderr } = await demoWith({ ANVIL: "/bin/false" }, []).ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^chain +none, so this is free: /m);
  assert.doesNotMatch(stderr, /^cost/m);
});

Deno.test("the demo runs by its package name from the checkout", async () => {
  const run = startDeno([
    ...["--quiet", "--config", CONFIG, "-A", "jsr:@lloom/client", "--demo", "--format", "json"],
  ]);
  const { code, stdout, stderr } = await run.ended;
  assert.equal(code, 0, stderr);
  await assertProven(JSON.parse(stdout));
});

Deno.test("as text, the demo prints the answer alone on standard output", async () => {
  const { code, stdout, stderr } = await demo().ended;
  assert.equal(code, 0, stderr);
  assert.ok(stdout.trim().length > 20);
  assert.doesNotMatch(stdout, /16Uiu2/);
  for (const what of [/^backend /m, /^validator /m, /^executor /m, /receipt .*: checked/]) {
    assert.match(stderr, what);
  }
});

/** The processes of a demo's chain, validator and executor, once it has started them. */
async function nodesOf(child: Child): Promise<readonly number[]> {
  const lines = [
    ...(HAS_ANVIL ? [await child.logged(/^chain .*process \d+/)] : []),
    await child.logged(/^validator .*process \d+/),
    await child.logged(/^executor .*process \d+/),
  ];
  return lines.map((line) => Number(/process (\d+)/.exec(line)![1]));
}

/** A demo that is about to ask, and its nodes. */
async function demoUnderWay(): Promise<{ child: Child; pids: readonly number[] }> {
  const child = demo();
  const pids = await nodesOf(child);
  await child.logged(/^question /);
  return { child, pids };
}

Deno.test({
  name: "the demo's processes listen on 127.0.0.1 alone",
  // Sockets and processes are read from /proc.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { child, pids } = await demoUnderWay();
    const tree = [child.pid, ...await descendants(child.pid)];
    assert.ok(pids.every((pid) => tree.includes(pid)));
    const sockets = (await Promise.all(tree.map(listeners))).flat();
    assert.ok(sockets.length >= 2, "validator and executor listen");
    assert.deepEqual(sockets.filter((address) => address !== "127.0.0.1"), []);
    await child.ended;
    await Promise.all(pids.map(awaitExit));
  },
});

for (
  const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGKILL", 137]] as const
) {
  Deno.test({
    name: `the demo leaves no process behind after ${signal}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const { child, pids } = await demoUnderWay();
      kill(child, signal);
      const ended = await child.ended;
      // With luck it had answered already.
      assert.ok(ended.code === code || (ended.code === 0 && signal !== "SIGKILL"), `${ended.code}`);
      await Promise.all(pids.map(awaitExit));
    },
  });
}

/** Where the demo looks for model servers, as far as nothing listens there. */
const SERVERS = [
  { port: 8000, dialect: "vllm", name: "vLLM" },
  { port: 8080, dialect: "llamacpp", name: "llama.cpp" },
  { port: 1234, dialect: "lmstudio", name: "LM Studio" },
  { port: 11434, dialect: "ollama", name: "Ollama" },
] as const;

/** Where a mock can listen for the demo to find it; undefined if all those ports are taken. */
function freePlace() {
  return SERVERS.find(({ port }) => canListen(port));
}

function canListen(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    return false;
  }
}

/** A test with a model server where the demo looks for one. */
function testWithMock(
  name: string,
  model: string,
  run: (mock: MockLlmServer, server: string) => Promise<void>,
  { ignore = false } = {},
): void {
  const hasPlace = freePlace() !== undefined;
  Deno.test({
    name: hasPlace ? name : `${name}: left out, all ports that the demo looks at are taken`,
    ignore: ignore || !hasPlace,
    fn: async () => {
      const place = freePlace();
      assert.ok(place !== undefined, "all ports were taken since");
      const { port, dialect, name: server } = place;
      const mock = startMockLlmServer({ port, dialect, models: [model] });
      try {
        await run(mock, server);
      } finally {
        await mock.stop();
      }
    },
  });
}

testWithMock(
  "the demo takes a model server on this machine, and says so",
  "demo-test-model",
  async (mock, server) => {
    const { code, stdout, stderr } = await demo("--model", "demo-test-model").ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /one two three/);
    assert.ok(stderr.includes(`backend    demo-test-model of ${server} at ${mock.url}\n`), stderr);
  },
);

testWithMock(
  "the demo leaves no process behind after a failure, and exits with its code",
  "failing-model",
  async (mock) => {
    mock.options.failure = { kind: "status", status: 500 };
    const child = demo("--model", "failing-model");
    const pids = await nodesOf(child);
    const { code, stderr } = await child.ended;
    assert.equal(code, 5, stderr);
    assert.match(stderr, /^error: .*\(backend_failed\)$/m);
    await Promise.all(pids.map(awaitExit));
  },
  { ignore: Deno.build.os !== "linux" },
);
