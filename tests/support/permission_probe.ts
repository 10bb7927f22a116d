/** Tries what a role must not do, and prints what it could: one JSON object. */
const tries: Record<string, () => unknown> = {
  "read outside": () => Deno.readDirSync(Deno.args[0]!).next(),
  "write outside": () => Deno.writeTextFileSync(`${Deno.args[0]}/probe`, ""),
  "write code": () => Deno.writeTextFileSync(new URL("./probe", import.meta.url), ""),
  "run": () => new Deno.Command("true").outputSync(),
  "ffi": () => Deno.dlopen("libc.so.6", {}),
  "foreign variable": () => {
    if (Deno.env.get("LLOOM_TEST_FOREIGN") === undefined) return;
    if (Deno.env.get("FOREIGN_SECRET") === undefined) throw new Deno.errors.NotCapable();
  },
};
const could = Object.entries(tries).flatMap(([name, run]) => {
  try {
    run();
    return [name];
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return [];
    throw error;
  }
});
console.log(JSON.stringify(could));
