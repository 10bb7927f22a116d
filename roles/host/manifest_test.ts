import assert from "node:assert/strict";
import { join } from "node:path";
import { runDeno } from "../../tests/support/child_process.ts";
import { manifestFlags, manifestOf, type ManifestValues } from "./manifest.ts";

const VALUES: ManifestValues = { code: ["/code"], data: ["/data"], config: [], env: [] };
const ROOT = new URL("../../", import.meta.url);
const PROBE = new URL("tests/support/permission_probe.ts", ROOT).pathname;
const PROGRAM = new URL("tests/support/host_program.ts", ROOT).pathname;
const ROLES = ["client", "executor", "validator", "faucet"] as const;

Deno.test("placeholders are filled in, and an empty list never becomes a permission for all", () => {
  const manifest = {
    flags: ["--no-prompt", "--allow-read={code},{data},{config}", "--allow-write={config}"],
    arguments: [],
  };
  assert.deepEqual(manifestFlags(manifest, VALUES), ["--no-prompt", "--allow-read=/code,/data"]);
  assert.deepEqual(manifestFlags(manifest, { ...VALUES, config: ["/a,b"] }), [
    "--no-prompt",
    "--allow-read=/code,/data,/a,,b",
    "--allow-write=/a,,b",
  ]);
  assert.throws(() => manifestFlags(manifest, { ...VALUES, code: [""] }), TypeError);
});

Deno.test("no manifest asks, or allows everything", () => {
  for (const role of ROLES) {
    const { flags } = manifestOf(role);
    assert.ok(flags.includes("--no-prompt"));
    assert.ok(!flags.some((flag) => /^(?:-A|--allow-all)\b/.test(flag)));
  }
});

for (const role of ROLES) {
  Deno.test(`the manifest of the ${role} denies everything it does not list`, async () => {
    const dir = await Deno.makeTempDir();
    try {
      const code = [ROOT.pathname];
      const values = { ...VALUES, code, data: [join(dir, "data")] };
      const flags = manifestFlags(manifestOf(role), values);
      const env = { FOREIGN_SECRET: "x", LLOOM_TEST_FOREIGN: "1" };
      const probe = await runDeno([...flags, PROBE, dir], { env });
      assert.deepEqual([probe.stdout, probe.code], ["[]\n", 0], probe.stderr);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });

  Deno.test(`settings, key file, log and store work with the manifest of the ${role}`, async () => {
    const dir = await Deno.makeTempDir();
    try {
      const data = join(dir, ".lloom", "executor");
      const flags = manifestFlags(manifestOf(role), {
        ...VALUES,
        code: [ROOT.pathname],
        data: [data],
      });
      const program = [...flags, PROGRAM, ...manifestOf(role).arguments];
      const env = { HOME: dir, DENO_DIR: Deno.env.get("DENO_DIR") ?? await denoDir() };
      const [made, again] = [
        await runDeno([...program, "whoami", "--log-file", join(data, "log")], { env }),
        await runDeno([...program, "whoami"], { env }),
      ];
      assert.equal(made.code, 0, made.stderr);
      assert.equal(again.stdout, made.stdout);
      const outside = await runDeno([...program, "whoami", "--data-dir", dir], { env });
      assert.equal(outside.code, 3);
      assert.match(outside.stderr, /not permitted: a role uses its data directory alone/);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

async function denoDir(): Promise<string> {
  const info = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] });
  return JSON.parse(new TextDecoder().decode((await info.output()).stdout)).denoDir;
}
