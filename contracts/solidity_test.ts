/** The tests in Solidity, as part of all tests; `deno task contracts:test` shows more of them. */
import assert from "node:assert/strict";
import { checks } from "../scripts/contracts/test.ts";
import { findTool, missing } from "../scripts/contracts/toolchain.ts";

const forge = await findTool("forge");

for (const { name, run } of checks()) {
  Deno.test({
    name: forge === undefined ? `${name}: ${missing("forge")}` : name,
    ignore: forge === undefined,
    fn: async () => {
      const result = await run(false);
      assert.equal(result?.code, 0, result?.output ?? "it did not run");
    },
  });
}
