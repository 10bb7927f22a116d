import assert from "node:assert/strict";
import { LLOOM_CHANNELS_ADDRESS } from "@lloom/contracts";
import { deployContracts } from "@lloom/contracts/deploy";
import { findTool, missing } from "../scripts/contracts/toolchain.ts";
import { FUNDED_KEY, startAnvil } from "../tests/support/anvil.ts";
import { runDeno } from "../tests/support/child_process.ts";

const ready = await findTool("anvil") !== undefined;
const reason = ready ? "" : `: ${missing("anvil")}`;
const SCRIPT = new URL("../scripts/contracts/deploy.ts", import.meta.url).pathname;

Deno.test({
  name: `contracts come to the same address on chains with and without the proxy${reason}`,
  ignore: !ready,
  fn: async () => {
    const addresses = [];
    for (const args of [["--disable-default-create2-deployer"], ["--chain-id", "4711"]]) {
      await using anvil = await startAnvil({ args });
      assert.ok(anvil !== undefined);
      const options = { rpcUrl: anvil.rpcUrl, privateKey: FUNDED_KEY } as const;
      const { contracts } = await deployContracts(options);
      assert.ok(contracts.LloomChannels.transactionHash !== undefined);
      addresses.push([contracts.LloomChannels.address, contracts.ExecutorBond.address]);
      const again = await deployContracts(options);
      assert.equal(again.contracts.LloomChannels.transactionHash, undefined);
    }
    assert.deepEqual(addresses[0], addresses[1]);
    assert.equal(addresses[0]![0], LLOOM_CHANNELS_ADDRESS);
  },
});

Deno.test({
  name:
    `the command notes what it deployed, and keeps the note when nothing is left to do${reason}`,
  ignore: !ready,
  fn: async () => {
    await using anvil = await startAnvil({ args: ["--chain-id", "4711"] });
    assert.ok(anvil !== undefined);
    const folder = await Deno.makeTempDir();
    try {
      const [key, out] = [`${folder}/key`, `${folder}/record.json`];
      await Deno.writeTextFile(key, FUNDED_KEY, { mode: 0o600 });
      const args = ["--rpc-url", anvil.rpcUrl, "--private-key-file", key, "--out", out];
      const first = await runDeno(["--allow-all", SCRIPT, ...args]);
      assert.equal(first.code, 0, first.stderr);
      const record = JSON.parse(await Deno.readTextFile(out));
      assert.equal(record.chainId, 4711);
      assert.equal(record.contracts.LloomChannels.address, LLOOM_CHANNELS_ADDRESS);
      assert.match(record.contracts.LloomChannels.transactionHash, /^0x[0-9a-f]{64}$/);
      const second = await runDeno(["--allow-all", SCRIPT, ...args]);
      assert.equal(second.code, 0, second.stderr);
      assert.deepEqual(JSON.parse(await Deno.readTextFile(out)), record);
      await Deno.chmod(key, 0o644);
      const open = await runDeno(["--allow-all", SCRIPT, ...args]);
      assert.notEqual(open.code, 0);
      assert.match(open.stderr, /other users may read it/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
