import assert from "node:assert/strict";
import { loadDemoModel } from "./demo_model.ts";
import { parseGguf, textOf } from "./gguf.ts";

const file = new URL("./lloom-demo.q8_0.gguf", import.meta.url);

Deno.test(
  "the model loads with leave to read its file alone",
  { permissions: { read: [file] } },
  async () => {
    const { metadata } = parseGguf(await loadDemoModel());
    assert.equal(textOf(metadata, "general.name"), "lloom-demo");
  },
);

Deno.test("without leave to read it, it is unreachable", { permissions: "none" }, async () => {
  await assert.rejects(loadDemoModel(), { name: "LloomError", code: "backend_unreachable" });
});
