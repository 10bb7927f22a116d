/** Where the client's program puts answers: streams, files, forms, batches, and a callback. */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  kill,
  Network,
  PROCESS_TEST,
  roleArguments,
  type RunningRole,
} from "../support/network.ts";
import { type MockLlmServer, mockText } from "../support/mock_llm_server.ts";
import type { ChildResult } from "../support/child_process.ts";

let network: Network;
let mock: MockLlmServer;
let executor: RunningRole;
/** Where the program may write: its own data directory. */
let directory: string;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  mock = network.mock({ tokens: 4 });
  executor = await network.executor({ backends: [mock] });
  directory = await network.directory("client");
});

Deno.test.afterAll(() => network?.[Symbol.asyncDispose]());

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, fn });
}

const MODEL = ["--model", "mock-model"];
const ANSWER = `${mockText(4)}\n`;

async function batchFile(rows: readonly unknown[]): Promise<string> {
  const path = join(directory, "batch.jsonl");
  await Deno.writeTextFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

interface Row {
  index: number;
  custom_id?: string;
  response: { body: { choices: { message: { content: string } }[] } } | null;
  error: { code: string } | null;
  lloom: { executor?: string };
}

const rowsOf = (text: string): Row[] => text.trimEnd().split("\n").map((line) => JSON.parse(line));

test("a prompt on standard input is asked; --no-stream prints nothing of an answer that breaks", async () => {
  const bootstrap = network.bootstrap.flatMap((address) => ["--bootstrap-nodes", address]);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", ...roleArguments("client", directory), "--data-dir", directory],
      ...[...bootstrap, ...MODEL],
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("Hello\n\n"));
  await writer.close();
  const { code, stdout } = await child.output();
  assert.equal(code, 0);
  assert.equal(new TextDecoder().decode(stdout), ANSWER);
  assert.deepEqual(mock.requests.at(-1)?.body.messages, [{ role: "user", content: "Hello" }]);
  mock.options.failure = { kind: "truncate", afterTokens: 2 };
  const broken = await network.run(...MODEL, "--prompt", "Hi", "--no-stream");
  delete mock.options.failure;
  assert.deepEqual([broken.code, broken.stdout], [5, ""]);
});

test("--output replaces, --append-output adds, and neither touches the file when there is no answer", async () => {
  const path = join(directory, "answer.txt");
  await Deno.writeTextFile(path, "something longer than the answer will be\n".repeat(3));
  const ask = ["--prompt", "Hi", ...MODEL];
  assert.deepEqual(await outcome(network.run(...ask, "--output", path)), [0, ""]);
  assert.deepEqual(await outcome(network.run(...ask, "--append-output", path)), [0, ""]);
  assert.equal(await Deno.readTextFile(path), ANSWER + ANSWER);
  mock.options.failure = { kind: "status", status: 400 };
  const refused = await network.run(...ask, "--output", path);
  delete mock.options.failure;
  assert.equal(refused.code, 5);
  assert.equal(await Deno.readTextFile(path), ANSWER + ANSWER);
});

test("a file that may not be written is refused before anything is asked, with the flag that allows it", async () => {
  const asked = mock.requests.length;
  const path = join(directory, "..", "elsewhere.txt");
  const { code, stderr } = await network.run("--prompt", "Hi", ...MODEL, "--output", path);
  assert.equal(code, 2);
  assert.match(stderr, /--allow-write=.*elsewhere\.txt/);
  assert.equal(mock.requests.length, asked);
});

test("--format markdown is a page with question, answer and what is known of it; --callback-url gets the report", async () => {
  await using listener = listen();
  const { code, stdout, stderr } = await network.run(
    ...["--prompt", "Hi", ...MODEL, "--format", "markdown", "--callback-url", listener.url],
  );
  assert.equal(code, 0, stderr);
  const form = /^## Question\n\nHi\n\n## Answer\n\n(.*)\n\n## Metadata\n\n((?:- \w+: `.*`\n)+)$/;
  const [, answer, facts] = form.exec(stdout) ?? [];
  assert.equal(answer, mockText(4));
  assert.match(facts!, /- model: `mock-model \(openai\)`\n- executor: `.*`, `0x.*`\n/);
  const report = await listener.told;
  assert.equal(report.content, mockText(4));
});

test("a batch is answered in order, failures are rows, and the exit code tells of them", async () => {
  const path = await batchFile([
    { prompt: "one", custom_id: "first" },
    { model: "mock-model", messages: [{ role: "user", content: "two" }], max_tokens: 2 },
    { prompt: "three", max_tokens: 0 },
    {
      custom_id: "last",
      body: { model: "mock-model", messages: [{ role: "user", content: "4" }] },
    },
  ]);
  const { code, stdout, stderr } = await network.run("--batch", path, ...MODEL);
  assert.equal(code, 5, stderr);
  const rows = rowsOf(stdout);
  assert.deepEqual(rows.map(({ index, custom_id }) => [index, custom_id]), [
    [0, "first"],
    [1, undefined],
    [2, undefined],
    [3, "last"],
  ]);
  assert.deepEqual(
    rows.map(({ response, error }) => response?.body.choices[0]?.message.content ?? error?.code),
    [mockText(4), mockText(2), "request_invalid", mockText(4)],
  );
  assert.equal(rows[3]!.lloom.executor, executor.peerId);
  assert.match(stderr, /^4 rows: 3 answered, 1 failed\nerror: ask batch: 1 of 4 rows failed/m);
});

test("Ctrl-C stops a batch, and the same command goes on from there: no row is asked twice or missing", async () => {
  const prompts = Array.from({ length: 5 }, (_, i) => ({ prompt: `p${i}` }));
  const path = await batchFile(prompts);
  const output = join(directory, "answers.jsonl");
  const command = ["--batch", path, "--output", output, "--concurrency", "2", ...MODEL];
  const asked = mock.requests.length;
  // The third one is never answered.
  mock.options.failure = (request) =>
    request >= asked + 2 ? { kind: "hang", afterTokens: "headers" } : undefined;
  const child = network.command(command);
  for (let i = asked; i < asked + 4; i = mock.requests.length) await mock.nextRequest();
  kill(child, "SIGINT");
  const stopped = await child.ended;
  assert.equal(stopped.code, 130);
  assert.match(stopped.stderr, /^2 of 5 rows are answered in .*; the same command goes on/m);
  delete mock.options.failure;
  const first = await Deno.readTextFile(output);
  assert.deepEqual(rowsOf(first).map(({ index }) => index), [0, 1]);

  await Deno.writeTextFile(output, `${first}{"index":2,"resp`);
  const before = mock.requests.length;
  const { code, stderr } = await network.run(...command);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^5 rows in .*: 5 answered, 0 failed; 2 of them were there before\n$/);
  const whole = await Deno.readTextFile(output);
  assert.ok(whole.startsWith(first));
  assert.deepEqual(rowsOf(whole).map(({ index }) => index), [0, 1, 2, 3, 4]);
  assert.equal(mock.requests.length - before, 3);
});

test("--async has the gateway ask, and `status` tells how it is, in words and with its answer", async () => {
  const ask = ["--prompt", "Hi", ...MODEL, "--async"];
  await Deno.writeTextFile(join(directory, "config.toml"), "[gateway]\nport = 1\n");
  const alone = await network.run(...ask);
  assert.equal(alone.code, 4);
  assert.match(alone.stderr, /start it with `lloom-client gateway`/);

  const gateway = network.command(["gateway", "--port", "0", "--format", "json"]);
  const { url } = JSON.parse(await gateway.line('"event":"ready"'));
  const config = `[gateway]\nport = ${new URL(url).port}\n`;
  await Deno.writeTextFile(join(directory, "config.toml"), config);
  await using listener = listen();
  // The question and the gateway's key are for this machine alone.
  const env = { HTTP_PROXY: "http://127.0.0.1:1" };
  const accepted = await network.command([...ask, "--callback-url", listener.url], {}, { env })
    .ended;
  assert.equal(accepted.code, 0, accepted.stderr);
  const id = accepted.stdout.trimEnd();
  assert.match(id, /^resp_\w+$/);
  assert.equal((await listener.told).id, id);
  const { code, stdout, stderr } = await network.run("status", id);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^status {4}completed\n(?:\w+ +.+\n)*executor {2}16U.*\n(?:\w+ +.+\n)*\n/);
  assert.ok(stdout.endsWith(`\n\n${ANSWER}`));
  assert.equal((await network.run("status", "resp_none")).code, 2);
  kill(gateway, "SIGTERM");
  assert.equal((await gateway.ended).code, 0);
});

/** A service that a callback is sent to. */
function listen(): AsyncDisposable & { url: string; told: Promise<Record<string, unknown>> } {
  const told = Promise.withResolvers<Record<string, unknown>>();
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  const server = Deno.serve(options, async (request) => {
    told.resolve(await request.json());
    return new Response();
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/done`,
    told: told.promise,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function outcome(ended: Promise<ChildResult>): Promise<[number, string]> {
  const { code, stdout } = await ended;
  return [code, stdout];
}
