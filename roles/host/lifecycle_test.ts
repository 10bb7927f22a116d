import assert from "node:assert/strict";
import { runDeno, startDeno } from "../../tests/support/child_process.ts";

const PROGRAM = new URL("../../tests/support/host_program.ts", import.meta.url).pathname;
const windows = Deno.build.os === "windows"; // no signals can be sent there

function start(...args: string[]) {
  return startDeno(["-A", PROGRAM, ...args]);
}

function signalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, ignore: windows });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  signalTest(`on ${signal} a service stops in order and exits with 0`, async () => {
    const child = start("serve");
    assert.equal(
      await child.line("ready"),
      "executor ready: 16Uiu2 0xab listening on /ip4/1.2.3.4/tcp/1",
    );
    child.kill(signal);
    const { code, stdout } = await child.ended;
    assert.equal(code, 0);
    assert.match(stdout, /stopped service\n$/);
  });
}

signalTest("the ready line is one JSON object with --format json", async () => {
  const child = start("--format", "json", "serve");
  assert.deepEqual(JSON.parse(await child.line("ready")), {
    event: "ready",
    role: "executor",
    peerId: "16Uiu2",
    address: "0xab",
    multiaddrs: ["/ip4/1.2.3.4/tcp/1"],
  });
  child.kill("SIGTERM");
  assert.equal((await child.ended).code, 0);
});

signalTest("a second signal ends a service that does not stop", async () => {
  const child = start("serve", "--stop", "never");
  await child.line("ready");
  child.kill("SIGINT");
  await child.line("stopping");
  child.kill("SIGINT");
  assert.equal((await child.ended).code, 130);
});

signalTest("a service that does not stop within its grace period is ended", async () => {
  const child = start("serve", "--stop", "never", "--grace", "50");
  await child.line("ready");
  child.kill("SIGTERM");
  const { code, stderr } = await child.ended;
  assert.equal(code, 143);
  assert.match(stderr, /not done after 50 ms/);
});

signalTest("a service that fails to stop exits with 1", async () => {
  const child = start("serve", "--stop", "badly");
  await child.line("ready");
  child.kill("SIGTERM");
  const { code, stderr } = await child.ended;
  assert.equal(code, 1);
  assert.match(stderr, /cannot stop/);
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  signalTest(`a command that ${signal} cuts exits with ${expected}`, async () => {
    const child = start("work");
    await child.line("working");
    child.kill(signal);
    const { code, stderr } = await child.ended;
    assert.equal(code, expected);
    assert.match(stderr, new RegExp(`stopped by ${signal}`));
  });
}

Deno.test("an error that nobody caught is logged with its code, and the process exits with 1", async () => {
  const [rejected, thrown] = await Promise.all([
    runDeno(["-A", PROGRAM, "--log-format", "json", "crash", "reject"]),
    runDeno(["-A", PROGRAM, "--log-format", "json", "crash", "throw"]),
  ]);
  assert.deepEqual([rejected.code, thrown.code], [1, 1]);
  const code = (stderr: string) => JSON.parse(stderr).properties.code;
  assert.equal(code(rejected.stderr), "worker_crashed");
  assert.equal(code(thrown.stderr), "internal");
});
