import assert from "node:assert/strict";
import fc from "fast-check";
import { parseMailAddress } from "./mail_address.ts";

const person = (text: string) => parseMailAddress(text)?.person;

Deno.test("all spellings that reach one person count as one", () => {
  const ann = ["ann@example.org", "Ann@Example.ORG", " ann@example.org ", "ann+a+b@example.org"];
  for (const text of ann) assert.equal(person(text), "ann@example.org", text);
  for (const text of ["a.n.n@gmail.com", "ANN+x@googlemail.com", "ann@GMAIL.com"]) {
    assert.equal(person(text), "ann@gmail.com", text);
  }
  assert.notEqual(person("a.nn@example.org"), person("ann@example.org"));
});

Deno.test("mail goes to the address as it was written", () => {
  assert.equal(parseMailAddress("A.nn+x@Gmail.com")?.address, "A.nn+x@gmail.com");
});

Deno.test("what is more than one plain address is refused", () => {
  const bad = [
    "",
    "@",
    "ann",
    "ann@",
    "@example.org",
    "ann@localhost",
    "ann@example.org\r\nBcc: eve@example.org",
    "ann@example.org\nx",
    "ann\r@example.org",
    "ann@example.org,eve@example.org",
    "ann@example.org eve@example.org",
    "Ann <ann@example.org>",
    "<ann@example.org>",
    '"a b"@example.org',
    '"ann@evil.org"@example.org',
    "ann@[127.0.0.1]",
    "ann@127.0.0.1",
    ".ann@example.org",
    "a..nn@example.org",
    "ann.@example.org",
    "ann@-example.org",
    "ann@example..org",
    "ann@exämple.org",
    "änn@example.org",
    "ann@example.org\0",
    "ann@example.org(x)",
    "ann@example.org;",
    `${"a".repeat(65)}@example.org`,
    `ann@${"a".repeat(64)}.org`,
    `ann@${"abcdefgh.".repeat(30)}org`,
    `ann@example.org${" ".repeat(10_000)}`,
  ];
  for (const text of bad) assert.equal(parseMailAddress(text), undefined, JSON.stringify(text));
});

Deno.test("no text yields an address with a line break, a space, or two at signs", () => {
  const near = fc.string({ unit: fc.constantFrom(..."aA@.+-\r\n\t <>,;\"'()é\0") });
  fc.assert(fc.property(fc.oneof(fc.string(), near), (text) => {
    const parsed = parseMailAddress(`${text}@example.org`);
    if (parsed === undefined) return;
    assert.match(parsed.address, /^[^\s@<>,;"()]+@example\.org$/);
    assert.equal(parseMailAddress(parsed.address)?.person, parsed.person);
  }));
});
