import assert from "node:assert/strict";
import { join } from "node:path";
import { UsageError } from "./exit_codes.ts";
import { OutputFile, type OutputMode } from "./output_file.ts";

async function inDirectory(test: (path: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    test(join(directory, "answer.txt"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function write(path: string, mode: OutputMode, text?: string): void {
  using file = OutputFile.open(path, mode);
  if (text !== undefined) file.write(text);
}

Deno.test("a result replaces what the file held, or follows it", () =>
  inDirectory((path) => {
    write(path, "replace", "a long first answer\n");
    write(path, "replace", "second\n");
    write(path, "append", "third\n");
    assert.equal(Deno.readTextFileSync(path), "second\nthird\n");
  }));

Deno.test("without a result the file stays as it was, also absent", () =>
  inDirectory((path) => {
    write(path, "replace");
    assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
    write(path, "append", "kept\n");
    write(path, "replace");
    assert.equal(Deno.readTextFileSync(path), "kept\n");
  }));

Deno.test("a file that cannot be written is refused before the work begins", () =>
  inDirectory((path) => {
    assert.throws(() => OutputFile.open(join(path, "x"), "replace"), UsageError);
    Deno.mkdirSync(path);
    assert.throws(() => OutputFile.open(path, "append"), UsageError);
  }));

Deno.test({
  name: "a file outside the process's permissions is refused with the flag that allows it",
  permissions: { read: true, write: false },
  fn() {
    assert.throws(
      () => OutputFile.open("/somewhere/answer.txt", "replace"),
      (error: Error) =>
        error instanceof UsageError &&
        error.message.includes("--allow-write=/somewhere/answer.txt"),
    );
  },
});
