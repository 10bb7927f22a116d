import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installArguments, installRole } from "./install_role.ts";

Deno.test("an installed role runs from anywhere, offline, with exactly its permissions", async () => {
  const root = await Deno.makeTempDir();
  try {
    const options = {
      role: "executor" as const,
      name: "lloom-probe",
      main: fileURLToPath(new URL("../tests/support/host_program.ts", import.meta.url)),
      root,
      dataDir: join(root, "data"),
      config: [],
      env: ["MODEL_KEY"],
    };
    await installRole(options);
    const windows = Deno.build.os === "windows";
    const shim = join(root, "bin", windows ? "lloom-probe.cmd" : "lloom-probe");
    const run = async (...args: string[]) => {
      const command = new Deno.Command(shim, { args, cwd: root, env: { NO_COLOR: "1" } });
      const { code, stdout, stderr } = await command.output();
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    };
    const inside = await run("whoami", "--data-dir", join(root, "data"));
    assert.match(inside.stdout, /^0x[0-9a-f]{40}\n$/, inside.stderr);
    const outside = await run("whoami", "--data-dir", join(root, "elsewhere"));
    assert.equal(outside.code, 3);
    const granted = installArguments(options).filter((argument) => argument.startsWith("--allow"));
    const text = await Deno.readTextFile(shim);
    for (const flag of granted) assert.ok(text.includes(flag), flag);
    assert.equal(text.match(/--allow-/g)?.length, granted.length);
    assert.ok(text.includes("--no-prompt"));
    assert.ok(text.includes("MODEL_KEY"));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
