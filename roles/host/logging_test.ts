import assert from "node:assert/strict";
import { join } from "node:path";
import { runDeno } from "../../tests/support/child_process.ts";

const PROGRAM = new URL("../../tests/support/host_program.ts", import.meta.url).pathname;
const KEY = "5e".repeat(32);

function log(args: string[], env: Record<string, string> = {}) {
  return runDeno(["-A", PROGRAM, ...args], { env });
}

Deno.test("the log goes to standard error, as text or JSON lines, from its level up", async () => {
  const [text, json, debug, none] = await Promise.all([
    log(["log", "hello"]),
    log(["log", "hello", "--log-format", "json"]),
    log(["--debug", "log", "hello"]),
    log(["log", "hello"], { LLOOM_LOG_LEVEL: "error" }),
  ]);
  assert.match(text.stderr, /^\S+ \S+ \S+ \[INF\] lloom·test: said hello\n$/);
  const record = JSON.parse(json.stderr);
  assert.equal(record.level, "INFO");
  assert.equal(record.logger, "lloom.test");
  assert.deepEqual(record.properties, { text: "hello" });
  assert.match(debug.stderr, /debugged/);
  assert.equal(none.stderr, "");
  for (const { stdout, code } of [text, json, debug, none]) {
    assert.deepEqual([stdout, code], ["", 0]);
  }
});

Deno.test("secrets that reach the log do not leave it", async () => {
  const results = await Promise.all(
    ["text", "json"].map((format) =>
      log(["--log-format", format, "log", `key 0x${KEY} and Bearer sk-abcdefghijkl`])
    ),
  );
  for (const { stderr } of results) {
    assert.match(stderr, /64 hex digits/);
    assert.ok(!stderr.includes(KEY) && !stderr.includes("sk-abc"), stderr);
  }
});

Deno.test("whatever a peer says, its record stays one line that steers no terminal", async () => {
  const { stderr } = await log(["log", "one\ntwo\x1b[31m\u009b"]);
  assert.match(stderr, /said one two\ufffd\[31m\ufffd\n$/);
  assert.equal(stderr.split("\n").length, 2);
});

Deno.test("a log file is appended to, for its owner alone", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = join(dir, "logs", "lloom.log");
    const first = await log(["log", "one"], { LLOOM_LOG_FILE: file });
    await log(["log", "two"], { LLOOM_LOG_FILE: file });
    assert.equal(first.stderr, "");
    assert.match(await Deno.readTextFile(file), /said one\n.*said two\n$/);
    if (Deno.build.os !== "windows") {
      assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    }
    const bad = await log(["log", "x"], { LLOOM_LOG_FILE: dir });
    assert.equal(bad.code, 3);
    assert.match(bad.stderr, /open log file/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
