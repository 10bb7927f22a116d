import assert from "node:assert/strict";
import { join } from "node:path";
import { LloomError } from "@lloom/core/errors";
import { generateIdentity } from "@lloom/core/identity";
import { runDeno } from "../../tests/support/child_process.ts";
import { loadIdentity, readKeyFile, writeKeyFile } from "./identity_file.ts";

const PROGRAM = new URL("../../tests/support/host_program.ts", import.meta.url).pathname;
const windows = Deno.build.os === "windows"; // no file modes there

async function inDirectory(run: (dir: string) => Promise<void> | void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function settings(dataDir: string, generateIfMissing = true, privateKey?: string) {
  return {
    identity: { privateKey, privateKeyPath: undefined, generateIfMissing },
    storage: { dataDir },
  };
}

Deno.test("a new key is written once, for its owner alone, and found again", () =>
  inDirectory((dir) => {
    const dataDir = join(dir, "a", "b");
    const made = loadIdentity(settings(dataDir));
    assert.equal(loadIdentity(settings(dataDir)).peerId, made.peerId);
    assert.deepEqual([...Deno.readDirSync(dataDir)].map((entry) => entry.name), ["identity.key"]);
    if (windows) return;
    assert.equal(Deno.statSync(join(dataDir, "identity.key")).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(dataDir).mode! & 0o777, 0o700);
  }));

Deno.test("a key file is never replaced", () =>
  inDirectory((dir) => {
    const path = join(dir, "identity.key");
    const first = generateIdentity();
    assert.equal(writeKeyFile(path, first), true);
    assert.equal(writeKeyFile(path, generateIdentity()), false);
    assert.equal(readKeyFile(path)?.peerId, first.peerId);
    assert.equal([...Deno.readDirSync(dir)].length, 1);
  }));

Deno.test("a given key wins, and no file is made for it", () =>
  inDirectory((dir) => {
    const key = "11".repeat(32);
    const identity = loadIdentity(settings(dir, true, key));
    assert.equal(identity.address, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a");
    assert.equal([...Deno.readDirSync(dir)].length, 0);
  }));

Deno.test({
  name: "a key file that others may read is refused with the command that mends it",
  ignore: windows,
  fn: () =>
    inDirectory((dir) => {
      const path = join(dir, "it's mine", "identity.key");
      writeKeyFile(path, generateIdentity());
      for (const mode of [0o640, 0o604, 0o622, 0o601]) {
        Deno.chmodSync(path, mode);
        assert.throws(() => readKeyFile(path), (error) => {
          assert.ok(error instanceof LloomError && error.code === "identity_invalid");
          assert.ok(error.message.endsWith(`chmod 600 '${dir}/it'\\''s mine/identity.key'`));
          return true;
        });
      }
      Deno.chmodSync(path, 0o400);
      assert.ok(readKeyFile(path));
    }),
});

Deno.test("what is no key file is refused without being quoted", () =>
  inDirectory((dir) => {
    for (const [i, text] of ["", "secret words", "zz".repeat(32), "1".repeat(5000)].entries()) {
      const path = join(dir, String(i));
      Deno.writeTextFileSync(path, text, { mode: 0o600 });
      assert.throws(() => readKeyFile(path), (error) => {
        assert.ok(error instanceof LloomError && error.code === "identity_invalid");
        assert.ok(text === "" || !error.message.includes(text.slice(0, 6)));
        return true;
      });
    }
    assert.throws(() => readKeyFile(dir), { code: "identity_invalid" });
    assert.throws(() => loadIdentity(settings(join(dir, "none"), false)), {
      code: "identity_invalid",
    });
  }));

Deno.test("processes that start together on an empty directory agree on one key", () =>
  inDirectory(async (dir) => {
    const args = ["-A", PROGRAM, "whoami", "--data-dir", join(dir, "data")];
    const results = await Promise.all([1, 2, 3].map(() => runDeno(args)));
    const addresses = new Set(results.map((result) => result.stdout));
    assert.deepEqual(
      results.map((result) => result.code),
      [0, 0, 0],
      results.map((result) => result.stderr).join(""),
    );
    assert.equal(addresses.size, 1);
  }));

Deno.test("generate-identity stores the key, prints its names, and never the key", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "keys", "mine.key");
    const base = ["-A", PROGRAM, "--data-dir", dir, "--format", "json", "generate-identity"];
    const named = await runDeno([...base, path]);
    const standard = await runDeno(base);
    const again = await runDeno(base);
    const printed = JSON.parse(named.stdout);
    assert.equal(printed.keyFile, path);
    assert.equal(printed.peerId, readKeyFile(path)?.peerId);
    assert.equal(JSON.parse(standard.stdout).keyFile, join(dir, "identity.key"));
    assert.equal(again.code, 3);
    assert.match(again.stderr, /exists already/);
    for (const file of [path, join(dir, "identity.key")]) {
      const digits = Deno.readTextFileSync(file).trim().slice(2);
      assert.equal(digits.length, 64);
      assert.ok(![named, standard, again].some((r) => (r.stdout + r.stderr).includes(digits)));
    }
  }));
