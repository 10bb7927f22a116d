import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { code, PRODUCT } from "../tests/arch/sources.ts";
import { compileArguments, INCLUDED } from "./compile_role.ts";

Deno.test({
  name: "a compiled role holds its workers, its model and exactly its manifest's permissions",
  // Any program of this platform can take the place of Deno's runtime: it is not run.
  ignore: Deno.build.os !== "linux",
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const output = join(folder, "lloom-executor");
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [...compileArguments({
          role: "executor",
          output,
          dataDir: "data",
          config: ["/etc/lloom.toml"],
          env: ["MODEL_KEY"],
        })],
        env: { DENORT_BIN: "/bin/true", NO_COLOR: "1" },
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      const compiled = Buffer.from(await Deno.readFile(output));
      for (const path of INCLUDED.executor) {
        const bytes = await Deno.readFile(new URL(`../${path}`, import.meta.url));
        assert.ok(compiled.includes(Buffer.from(bytes)), path);
      }
      const metadata = readMetadata(compiled);
      assert.deepEqual(metadata.argv, ["--sandbox-workers"]);
      assert.ok(metadata.unstable_config.features.includes("worker-options"));
      const { allow_import: _, ...permissions } = metadata.permissions;
      const granted = Object.entries(permissions).filter(([, value]) => value !== null);
      assert.deepEqual(Object.fromEntries(granted), {
        allow_env: ["LLOOM_*", "HOME", "USERPROFILE", "MODEL_KEY"],
        ignore_env: [],
        allow_net: [],
        allow_read: ["data", "/etc/lloom.toml"],
        allow_write: ["data"],
        allow_sys: ["networkInterfaces"],
        prompt: false,
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("everything that the product loads by URL is compiled into the role that uses it", () => {
  const loads = /new URL\(\s*"(\.[^"]+[^/])",\s*import\.meta\.url/g;
  const loaded = PRODUCT.flatMap((path) =>
    [...code(path).matchAll(loads)].map(([, url = ""]) =>
      new URL(url, `file:///${path}`).pathname.slice(1)
    )
  );
  const ofClient = loaded.filter((path) => path.startsWith("roles/client/"));
  const shared = loaded.filter((path) => !ofClient.includes(path));
  assert.deepEqual(shared.sort(), [...INCLUDED.executor].sort());
  const own = INCLUDED.client.filter((path) => !INCLUDED.executor.includes(path));
  assert.deepEqual(ofClient.sort(), own.sort());
});

interface Metadata {
  readonly argv: readonly string[];
  readonly permissions: Readonly<Record<string, unknown>>;
  readonly unstable_config: { readonly features: readonly string[] };
}

/** What Deno wrote for its runtime: a JSON text after its mark and the length. */
function readMetadata(compiled: Buffer): Metadata {
  const mark = "d3n0l4nd";
  const start = compiled.indexOf(`{"argv":`, compiled.indexOf(mark));
  const length = Number(compiled.readBigUInt64LE(start - 8));
  return JSON.parse(compiled.toString("utf8", start, start + length));
}
