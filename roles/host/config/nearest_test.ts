import assert from "node:assert/strict";
import { nearest } from "./nearest.ts";

Deno.test("a misspelt name finds its neighbour, and a foreign one none", () => {
  const names = ["bootstrap_nodes", "listen_addresses", "port"];
  assert.equal(nearest("bootstrap_node", names), "bootstrap_nodes");
  assert.equal(nearest("prot", names), "port");
  assert.equal(nearest("PORT", names), "port");
  assert.equal(nearest("frequency", names), undefined);
  assert.equal(nearest("x".repeat(100_000), names), undefined);
});
