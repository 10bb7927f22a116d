import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import { UsageError } from "./exit_codes.ts";
import { RowFile } from "./row_file.ts";

async function inDirectory(test: (path: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    test(join(directory, "rows.jsonl"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Opens, reads, adds lines, and closes. */
function visit(path: string, lines: readonly string[] = []): { lines: string[]; cut: string } {
  const found: string[] = [];
  using file = RowFile.open(path, (line) => found.push(line), 1 << 21);
  if (lines.length > 0) file.append(lines);
  return { lines: found, cut: file.cut };
}

Deno.test("whatever part of a line a crash left, the whole lines are found and the next ones follow them", () =>
  inDirectory((path) => {
    const line = fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => JSON.stringify(text));
    fc.assert(
      fc.property(fc.array(line), fc.array(line, { minLength: 1 }), line, (before, after, cut) => {
        Deno.writeTextFileSync(path, before.map((text) => `${text}\n`).join("") + cut);
        assert.deepEqual(visit(path, after), { lines: before, cut });
        assert.deepEqual(visit(path), { lines: [...before, ...after], cut: "" });
      }),
      { numRuns: 50 },
    );
  }));

Deno.test("lines longer than what is read at once are found whole", () =>
  inDirectory((path) => {
    const lines = ["a".repeat(1_500_000), "", "é".repeat(800_000)];
    visit(path, lines);
    assert.deepEqual(visit(path).lines, lines);
  }));

Deno.test("looking at a file changes nothing in it", () =>
  inDirectory((path) => {
    Deno.writeTextFileSync(path, "whole\nhalf");
    visit(path);
    assert.equal(Deno.readTextFileSync(path), "whole\nhalf");
  }));

Deno.test("a second writer and a line without end are refused", () =>
  inDirectory((path) => {
    using _first = RowFile.open(path, () => {}, 100);
    assert.throws(() => RowFile.open(path, () => {}, 100), /another process/);
    const other = `${path}.other`;
    Deno.writeTextFileSync(other, "x".repeat(101));
    assert.throws(() => RowFile.open(other, () => {}, 100), UsageError);
  }));
