import assert from "node:assert/strict";
import { compile, stale } from "../scripts/contracts/build.ts";
import { findTool, missing } from "../scripts/contracts/toolchain.ts";

const forge = await findTool("forge");

Deno.test({
  name: `what is generated is what the sources compile to${forge ? "" : `: ${missing("forge")}`}`,
  ignore: forge === undefined,
  fn: async () => {
    await compile("src");
    assert.deepEqual(await stale(), [], "run `deno task contracts:build`");
  },
});
