/** `peers`, `diagnose` and `chat`, on one network of processes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type MockLlmServer, mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";

let network: Network;
let mock: MockLlmServer;
let executor: RunningRole;
let dataDir: string;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  mock = network.mock();
  executor = await network.executor({ backends: [mock] });
  dataDir = await network.directory("client");
});

Deno.test.afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
});

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...PROCESS_TEST, fn });
}

/** A port that nobody listens on. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function configure(toml: string): Promise<void> {
  return Deno.writeTextFile(join(dataDir, "config.toml"), toml, { mode: 0o600 });
}

interface Check {
  readonly name: string;
  readonly state: string;
}

test("peers lists the validator that the client joined through, and what it knows", async () => {
  const { code, stdout, stderr } = await network.run("peers", "--format", "json");
  assert.equal(code, 0, stderr);
  const { peers } = JSON.parse(stdout);
  const [validator] = network.validators;
  const { multiaddr, answerMs, ...peer } = peers[0];
  assert.deepEqual(peer, {
    peerId: validator!.peerId,
    address: validator!.ready.address,
    relayed: false,
    role: "registry",
    executors: 1,
  });
  assert.equal(validator!.ready.multiaddrs[0]!.startsWith(multiaddr), true);
  assert.ok(answerMs >= 0);
});

test("diagnose finds a healthy network in order, and exits with 0", async () => {
  await configure(`[gateway]\nport = ${freePort()}\n`);
  const { code, stdout, stderr } = await network.run("diagnose", "--format", "json");
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Check[] };
  assert.deepEqual({ code, ok }, { code: 0, ok: true }, stderr + stdout);
  const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]));
  delete states["model servers"]; // there may be one on this machine
  assert.deepEqual(states, {
    "program": "ok",
    "configuration": "ok",
    "data directory": "ok",
    "identity": "ok",
    "wallet": "ok",
    "ledger": "skipped",
    "bootstrap nodes": "ok",
    "peers": "ok",
    "registries": "ok",
    "executors": "ok",
    "reach": "ok",
    "clock": "ok",
    "chain": "skipped",
    "gateway": "ok",
  });
});

test("diagnose names all that is broken, how to mend each, and fails", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  // Another program: it hangs up on whoever asks.
  const hangingUp = (async () => {
    for await (const connection of taken) connection.close();
  })();
  const nobody = freePort();
  await configure([
    `[gateway]\nport = ${taken.addr.port}`,
    `[blockchain]\nrpc_urls = ["http://127.0.0.1:${nobody}"]\nchain_id = 31337\n`,
  ].join("\n"));
  const key = join(dataDir, "identity.key");
  await Deno.chmod(key, 0o644);
  const bootstrap = [`/ip4/127.0.0.1/tcp/${nobody}/p2p/${executor.peerId}`];
  const { code, stdout, stderr } = await network.command(["diagnose"], { bootstrap }).ended;
  await Deno.chmod(key, 0o600);
  await configure("");
  taken.close();
  await hangingUp;
  assert.equal(code, 3, stdout);
  assert.match(stderr, /not in order: identity, bootstrap nodes, peers, chain, gateway/);
  const shown = (name: string, finding: string, remedy = "") =>
    assert.match(stdout, new RegExp(`^failed +${name} +.*${finding}.*\n${remedy}`, "m"));
  shown("identity", "other users may read it; run: chmod 600");
  shown("bootstrap nodes", `/tcp/${nobody}/`, " +to mend it: name a node that runs");
  shown("peers", "connected to nobody");
  shown("chain", `127\\.0\\.0\\.1:${nobody}: .*no endpoint`, " +to mend it: .*--rpc-url");
  shown("gateway", `${taken.addr.port} is taken`, " +to mend it: .*another port");
  assert.match(stdout, /^\d+ ok, \d+ warning, 5 failed, \d+ skipped$/m);
});

test("chat keeps what was said, stops an answer at Ctrl-C, and ends with its input", async () => {
  const file = join(dataDir, "talk.md");
  const chat = network.command(["chat", "--model", "mock-model"], {}, { openStdin: true });
  await chat.write("hello\n");
  await chat.line(mockText(16));
  await chat.write("/executor\nagain\n");
  await chat.logged(new RegExp(`${executor.peerId} answered last`));
  await chat.line(mockText(16));
  const roles = mock.requests.at(-1)!.body["messages"] as readonly { role: string }[];
  assert.deepEqual(roles.map(({ role }) => role), ["user", "assistant", "user"]);
  Object.assign(mock.options, { tokens: 1000, delayMs: 20 });
  await chat.write("at length\n");
  await chat.printed(mockText(20));
  chat.kill("SIGINT");
  await chat.logged(/^stopped$/);
  await chat.write(`/price\n/save ${file}\n/quit\n`);
  const { code, stderr } = await chat.ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^answers: 3; tokens: .*; free$/m);
  const saved = await Deno.readTextFile(file);
  assert.ok(saved.includes(`## user\n\nhello\n\n## assistant\n\n${mockText(16)}\n`), saved);
  assert.match(saved, /## user\n\nat length\n\n## assistant\n\n one two/);
});
