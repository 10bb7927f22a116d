import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { startDeno } from "../../../tests/support/child_process.ts";
import { testNonceStore } from "../../../tests/support/nonce_store_compliance.ts";
import { SqliteNonceStore } from "./sqlite_nonce_store.ts";

const PROGRAM = new URL("../../../tests/support/host_program.ts", import.meta.url).pathname;
const CLIENT = `0x${"a1".repeat(20)}` as const;
const SOON_S = Math.floor(Date.now() / 1000) + 600;

function open(path: string, now: () => number = Date.now): SqliteNonceStore {
  return new SqliteNonceStore({ path }, { clock: { now } });
}

async function inDirectory(run: (dir: string) => Promise<void> | void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

testNonceStore("SqliteNonceStore", ({ now, ...options }) => {
  const dir = Deno.makeTempDirSync();
  const store = new SqliteNonceStore({ path: join(dir, "n.db"), ...options }, { clock: { now } });
  return {
    use: (client, nonce, deadline) => store.use(client, nonce, deadline),
    close(): void {
      store.close();
      Deno.removeSync(dir, { recursive: true });
    },
  };
});

Deno.test("nonces are still used after a restart, and expired ones are gone from disk", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "sub", "nonces.db");
    const top = (1n << 64n) - 1n;
    const first = open(path);
    assert.equal(await first.use(CLIENT, top, SOON_S), true);
    assert.equal(await first.use(CLIENT, 5n, SOON_S), true);
    first.close();
    const second = open(path);
    assert.equal(await second.use(CLIENT, top, SOON_S), false);
    assert.equal(await second.use(CLIENT, 5n, SOON_S), false);
    second.close();
    const later = open(path, () => (SOON_S + 100) * 1000);
    assert.equal(await later.use(CLIENT, 5n, SOON_S + 500), true);
    later.close();
    const database = new DatabaseSync(path);
    assert.equal(database.prepare("SELECT count(*) AS n FROM nonce").get()?.["n"], 1);
    database.close();
  }));

Deno.test("all nonces are still used after a restart with lower limits", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "nonces.db");
    const first = open(path);
    for (let nonce = 0n; nonce < 50n; nonce++) await first.use(CLIENT, nonce, SOON_S);
    first.close();
    const limits = { maxNonces: 10, maxNoncesPerClient: 5 };
    const second = new SqliteNonceStore({ path, ...limits }, { clock: { now: Date.now } });
    for (let nonce = 0n; nonce < 50n; nonce++) {
      assert.equal(await second.use(CLIENT, nonce, SOON_S), false);
    }
    await assert.rejects(second.use(CLIENT, 50n, SOON_S), { code: "overloaded" });
    second.close();
  }));

Deno.test("a use that was acknowledged is remembered after kill -9", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "nonces.db");
    const child = startDeno(["-A", PROGRAM, "use-nonces", path, "50"]);
    await child.line("49 true");
    child.kill("SIGKILL");
    assert.equal((await child.ended).signal, "SIGKILL");
    const store = open(path);
    for (let nonce = 0n; nonce < 50n; nonce++) {
      assert.equal(await store.use(CLIENT, nonce, SOON_S), false, `nonce ${nonce}`);
    }
    assert.equal(await store.use(CLIENT, 50n, SOON_S), true);
    store.close();
  }));

Deno.test("a second process on the same file is refused", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "nonces.db");
    const store = open(path);
    const child = startDeno(["-A", PROGRAM, "use-nonces", path, "1"]);
    const { code, stderr } = await child.ended;
    assert.equal(code, 3, stderr);
    assert.match(stderr, /another process uses it/);
    store.close();
  }));

Deno.test("a database of another version, or none at all, is refused", () =>
  inDirectory((dir) => {
    const path = join(dir, "nonces.db");
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 9");
    database.close();
    assert.throws(() => open(path), { code: "config_invalid", message: /version 9/ });
    const text = join(dir, "text.db");
    Deno.writeTextFileSync(text, "no database, but long enough to be taken for one. ".repeat(100));
    assert.throws(() => open(text), { code: "config_invalid" });
  }));

Deno.test("a use that cannot be written fails, and its nonce stays used", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "nonces.db");
    const store = open(path);
    store.close();
    await assert.rejects(store.use(CLIENT, 1n, SOON_S), { code: "internal" });
    assert.equal(await store.use(CLIENT, 1n, SOON_S), false);
  }));
