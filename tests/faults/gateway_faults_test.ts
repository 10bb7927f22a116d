import assert from "node:assert/strict";
import { PROCESS_TEST } from "../support/network.ts";
import { runGatewayFaults } from "./gateway_main.ts";

Deno.test({
  name: "while executors are killed, every answer of the gateway is whole, continued, or an error",
  ...PROCESS_TEST,
  fn: async () => {
    const { kills, requests, whole, continued, broken, failed } = await runGatewayFaults(3, 4);
    assert.ok(kills >= 3);
    assert.ok(whole > 0, "nothing was answered");
    assert.equal(whole + continued + broken + failed, requests);
  },
});
