import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import { runDeno } from "../../tests/support/child_process.ts";
import { EXIT, EXIT_NOTES, exitCodeOf, UsageError } from "./exit_codes.ts";

const PROGRAM = new URL("../../tests/support/host_program.ts", import.meta.url).pathname;

Deno.test("each kind of failure has its exit code", () => {
  const cases = [
    ["internal", 1],
    ["config_invalid", 3],
    ["identity_invalid", 3],
    ["no_executor", 4],
    ["peer_unreachable", 4],
    ["overloaded", 5],
    ["backend_failed", 5],
    ["receipt_invalid", 6],
    ["stream_broken", 6],
    ["aborted", 130],
  ] as const;
  for (const [code, exit] of cases) assert.equal(exitCodeOf(new LloomError(code, "x")), exit, code);
  assert.equal(exitCodeOf(new UsageError("x")), 2);
  assert.equal(exitCodeOf(new TypeError("x")), 1);
  assert.equal(exitCodeOf("x"), 1);
});

Deno.test("--help lists every exit code", () => {
  for (const code of Object.values(EXIT)) assert.match(EXIT_NOTES, new RegExp(`\\b${code}\\b`));
});

Deno.test("a process ends with the code of its failure, and says it on standard error", async () => {
  const [refused, fault, usage, config, help] = await Promise.all([
    runDeno(["-A", PROGRAM, "fail", "overloaded"]),
    runDeno(["-A", PROGRAM, "fail", "-"]),
    runDeno(["-A", PROGRAM, "--nonsense"]),
    runDeno(["-A", PROGRAM, "whoami", "--port", "99999"]),
    runDeno(["-A", PROGRAM, "--help"]),
  ]);
  assert.deepEqual([refused.code, refused.stderr], [5, "error: try: failed (overloaded)\n"]);
  assert.equal(fault.code, 1);
  assert.equal(usage.code, 2);
  assert.match(usage.stderr, /unknown option '--nonsense'/);
  assert.equal(config.code, 3);
  assert.match(config.stderr, /read flag --port: network\.port must be an integer from 0 to 65535/);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /LLOOM_CHAIN_ID +blockchain\.chain_id/);
  assert.match(help.stdout, /Exit codes:/);
  for (const result of [refused, fault, usage, config]) assert.equal(result.stdout, "");
});

Deno.test("with --format json a failure is one JSON object on standard error", async () => {
  const results = await Promise.all([
    runDeno(["-A", PROGRAM, "--format", "json", "fail", "no_executor"]),
    runDeno(["-A", PROGRAM, "fail", "--format=json"]),
  ]);
  assert.deepEqual(results.map((result) => JSON.parse(result.stderr)), [
    { error: { code: "no_executor", message: "try: failed" } },
    { error: { code: "usage", message: "missing required argument 'code'" } },
  ]);
  assert.deepEqual(results.map((result) => result.code), [4, 2]);
});
