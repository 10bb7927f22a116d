/** Every role does its work with the flags of its manifest, and not with one of them less. */
import assert from "node:assert/strict";
import { generateIdentity } from "@lloom/core/identity";
import { missing } from "@lloom/host/foundry";
import { manifestFlags, manifestOf } from "@lloom/host/manifest";
import type { RoleName } from "@lloom/host/config";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { ask } from "../support/asking.ts";
import { type Child, startDeno } from "../support/child_process.ts";
import { FaucetPlace } from "../support/faucet_place.ts";
import { mockText } from "../support/mock_llm_server.ts";
import { backendsToml, kill, Network, PROCESS_TEST, program, readyOf } from "../support/network.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Flags that permit nothing: one keeps Deno from asking on a terminal, which tests do not have, the
 * other is set in the checkout's deno.json too, and counts only for what runs outside it.
 */
const NO_PERMISSIONS = ["--no-prompt", "--unstable-worker-options"];

let network: Network;

Deno.test.beforeAll(async () => {
  network = await Network.open();
  await network.executor({ backends: [network.mock()] });
});

Deno.test.afterAll(() => network?.[Symbol.asyncDispose]());

/** Starts a role that finds its data directory through the environment, perhaps without one flag. */
function start(role: RoleName, dataDir: string, without: string | undefined, args: string[]) {
  const manifest = manifestOf(role);
  const values = { code: [ROOT], data: [dataDir], config: [], env: [] };
  const flags = manifestFlags(manifest, values).filter((flag) => nameOf(flag) !== without);
  return network.track(startDeno(
    ["--quiet", ...flags, program(role), ...manifest.arguments, ...args],
    { env: { LLOOM_DATA_DIR: dataDir } },
  ));
}

const nameOf = (flag: string): string => flag.split("=", 1)[0]!;

/** Each role's work; rejects if it is not done. On all interfaces, as roles listen by default. */
const WORK: Readonly<Record<RoleName, (without?: string) => Promise<void>>> = {
  async client(without) {
    const bootstrap = network.bootstrap.flatMap((at) => ["--bootstrap-nodes", at]);
    const dataDir = await network.directory();
    const asking = ["--prompt", "hi", "--model", "mock-model", ...bootstrap];
    const child = start("client", dataDir, without, asking);
    // Without the network it would go on looking for ten seconds.
    child.logged(/bootstrap: 1 of 1 .* unreachable/).then(() => kill(child, "SIGKILL"), () => {});
    const { code, stdout, stderr } = await child.ended;
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${mockText(16)}\n`);
  },
  async executor(without) {
    const dataDir = await network.directory();
    const model = "of-this-executor";
    await Deno.writeTextFile(
      join(dataDir, "config.toml"),
      backendsToml([network.mock({ models: [model] })]),
    );
    await serving("executor", dataDir, without, async (bootstrapNodes) => {
      const client = await network.client({ bootstrapNodes, searchTimeoutMs: 5000 });
      assert.equal((await ask(client, { model })).text, mockText(16));
    });
  },
  async validator(without) {
    await serving("validator", await network.directory(), without, async (bootstrapNodes) => {
      const [near] = network.validators;
      const peerId = /\/p2p\/(\w+)$/.exec(bootstrapNodes[0]!)![1]!;
      const ready = { ...near!.ready, peerId, multiaddrs: bootstrapNodes };
      assert.deepEqual(await network.listed({ ...near!, ready, peerId }), []);
    });
  },
  async faucet(without) {
    await using place = await FaucetPlace.open();
    if (place === undefined) return noAnvil(without);
    await place.start([], without);
    const account = generateIdentity().address;
    await place.ask("ann@example.org", account);
    assert.equal((await place.paid(await place.mail.token(1)))["state"], "paid");
  },
};

/** Nothing is shown where there is no chain: the test says so, and passes. */
function noAnvil(without: string | undefined): void {
  console.log(missing("anvil"));
  assert.equal(without, undefined);
}

/** Has a node serve, then stop in order. */
async function serving(
  role: "executor" | "validator",
  dataDir: string,
  without: string | undefined,
  use: (addresses: readonly string[]) => Promise<void>,
): Promise<void> {
  const listen = ["--listen", "/ip4/0.0.0.0/tcp/0", "--format", "json"];
  const child: Child = start(role, dataDir, without, listen);
  try {
    const { multiaddrs } = await readyOf(child);
    await use(multiaddrs.filter((address) => address.startsWith("/ip4/127.")));
    kill(child, "SIGTERM");
    assert.equal((await child.ended).code, 0);
  } finally {
    kill(child, "SIGKILL");
    await child.ended;
  }
}

for (const role of ["client", "executor", "validator", "faucet"] as const) {
  Deno.test({
    name: `the ${role} does its work with exactly the flags of its manifest`,
    ...PROCESS_TEST,
    fn: () => WORK[role](),
  });

  for (const flag of manifestOf(role).flags.map(nameOf)) {
    if (NO_PERMISSIONS.includes(flag)) continue;
    Deno.test({
      name: `the ${role} fails without ${flag}`,
      ...PROCESS_TEST,
      fn: async () => {
        await assert.rejects(WORK[role](flag));
      },
    });
  }
}
