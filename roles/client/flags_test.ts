import assert from "node:assert/strict";
import { UsageError } from "@lloom/host";
import { createProgram } from "@lloom/host";
import { CLIENT_SETTINGS } from "@lloom/host/config";
import { addFlags, type Flags, taskOf } from "./flags.ts";

/** What the flags are read as. */
function parse(...args: string[]): Flags {
  const program = addFlags(createProgram(CLIENT_SETTINGS, "test")).exitOverride()
    .configureOutput({ writeErr: () => {} });
  return program.parse(args, { from: "user" }).opts();
}

Deno.test("without a word about what to do, what is piped in is a prompt", () => {
  assert.equal(taskOf(parse(), true), undefined);
  assert.equal(taskOf(parse(), false), "prompt");
  assert.equal(taskOf(parse("--prompt", "-"), true), "prompt");
  assert.equal(taskOf(parse("--batch", "-", "--concurrency", "9"), false), "batch");
  assert.equal(taskOf(parse("--demo"), false), "demo");
});

Deno.test("flags that mean nothing together are wrong usage", () => {
  const wrong: [string[], RegExp][] = [
    [["--prompt", "a", "--discover-models"], /--prompt and --discover-models exclude each other/],
    [["--batch", "a", "--demo"], /exclude/],
    [["--batch", "a", "--stream"], /--stream goes with --prompt/],
    [["--discover-models", "--output", "f"], /--output goes with --prompt or --batch/],
    [["--prompt", "a", "--concurrency", "2"], /--concurrency goes with --batch/],
    [["--prompt", "a", "--async", "--output", "f"], /--async/],
    [["--prompt", "a", "--async", "--no-stream"], /--async/],
    [["--append-output", "f"], /goes with --prompt/],
  ];
  for (const [args, message] of wrong) {
    assert.throws(
      () => taskOf(parse(...args), true),
      (error: Error) => error instanceof UsageError && message.test(error.message),
      args.join(" "),
    );
  }
});

Deno.test("values that are none are wrong usage", () => {
  const wrong = [
    ["--concurrency", "0"],
    ["--concurrency", "257"],
    ["--callback-url", "file:///etc/passwd"],
    ["--callback-url", "https://"],
    ["--priority", "urgent"],
    ["--output", "a", "--append-output", "b"],
    ["--priority", "high", "--strategy", "balanced"],
  ];
  for (const args of wrong) {
    assert.throws(() => parse(...args), { name: "CommanderError" }, args.join(" "));
  }
  const read = parse("--concurrency", "256", "--no-stream", "--callback-url", "http://127.0.0.1/");
  assert.deepEqual(read, {
    ...parse(),
    concurrency: 256,
    stream: false,
    callbackUrl: "http://127.0.0.1/",
  });
});
