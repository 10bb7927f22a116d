import assert from "node:assert/strict";
import fc from "fast-check";
import { redact } from "./redact.ts";

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""));

Deno.test("a private key is taken out wherever it stands in a line", () => {
  const around = fc.constantFrom("", " ", '"', "=", ":", "\n", "0x", "key=0x", "', '");
  fc.assert(fc.property(hex, around, around, (key, before, after) => {
    fc.pre(!after.startsWith("0x") && !after.startsWith("key"));
    assert.ok(
      !redact(`failed${before === "0x" ? " 0x" : before || " "}${key}${after}`).includes(key),
    );
  }));
  assert.ok(!redact(`KEY${"AB".repeat(32)}`.replace("KEY", "k ")).includes("ABAB"));
});

Deno.test("API keys and authorization headers are taken out", () => {
  for (
    const secret of ["sk-proj-Abc_123-xyz987", "sk-ant-api03-AAAABBBB"].flatMap((key) => [
      key,
      `Bearer ${key}`,
    ]).concat("Bearer eyJhbGciOi.J9.x-y_z==", "basic dXNlcjpwYXNzd29yZA==")
  ) {
    const line = redact(`{"authorization":"${secret}"}`);
    for (const word of secret.split(" ").slice(-1)) assert.ok(!line.includes(word), line);
    assert.doesNotThrow(() => JSON.parse(line));
  }
});

Deno.test("what is no secret stays", () => {
  for (
    const line of [
      "dialled 16Uiu2HAmVkeFPLB7P8FJzGKvNZYSaYkQhpQLSpZJFCNVJvBJBYzF in 3 ms",
      "paid 0x2c7536e3605d9c16a7a3d7b1898e529396a65c23, request 0x1234abcd…",
      "task-sk- risk-free bearer of news",
    ]
  ) assert.equal(redact(line), line);
});
