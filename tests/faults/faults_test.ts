import { findTool, missing } from "@lloom/host/foundry";
import assert from "node:assert/strict";
import { PROCESS_TEST } from "../support/network.ts";
import { runFaults } from "./main.ts";

const anvil = await findTool("anvil") !== undefined;

Deno.test({
  name: "while clients, executors and the chain are killed, no money is made or lost" +
    (anvil ? "" : `: ${missing("anvil")}`),
  ignore: !anvil,
  ...PROCESS_TEST,
  fn: async () => {
    const run = await runFaults(10, 3);
    assert.ok(run?.findings !== undefined);
    const { client, executor, chain } = run.kills;
    assert.equal(client + executor + chain, 10);
    assert.ok(run.findings.done > 0 && run.findings.settled > 0n, "nothing was paid");
  },
});
