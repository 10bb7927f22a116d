import assert from "node:assert/strict";
import { join } from "node:path";
import { UsageError } from "./exit_codes.ts";
import { readInput, readTextInput } from "./input.ts";

Deno.test("a file is read whole, to a bound, and as text only if it is one", async () => {
  const directory = await Deno.makeTempDir({ prefix: "lloom-input-" });
  try {
    const path = join(directory, "input");
    await Deno.writeTextFile(path, "Grüße");
    assert.equal((await readInput(path, 7)).length, 7);
    assert.equal(await readTextInput(path, 7), "Grüße");
    const refused = (reading: Promise<unknown>, message: RegExp) =>
      assert.rejects(
        reading,
        (error) => error instanceof UsageError && message.test(error.message),
      );
    await refused(readInput(path, 6), /larger than 6 bytes/);
    await refused(readInput(`${path}s`, 7), /no such file/);
    await Deno.writeFile(path, Uint8Array.of(0xff));
    await refused(readTextInput(path, 7), /not UTF-8/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
