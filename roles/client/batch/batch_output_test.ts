import assert from "node:assert/strict";
import { join } from "node:path";
import { UsageError } from "@lloom/host";
import { readBatch } from "./batch_input.ts";
import { BatchOutput, type OutputRow } from "./batch_output.ts";

const ROWS = readBatch(
  `{"prompt":"a"}\n{"prompt":"b"}\n{"prompt":"c"}`,
  { model: "m", maxTokens: 1 },
);

function row(index: number, fails = false): OutputRow {
  return {
    index,
    response: fails ? null : { status_code: 200, request_id: "0x1", body: {} },
    error: fails ? { code: "rate_limited", message: "ask: too often" } : null,
    lloom: { row: ROWS[index]!.digest },
  };
}

async function inDirectory(test: (path: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    test(join(directory, "out.jsonl"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("rows of an earlier run count, one that was cut is dropped", () =>
  inDirectory((path) => {
    {
      using first = new BatchOutput(path, ROWS);
      first.add(row(0));
      first.add(row(1, true));
      assert.equal(first.tally.failure?.code, "rate_limited");
    }
    const whole = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, `${whole}{"index":2,"respo`);
    using second = new BatchOutput(path, ROWS);
    assert.deepEqual(ROWS.map((one) => second.has(one)), [true, true, false]);
    second.add(row(2));
    assert.deepEqual([second.tally.answered, second.tally.failed], [2, 1]);
    assert.equal(
      second.tally.failure?.message,
      "ask batch: 1 of 3 rows failed, first row 1",
    );
    assert.equal(Deno.readTextFileSync(path), `${whole}${JSON.stringify(row(2))}\n`);
  }));

Deno.test("a file that is something else is refused, and left as it is", () =>
  inDirectory((path) => {
    const other = JSON.stringify({ ...row(0), lloom: { row: "another" } });
    for (const text of ["my notes", "my notes\n", `{"index":0}\n`, `{"index":0,\n`, `${other}\n`]) {
      Deno.writeTextFileSync(path, text);
      assert.throws(() => new BatchOutput(path, ROWS), UsageError, text);
      assert.equal(Deno.readTextFileSync(path), text);
    }
  }));
