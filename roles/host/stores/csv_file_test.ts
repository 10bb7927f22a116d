import assert from "node:assert/strict";
import { join } from "node:path";
import { appendCsvRow } from "./csv_file.ts";

async function inFile(run: (path: string) => void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    run(join(dir, "sub", "list.csv"));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("rows follow a line of names, quoted, for their owner alone", () =>
  inFile((path) => {
    const options = { path, columns: ["time", "name"], maxBytes: 1000 };
    appendCsvRow(options, ["1", 'Ann "the" One, Esq.']);
    appendCsvRow(options, ["2", ""]);
    const text = Deno.readTextFileSync(path);
    assert.equal(text, '"time","name"\r\n"1","Ann ""the"" One, Esq."\r\n"2",""\r\n');
    if (Deno.build.os !== "windows") assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
  }));

Deno.test("no cell is a formula, ends its row, or steers a terminal", () =>
  inFile((path) => {
    const cells = ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "a\r\n=b", "\u001b[2J", "＝1", "a=1"];
    appendCsvRow({ path, columns: ["c"], maxBytes: 1000 }, cells);
    const [, row] = Deno.readTextFileSync(path).split("\r\n");
    assert.equal(
      row,
      `"'=1+1","'+1","'-1","'@x","' =1","' =1","a =b"," [2J","'＝1","a=1"`,
    );
  }));

Deno.test("a full file takes no more, and stays as it is", () =>
  inFile((path) => {
    const options = { path, columns: ["c"], maxBytes: 40 };
    appendCsvRow(options, ["x".repeat(20)]);
    const before = Deno.readTextFileSync(path);
    assert.throws(() => appendCsvRow(options, ["x".repeat(20)]), { code: "overloaded" });
    assert.equal(Deno.readTextFileSync(path), before);
  }));
