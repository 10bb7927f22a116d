/** What is published works as the README says, away from the checkout. */
import { findTool } from "@lloom/host/foundry";
import { manifestFlags, manifestOf } from "@lloom/host/manifest";
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PackageRegistry } from "../support/package_registry.ts";

const ROOT = new URL("../../", import.meta.url);
const { workspace } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))) as {
  readonly workspace: readonly string[];
};
const FOLDERS = ["./", ...workspace.map((path) => `${path}/`)];
const decoder = new TextDecoder();

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An empty folder, and a Deno that has the packages of npm but has seen none of ours. */
class Elsewhere implements AsyncDisposable {
  readonly env: Record<string, string>;

  constructor(readonly folder: string, readonly denoDir: string, registry: PackageRegistry) {
    this.env = { JSR_URL: registry.url, DENO_DIR: denoDir, NO_COLOR: "1" };
  }

  async run(program: string, args: readonly string[], cwd = this.folder): Promise<Output> {
    const command = new Deno.Command(program, { args: [...args], cwd, env: this.env });
    const { code, stdout, stderr } = await command.output();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  deno(...args: readonly string[]): Promise<Output> {
    return this.run(Deno.execPath(), args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
    await Deno.remove(this.denoDir, { recursive: true });
  }
}

async function elsewhere(registry: PackageRegistry): Promise<Elsewhere> {
  const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(decoder.decode(info.stdout)) as { readonly npmCache: string };
  const denoDir = await Deno.makeTempDir();
  await Deno.symlink(npmCache, join(denoDir, "npm"), { type: "junction" });
  return new Elsewhere(await Deno.makeTempDir(), denoDir, registry);
}

Deno.test("all packages can be published, and run from anywhere", async (t) => {
  await using registry = new PackageRegistry();
  await using place = await elsewhere(registry);

  await t.step("every package is accepted, with no slow types", async () => {
    for (const folder of FOLDERS) {
      // Types are checked by `deno task ok`; what is public must have explicit ones in any case.
      const args = ["publish", "--token", "none", "--no-provenance", "--allow-dirty", "--no-check"];
      const cwd = fileURLToPath(new URL(folder, ROOT));
      const { code, stderr } = await place.run(Deno.execPath(), args, cwd);
      assert.equal(code, 0, stderr);
    }
    assert.equal(registry.packages.size, FOLDERS.length);
  });

  await t.step("all have one version: a role starts the others in its own", () => {
    const versions = new Set([...registry.packages.values()].map(({ version }) => version));
    assert.equal(versions.size, 1);
  });

  await t.step("packages hold no tests, and what they load by URL", () => {
    const loads = /new URL\(\s*"(\.[^"]+)",\s*import\.meta\.url/g;
    const loaded: string[] = [];
    for (const { name, files } of registry.packages.values()) {
      for (const [path, bytes] of files) {
        assert.doesNotMatch(path, /_test|\/test_network|\/testing\/|\/testdata\/|golden/, name);
        if (!path.endsWith(".ts")) continue;
        for (const [, url = ""] of decoder.decode(bytes).matchAll(loads)) {
          const { pathname } = new URL(url, `file://${path}`);
          if (pathname.endsWith("/")) continue; // the checkout, which only a local module looks for
          assert.ok(files.has(pathname), `${name}${path} loads ${url}`);
          loaded.push(pathname);
        }
      }
    }
    assert.ok(loaded.some((path) => path.endsWith("_task.ts")), "no worker was found");
    assert.ok(loaded.some((path) => path.endsWith(".gguf")), "no model was found");
    assert.ok(loaded.some((path) => path.endsWith(".html")), "no page was found");
  });

  await t.step("deno run -A jsr:@lloom/client --version, --help", async () => {
    const [version] = [...registry.packages.values()].map(({ version }) => version);
    const said = await place.deno("run", "-A", "jsr:@lloom/client", "--version");
    assert.equal(said.stdout, `${version}\n`, said.stderr);
    const help = await place.deno("run", "-A", "jsr:@lloom/client", "--help");
    assert.match(help.stdout, /^Usage: lloom-client/, help.stderr);
  });

  await t.step("deno run -A jsr:@lloom/client --demo", async () => {
    const args = ["run", "-A", "jsr:@lloom/client", "--demo", "--format", "json"];
    const { code, stdout, stderr } = await place.deno(...args);
    assert.equal(code, 0, stderr);
    const answer = JSON.parse(stdout);
    assert.ok(answer.content.length > 0);
    assert.equal(answer.receipt.message.success, true);
    assert.equal(answer.settlement !== undefined, await findTool("anvil") !== undefined);
  });

  await t.step("deno install -g: a role with its manifest's permissions", async () => {
    const data = join(place.folder, "data");
    const manifest = manifestOf("validator");
    const values = { code: [], data: [data], config: [], env: [] };
    const installed = await place.deno(
      ...["install", "--global", "--root", place.folder, "--name", "lloom-validator"],
      ...manifestFlags(manifest, values),
      ...["jsr:@lloom/validator", "--", ...manifest.arguments],
    );
    assert.equal(installed.code, 0, installed.stderr);
    const suffix = Deno.build.os === "windows" ? ".cmd" : "";
    // It stops at once when it is ready, because its standard input has ended.
    const { code, stdout, stderr } = await place.run(
      join(place.folder, "bin", `lloom-validator${suffix}`),
      ["--data-dir", data, "--listen", "/ip4/127.0.0.1/tcp/0", "--stop-with-stdin"],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/16Uiu2/);
    assert.doesNotMatch(stderr, /workers run with all permissions/);
  });

  await t.step("deno repl", async () => {
    const line = 'import * as lloom from "jsr:@lloom/lloom"; ' +
      "console.log(Object.keys(lloom).join(), lloom.generateIdentity().peerId)";
    const { stdout, stderr } = await place.deno("repl", "--quiet", "-A", "--eval", line);
    for (const name of ["LloomClient", "Executor", "Validator", "LloomError", "16Uiu2"]) {
      assert.ok(stdout.includes(name), `${name}: ${stdout} ${stderr}`);
    }
  });
});

Deno.test("the packages can be imported in the REPL, inside the checkout", async () => {
  const line = 'import { generateIdentity } from "@lloom/lloom"; ' +
    "console.log(generateIdentity().peerId)";
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["repl", "--quiet", "--allow-read=.", "--eval", line],
    cwd: fileURLToPath(ROOT),
    env: { NO_COLOR: "1" },
  }).output();
  assert.match(decoder.decode(stdout), /^16Uiu2/, decoder.decode(stderr));
});
