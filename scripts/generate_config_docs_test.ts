import assert from "node:assert/strict";
import { configurationPage } from "./generate_config_docs.ts";

Deno.test("docs/configuration.md is what the settings tables say", async () => {
  const page = await Deno.readTextFile(new URL("../docs/configuration.md", import.meta.url));
  // Compared without layout, which `deno fmt` decides.
  const plain = (text: string) => text.replace(/[\s|-]+/g, " ");
  assert.equal(plain(page), plain(configurationPage()), "run `deno task docs:config`");
});
