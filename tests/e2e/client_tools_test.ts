/** `peers`, `diagnose` and `chat`, on one network of processes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Network, PROCESS_TEST, type RunningRole } from "../support/network.ts";

let network: Network;
let executor: RunningRole;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  executor = await network.executor({ backends: [network.mock()] });
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

interface Check {
  readonly name: string;
  readonly state: string;
  readonly finding: string;
  readonly remedy?: string;
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
  const config = join(await network.directory("client"), "config.toml");
  await Deno.writeTextFile(config, `[gateway]\nport = ${freePort()}\n`);
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
