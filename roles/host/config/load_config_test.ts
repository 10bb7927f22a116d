import assert from "node:assert/strict";
import { join } from "node:path";
import { EXECUTOR_SETTINGS } from "./executor_settings.ts";
import { loadConfig } from "./load_config.ts";

/** Runs with a fresh directory as data directory, and LLOOM_* variables that are put back after. */
function inDirectory(env: Record<string, string>, run: (dir: string) => void): void {
  const dir = Deno.makeTempDirSync();
  const all = { LLOOM_DATA_DIR: dir, ...env };
  for (const [name, value] of Object.entries(all)) Deno.env.set(name, value);
  try {
    run(dir);
  } finally {
    for (const name of Object.keys(all)) Deno.env.delete(name);
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("config.toml of the data directory is read, and may be missing", () => {
  inDirectory({}, (dir) => {
    assert.equal(loadConfig(EXECUTOR_SETTINGS, {}).config.network.port, 9001);
    Deno.writeTextFileSync(join(dir, "config.toml"), "[network]\nport = 7");
    const { config } = loadConfig(EXECUTOR_SETTINGS, {});
    assert.equal(config.network.port, 7);
    assert.equal(config.storage.dataDir, dir);
  });
});

Deno.test("--config wins over LLOOM_CONFIG_FILE, and a named file must exist", () => {
  inDirectory({ LLOOM_CONFIG_FILE: "/nonexistent/lloom.toml" }, (dir) => {
    const named = join(dir, "mine.toml");
    Deno.writeTextFileSync(named, "[network]\nport = 8");
    assert.equal(loadConfig(EXECUTOR_SETTINGS, { config: named }).config.network.port, 8);
    assert.throws(() => loadConfig(EXECUTOR_SETTINGS, {}), {
      code: "config_invalid",
      message: "read config /nonexistent/lloom.toml: no such file",
    });
    assert.throws(() => loadConfig(EXECUTOR_SETTINGS, { config: dir }), { code: "config_invalid" });
  });
});

Deno.test("a file too large to be a configuration is refused", () => {
  inDirectory({}, (dir) => {
    Deno.writeFileSync(join(dir, "config.toml"), new Uint8Array((1 << 20) + 1));
    assert.throws(() => loadConfig(EXECUTOR_SETTINGS, {}), { code: "config_invalid" });
  });
});

Deno.test("the private key is taken out of the environment once it is read", () => {
  const key = "11".repeat(32);
  inDirectory({ LLOOM_PRIVATE_KEY: key }, () => {
    const { config } = loadConfig(EXECUTOR_SETTINGS, {});
    assert.equal(config.identity.privateKey, key);
    assert.equal(Deno.env.get("LLOOM_PRIVATE_KEY"), undefined);
  });
});

Deno.test("--debug lowers the log level, and an explicit level wins over it", () => {
  inDirectory({ LLOOM_LOG_LEVEL: "error" }, () => {
    const level = (flags: Record<string, unknown>) =>
      loadConfig(EXECUTOR_SETTINGS, flags).config.logging.level;
    assert.equal(level({ debug: true }), "debug");
    assert.equal(level({ debug: true, logLevel: "trace" }), "trace");
    assert.equal(level({}), "error");
  });
});
