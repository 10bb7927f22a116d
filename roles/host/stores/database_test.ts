import assert from "node:assert/strict";
import { join } from "node:path";
import { openDatabase } from "./database.ts";

Deno.test("an older database takes the steps that it lacks, once", async () => {
  const folder = await Deno.makeTempDir();
  const path = join(folder, "some.db");
  const steps = ["CREATE TABLE one (a INTEGER) STRICT", "ALTER TABLE one ADD COLUMN b TEXT"];
  const open = (count: number) => {
    const migrations = steps.slice(0, count);
    return openDatabase({ path, migrations, durability: "full", shared: true });
  };
  const old = open(1);
  old.exec("INSERT INTO one VALUES (7)");
  old.close();
  const fresh = open(2);
  assert.deepEqual({ ...fresh.prepare("SELECT a, b FROM one").get() }, { a: 7, b: null });
  // Two processes may have it open at once, also while it is opened.
  open(2).close();
  fresh.close();
  assert.throws(() => open(1), { code: "config_invalid", message: /version 2/ });
  // A step that fails leaves the version before it.
  steps.push("CREATE TABLE two (a INTEGER) STRICT; CREATE TABLE one (a INTEGER)");
  assert.throws(() => open(3), { code: "config_invalid" });
  steps[2] = "CREATE TABLE two (a INTEGER) STRICT";
  open(3).close();
  await Deno.remove(folder, { recursive: true });
});

Deno.test({
  name: "a database is its owner's to read, also in a folder that is not",
  ignore: Deno.build.os === "windows",
  async fn() {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o755);
    const path = join(folder, "some.db");
    const open = () =>
      openDatabase({
        ...{ path, durability: "normal", shared: true },
        migrations: ["CREATE TABLE one (a INTEGER) STRICT"],
      });
    const database = open();
    database.exec("INSERT INTO one VALUES (7)");
    for (const { name } of Deno.readDirSync(folder)) {
      assert.equal(Deno.statSync(join(folder, name)).mode! & 0o777, 0o600, name);
    }
    database.close();
    // What its owner allows to others stays allowed.
    await Deno.chmod(path, 0o640);
    open().close();
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o640);
    await Deno.remove(folder, { recursive: true });
  },
});
