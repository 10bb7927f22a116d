import assert from "node:assert/strict";
import { printable, printableJson } from "./terminal.ts";

const HOSTILE = "a\x1b]52;c;eA==\x07b\u009bc\u202ed\r";

Deno.test("a stranger's text cannot steer the terminal", () => {
  assert.equal(printable(HOSTILE), "a\ufffd]52;c;eA==\ufffdb\ufffdc\ufffdd\ufffd");
  assert.equal(printable("Zeile\n\tüber 漢字 🦙"), "Zeile\n\tüber 漢字 🦙");
});

Deno.test("JSON for a terminal has the same value, and no character that steers it", () => {
  const text = printableJson({ hostile: HOSTILE, price: 3n });
  assert.deepEqual(JSON.parse(text), { hostile: HOSTILE, price: "3" });
  assert.equal(printable(text), text);
});
