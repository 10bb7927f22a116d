import assert from "node:assert/strict";
import { CLIENT_SETTINGS, type ClientConfig } from "@lloom/host/config";
import { createProgram, openCommand } from "@lloom/host";
import { routingOptions } from "./routing_options.ts";

const EXECUTOR = `0x${"ab".repeat(20)}`;

function config(...args: string[]): ClientConfig {
  const program = createProgram(CLIENT_SETTINGS, "test").action(() => {});
  return openCommand(CLIENT_SETTINGS, program.parse(args, { from: "user" })).config;
}

Deno.test("a priority decides among the executors that the settings allow, at the prices they allow", () => {
  const flags = ["--executor", EXECUTOR, "--max-inbound-price", "7"];
  const preferred = config(...flags);
  assert.deepEqual(routingOptions(preferred, "normal"), routingOptions(preferred));
  const low = routingOptions(preferred, "low");
  assert.deepEqual([low.strategy, low.prefer, low.only, low.hedgeAfterMs, low.maxInboundPrice], [
    { type: "best-price" },
    [EXECUTOR],
    undefined,
    undefined,
    7n,
  ]);
  const high = routingOptions(config(...flags, "--strategy", "specific"), "high");
  assert.deepEqual([high.strategy, high.prefer, high.only], [
    { type: "fastest" },
    undefined,
    [EXECUTOR],
  ]);
  assert.ok(high.hedgeAfterMs! > 0);
  for (const priority of ["low", "normal", "high"] as const) {
    const without = routingOptions(config("--exclude-executor", EXECUTOR), priority);
    assert.deepEqual(without.exclude, [EXECUTOR]);
  }
});
